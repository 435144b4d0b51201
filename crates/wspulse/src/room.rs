//! Rooms: who hears a broadcast, and in which order.

mod members;
mod present;
mod waves;

use std::fmt;
use std::sync::Arc;

use wspulse_core::Frame;

use crate::connection::Connection;
use crate::error::BroadcastError;
use crate::request::RoomRequest;
use crate::server::Server;

pub(crate) use members::{Addressed, FanOut, Members, Overflow};
pub(crate) use waves::RunningWaves;

/// A handle to a room by its name. A room exists while it has members; a handle outlives it and
/// finds it again.
#[derive(Clone)]
pub struct Room {
    server: Server,
    id: Arc<str>,
}

impl Room {
    pub(crate) const fn new(server: Server, id: Arc<str>) -> Self {
        Self { server, id }
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// The room's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Queues a frame for all members, as [`Server::broadcast`] does.
    ///
    /// # Errors
    ///
    /// See [`Server::broadcast`].
    pub fn broadcast(&self, frame: Frame) -> Result<usize, BroadcastError> {
        self.server.broadcast(&self.id, frame)
    }

    /// Queues a frame for all members but one, as [`Server::broadcast_except`] does.
    ///
    /// # Errors
    ///
    /// See [`Server::broadcast`].
    pub fn broadcast_except(
        &self,
        excluded: &Connection,
        frame: Frame,
    ) -> Result<usize, BroadcastError> {
        self.server.broadcast_except(&self.id, excluded, frame)
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
        self.server.connections(&self.id)
    }

    /// The number of members at this instant, suspended ones included.
    pub fn len(&self) -> usize {
        self.server.room_len(&self.id)
    }

    /// Whether the room has no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", &self.id).finish_non_exhaustive()
    }
}
