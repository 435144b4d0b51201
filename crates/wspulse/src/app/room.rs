//! Rooms: who hears a broadcast, and in which order.

mod audience;
mod log;
mod user;

use std::fmt;
use std::sync::Arc;

use wspulse_core::{Frame, Outgoing};

use crate::app::connection::Connection;
use crate::app::request::RoomRequest;
use crate::app::server::{FanOut, Server, ToGroup};
use crate::membership::shared::ConnectionShared;
use crate::membership::{Group, Kind, Reach};
use crate::settings::error::BroadcastError;

pub use audience::Audience;
pub use log::{Append, LoggedFrame};
pub use user::User;

/// A handle to a room by its name. A room exists while it has members; a handle outlives it and
/// finds it again.
#[derive(Clone)]
pub struct Room {
    server: Server,
    reference: Reference,
    reach: Reach,
}

/// How a room is found.
#[derive(Clone)]
enum Reference {
    Name(Arc<str>),
    /// This one, while it has members; else by its name.
    Group(Arc<Group>),
}

impl Room {
    pub(crate) const fn new(server: Server, id: Arc<str>) -> Self {
        Self { server, reference: Reference::Name(id), reach: Reach::Cluster }
    }

    pub(crate) const fn of(server: Server, group: Arc<Group>) -> Self {
        Self { server, reference: Reference::Group(group), reach: Reach::Cluster }
    }

    pub(super) const fn reach(&self) -> Reach {
        self.reach
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// The room's id.
    pub fn id(&self) -> &str {
        match &self.reference {
            Reference::Name(id) => id,
            Reference::Group(group) => group.name(),
        }
    }

    pub(super) fn group(&self) -> Option<Arc<Group>> {
        match &self.reference {
            Reference::Group(group) if group.len() > 0 => Some(Arc::clone(group)),
            Reference::Group(_) | Reference::Name(_) => self.server.group(Kind::Room, self.id()),
        }
    }

    /// The same room, whose broadcasts go to its members on this server alone, and whose
    /// [presence](Self::presence) is theirs alone. Without a [cluster](crate::cluster) there is no
    /// difference.
    #[must_use]
    pub fn local(&self) -> Self {
        Self { reach: Reach::Here, ..self.clone() }
    }

    fn addressed<'a>(&'a self, excluded: Option<&'a Arc<ConnectionShared>>) -> ToGroup<'a> {
        let (kind, name, group) = (Kind::Room, self.id(), self.group());
        ToGroup { kind, name, group, excluded, reach: self.reach }
    }

    /// Queues a frame for all members, as [`Server::broadcast`] does.
    ///
    /// # Errors
    ///
    /// See [`Server::broadcast`].
    pub fn broadcast(&self, frame: impl Into<Outgoing>) -> Result<FanOut, BroadcastError> {
        self.server.fan_out(self.addressed(None), frame.into())
    }

    /// Queues a frame for all members but one, as [`Server::broadcast_except`] does.
    ///
    /// # Errors
    ///
    /// See [`Server::broadcast`].
    pub fn broadcast_except(
        &self,
        excluded: &Connection,
        frame: impl Into<Outgoing>,
    ) -> Result<FanOut, BroadcastError> {
        self.server.fan_out(self.addressed(Some(excluded.shared())), frame.into())
    }

    /// Asks all members, each of which answers for itself, as [`Connection::request`] asks one.
    ///
    /// ```
    /// # async fn vote(room: wspulse::Room) -> Result<(), Box<dyn std::error::Error>> {
    /// let question = wspulse::Frame::new("vote").json("lunch at noon?")?;
    /// for (member, answer) in room.request(question).within(std::time::Duration::from_secs(10)).await? {
    ///     match answer {
    ///         Ok(reply) => println!("{}: {}", member.id(), reply.to_json::<bool>()?),
    ///         Err(error) => println!("{}: {error}", member.id()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self, frame: Frame) -> RoomRequest {
        RoomRequest::new(self.clone(), frame)
    }

    /// The members at this instant, suspended ones included, in no particular order.
    pub fn connections(&self) -> Vec<Connection> {
        self.group().map_or_else(Vec::new, |group| Connection::all(group.snapshot()))
    }

    /// The number of members at this instant, suspended ones included.
    pub fn len(&self) -> usize {
        self.group().map_or(0, |group| group.len())
    }

    /// Whether the room has no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", &self.id()).finish_non_exhaustive()
    }
}
