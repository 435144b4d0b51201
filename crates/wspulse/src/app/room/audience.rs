//! Broadcasts to several rooms and users at once.

use std::fmt;
use std::sync::Arc;

use wspulse_core::Outgoing;
use wspulse_core::cluster::Target;

use crate::app::connection::Connection;
use crate::app::server::{FanOut, Server};
use crate::cluster::speaker::target_of;
use crate::membership::shared::ConnectionShared;
use crate::membership::{Addressees, Elsewhere, Group, Kind};
use crate::settings::error::BroadcastError;

/// Whom a broadcast is for: the members of some rooms and the connections of some users, but for
/// some. [`Server::to`] begins one.
///
/// Each connection gets the frame once, however many of the rooms it is in, and the frame has one
/// place among the broadcasts of each room, the same for all its members.
///
/// ```
/// # fn example(server: &wspulse::Server, conn: &wspulse::Connection, frame: wspulse::Frame)
/// # -> Result<(), wspulse::BroadcastError> {
/// server.to(["lobby", "game-7"]).and_user("ann").except(conn).except_room("muted").broadcast(frame)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "an audience hears nothing until there is a broadcast"]
pub struct Audience {
    server: Server,
    included: Vec<(Kind, Arc<str>)>,
    excluded: Vec<(Kind, Arc<str>)>,
    excluded_connections: Vec<Arc<ConnectionShared>>,
}

impl Audience {
    pub(crate) fn rooms<R: AsRef<str>>(server: Server, rooms: impl IntoIterator<Item = R>) -> Self {
        let included = rooms.into_iter().map(|room| (Kind::Room, room.as_ref().into())).collect();
        Self { server, included, excluded: Vec::new(), excluded_connections: Vec::new() }
    }

    /// Adds all connections of a user.
    pub fn and_user(mut self, user: impl AsRef<str>) -> Self {
        self.included.push((Kind::User, user.as_ref().into()));
        self
    }

    /// Leaves a connection out, such as the one whom a frame came from.
    pub fn except(mut self, connection: &Connection) -> Self {
        self.excluded_connections.push(Arc::clone(connection.shared()));
        self
    }

    /// Leaves out who is in this room while the broadcast runs.
    pub fn except_room(mut self, room: impl AsRef<str>) -> Self {
        self.excluded.push((Kind::Room, room.as_ref().into()));
        self
    }

    /// Leaves out all connections of a user.
    pub fn except_user(mut self, user: impl AsRef<str>) -> Self {
        self.excluded.push((Kind::User, user.as_ref().into()));
        self
    }

    /// Queues a frame for the audience, as [`Server::broadcast`] does for a room. Nobody is no error.
    ///
    /// # Errors
    ///
    /// See [`Server::broadcast`].
    pub fn broadcast(&self, frame: impl Into<Outgoing>) -> Result<FanOut, BroadcastError> {
        let outgoing = frame.into();
        let rooms = self.included.iter().filter(|(kind, _)| *kind == Kind::Room);
        if !outgoing.is_volatile()
            && let Some(room) = self.server.logged_among(rooms.map(|(_, room)| room))
        {
            let (frame, room) = (Box::new(outgoing.into_frame()), room.to_string());
            return Err(BroadcastError::Logged { frame, room });
        }
        self.server.fan_out_to(|| self.addressees(), outgoing)
    }

    fn addressees(&self) -> Addressees {
        Addressees {
            groups: self.find(&self.included),
            room: match &self.included[..] {
                [(Kind::Room, room)] => Some(Arc::clone(room)),
                [] | [(Kind::User, _)] | [_, _, ..] => None,
            },
            excluded: self.find(&self.excluded),
            excluded_connections: self.excluded_connections.clone(),
            elsewhere: self.server.speaker().map(|speaker| Elsewhere {
                speaker: Arc::clone(speaker),
                included: targets(&self.included),
                excluded: targets(&self.excluded),
            }),
        }
    }

    fn find(&self, named: &[(Kind, Arc<str>)]) -> Vec<Arc<Group>> {
        let mut groups: Vec<Arc<Group>> = Vec::with_capacity(named.len());
        for (kind, name) in named {
            if let Some(group) = self.server.group(*kind, name)
                && !groups.iter().any(|known| Arc::ptr_eq(known, &group))
            {
                groups.push(group);
            }
        }
        groups
    }
}

/// As other servers know them, each once.
fn targets(named: &[(Kind, Arc<str>)]) -> Vec<Target> {
    let mut targets = Vec::with_capacity(named.len());
    for (kind, name) in named {
        let target = target_of(kind.space(), name);
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audience")
            .field("included", &self.included)
            .field("excluded", &self.excluded)
            .field("excluded_connections", &self.excluded_connections.len())
            .finish_non_exhaustive()
    }
}
