//! A client that was admitted, and what becomes of it.

use std::sync::Arc;

use wspulse_core::session::Predecessor;

use super::Speaks;
use crate::membership::Group;
use crate::membership::shared::ConnectionShared;
use crate::wire::transport::Upgrade;

/// A client that was admitted.
pub(crate) struct Arrival<'a> {
    pub(crate) id: &'a Arc<str>,
    /// The application has given the id: it is not a random one.
    pub(crate) is_named: bool,
    /// The room that it was admitted to, if it was to one.
    pub(crate) home: Option<&'a Arc<Group>>,
    /// Whose it is.
    pub(crate) user: Option<&'a str>,
    /// What the client speaks, which its session must be of as well.
    pub(crate) speaks: Speaks,
    /// The transport on its way.
    pub(crate) upgrade: Upgrade,
    /// The connection that the application lets it come to, if it was asked.
    pub(crate) asked_about: Option<&'a Arc<ConnectionShared>>,
}

impl Arrival<'_> {
    /// Whether the connection that has its id may be touched at all.
    pub(super) fn check_existing(
        &self,
        existing: Option<&Arc<ConnectionShared>>,
    ) -> Result<(), Refused> {
        let Some(existing) = existing else { return Ok(()) };
        if existing.user_id() != self.user {
            return Err(Refused::OtherUser);
        }
        if existing.mailbox.is_leaving() {
            return Err(Refused::IsLeaving);
        }
        Ok(())
    }
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    ServerClosed,
    /// The clients that are there are leaving, one after the other.
    Draining,
    /// All connections that `max_connections` allows are there.
    TooManyConnections,
    /// There is a limit by address, and it cannot be told which one this client's is.
    UnknownAddress,
    /// All that `max_connections_per_addr` allows are there.
    TooManyFromAddress,
    /// All that `max_connections_per_user` allows are there.
    TooManyOfUser,
    /// Too many with this id, of this address or user, or in all have ended and are not done yet.
    TooManyEnding,
    /// It was admitted to more rooms than a connection may be in.
    TooManyRooms,
    /// The session of this id is another user's.
    OtherUser,
    /// Its session has another room than it was admitted to, and is to stay there.
    OtherRoom,
    /// What it was admitted with has run out by now.
    Expired,
    /// Its session is about to go over to another server.
    IsLeaving,
    /// Its session is at another server, which cannot be asked for it now.
    OutOfReach,
    /// Too many clients of given ids are about to come.
    TooManyComing,
    /// Its id has gone over to another connection than the one that the application was asked about.
    SessionChanged,
}

/// What became of an admission.
pub(crate) enum Registered {
    /// A new connection, whose task is to be started.
    New {
        connection: Arc<ConnectionShared>,
        predecessor: Predecessor,
        upgrade: Upgrade,
        /// Another one had its id, or was the oldest of a user who has too many, and has ended; its
        /// places in its rooms are to be given up.
        made_way: Option<Arc<ConnectionShared>>,
    },
    /// An existing connection gets another transport. One that was on its way to it is displaced.
    Attached { connection: Arc<ConnectionShared>, displaced: Option<Upgrade> },
    /// None: this connection, which has the id, has a transport whose handshake began later.
    Overtaken { connection: Arc<ConnectionShared>, upgrade: Upgrade },
}
