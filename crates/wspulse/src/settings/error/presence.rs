//! What presence can fail with.

use wspulse_core::codec::EncodeError;

/// Why a room's presence is not told, or not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// The room has none, by the rule of
    /// [`room_options`](crate::ServerBuilder::room_options).
    #[error("wspulse: room {room:?} has no presence; see RoomOptions::presence")]
    NoPresence {
        /// The room's id.
        room: String,
    },
    /// The connection is not in the room.
    #[error("wspulse: connection {id:?} is not in room {room:?}")]
    NotMember {
        /// The room's id.
        room: String,
        /// The connection's id.
        id: String,
    },
    /// The metadata is too large.
    #[error("wspulse: presence metadata has {bytes} bytes of JSON, at most {bytes_max} may be")]
    TooLarge {
        /// Its size, in bytes of JSON.
        bytes: usize,
        /// The bound, in bytes of JSON.
        bytes_max: usize,
    },
    /// The metadata has arrays or objects in too many others.
    #[error(
        "wspulse: presence metadata is nested {levels} levels deep, at most {levels_max} may be"
    )]
    TooDeep {
        /// Its levels.
        levels: usize,
        /// The bound.
        levels_max: usize,
    },
    /// The metadata cannot be written as JSON, or a codec of the server's cannot express them, whoever
    /// is in the room: half a surrogate pair, for instance, or a number that is too large.
    #[error("wspulse: presence metadata cannot be encoded{}", by(codec.as_deref()))]
    Encode {
        /// The codec's name, if it is a codec that cannot express them and has one.
        codec: Option<String>,
        /// Why.
        source: EncodeError,
    },
}

fn by(codec: Option<&str>) -> String {
    codec.map(|codec| format!(" by codec {codec:?}")).unwrap_or_default()
}
