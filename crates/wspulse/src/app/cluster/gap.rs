//! What those who are here will not hear of another server.

use wspulse_core::cluster::{Missed, NodeId};

use crate::app::connection::Connection;
use crate::app::room::{Room, User};
use crate::observe::metrics::{FramesMissed, GroupKind};

/// Frames of another server that are lost for those who are here: it had them no more when this server
/// asked, or did not answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Gap {
    /// The server that has said them.
    pub origin: NodeId,
    /// Who lacks them.
    pub within: GapIn,
    /// How many they are.
    pub missed: Missed,
}

/// Who lacks what is lost.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum GapIn {
    /// The members of this room.
    Room(Room),
    /// The connections of this user.
    User(User),
    /// All connections.
    Everybody,
    /// A connection whose session has come from another server.
    Connection(Connection),
}

impl GapIn {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Room(room) => room.id(),
            Self::User(user) => user.id(),
            Self::Everybody => "",
            Self::Connection(connection) => connection.room_id(),
        }
    }
}

impl Gap {
    /// How many they are, if it is known.
    pub(super) const fn frames(&self) -> Option<u64> {
        match self.missed {
            Missed::Frames(frames) => Some(frames),
            Missed::Unknown | _ => None,
        }
    }

    /// As hooks are told it; users are not told of by name.
    pub(super) fn as_event(&self) -> FramesMissed<'_> {
        let (group, room) = match &self.within {
            GapIn::Room(room) => (GroupKind::Room, room.id()),
            GapIn::User(_) => (GroupKind::User, ""),
            GapIn::Everybody => (GroupKind::Everybody, ""),
            GapIn::Connection(connection) => (GroupKind::Room, connection.room_id()),
        };
        FramesMissed { group, room, frames: self.frames() }
    }
}
