//! The rooms of a connection, beyond its home room, and its user.

use super::Connection;
use crate::app::room::Room;
use crate::membership::shared::ConnectionShared;
use crate::membership::{Kind, NotJoined};
use crate::observe::metrics::Limit;
use crate::settings::error::JoinError;

impl Connection {
    /// Makes it a member of a room, beside those that it is in. It hears every broadcast to that room
    /// that begins after this returns. Its rooms survive suspensions and resumes, and end with it.
    ///
    /// Returns whether it was not a member before. A client joins nothing by itself: a handler
    /// decides, for instance on a frame that asks for it.
    ///
    /// ```
    /// use wspulse::{Connection, Frame, JoinError};
    ///
    /// fn enter(conn: &Connection, room: &str) -> Result<(), JoinError> {
    ///     conn.join(room)?;
    ///     let _ = conn.server().broadcast(room, Frame::new("entered"));
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`JoinError::Closed`] after its end; [`JoinError::TooManyRooms`] if it is in
    /// [`max_rooms_per_connection`](crate::ServerBuilder::max_rooms_per_connection) rooms.
    pub fn join(&self, room: &str) -> Result<bool, JoinError> {
        match self.server().join(self.shared(), Kind::Room, room) {
            Ok(()) => Ok(true),
            Err(NotJoined::IsMember) => Ok(false),
            Err(NotJoined::HasEnded) => Err(JoinError::Closed { room: room.to_owned() }),
            Err(NotJoined::TooManyRooms { rooms_max }) => {
                self.shared().report_limit(Limit::RoomsPerConnection);
                Err(JoinError::TooManyRooms { room: room.to_owned(), rooms_max })
            }
        }
    }

    /// Takes it out of a room, also out of its home room. It hears no broadcast to that room that
    /// begins after this returns; what is queued already is still sent.
    ///
    /// Returns whether it was a member. [`room_id`](Self::room_id) keeps the home room's name.
    pub fn leave(&self, room: &str) -> bool {
        self.server().leave(self.shared(), Kind::Room, room)
    }

    /// The rooms that it is in at this instant, its home room first; none after its end.
    pub fn rooms(&self) -> Vec<Room> {
        let groups = self.shared().rooms();
        groups.into_iter().map(|group| Room::of(self.server().clone(), group)).collect()
    }

    /// Whether it is in this room at this instant.
    pub fn is_in(&self, room: &str) -> bool {
        let group = self.server().group(Kind::Room, room);
        group.is_some_and(|group| self.shared().is_in(&group))
    }

    /// The user that [`Admission::user`](crate::Admission::user) named.
    pub fn user_id(&self) -> Option<&str> {
        self.shared().user_id()
    }
}

impl ConnectionShared {
    pub(crate) fn user_id(&self) -> Option<&str> {
        self.user.as_deref().map(|user| &**user.name())
    }
}
