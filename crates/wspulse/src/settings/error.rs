//! What the server's own operations can fail with.

mod append;
mod buffer_limit;
mod cluster;
mod presence;
mod request;

use std::error::Error;
use std::fmt;

use wspulse_core::codec::EncodeError;
use wspulse_core::{Escaped, Frame, Overflow};

pub use append::{AppendError, HistoryError};
pub use buffer_limit::BufferLimit;
pub use cluster::{NotKicked, NotSent};
pub use presence::PresenceError;
pub use request::{RequestError, RequestLimit};

/// Why it cannot be said that all has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAcknowledged {
    /// The server promises no delivery, so nobody is asked.
    #[error("wspulse: frames are not acknowledged; see ServerBuilder::delivery")]
    NotPromised,
    /// The client, or a gateway in front of it, answered no Ping with its payload, so frames were
    /// taken for arrived. An answer to a later one on the same transport is one for them as well.
    #[error("wspulse: the client does not answer what it is asked, so what arrives is not known")]
    Unanswered,
    /// The connection has ended before.
    #[error("wspulse: the connection ended before all frames were acknowledged")]
    Closed,
    /// The callback of the connection that waited has so many messages of the client behind it that
    /// the acknowledgement is not read before it returns; see
    /// [`ServerBuilder::read_ahead`](crate::ServerBuilder::read_ahead).
    #[error("wspulse: too many messages wait in front of the acknowledgement; see read_ahead")]
    Overloaded,
}

/// Why a connection was not renewed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// It has ended, perhaps because it had expired.
    #[error("wspulse: connection {id:?} has ended and cannot be renewed")]
    Closed {
        /// Its id.
        id: String,
    },
}

/// A frame that was not accepted, with the reason. [`into_frame`](Self::into_frame) gives it back.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// No connection has this id.
    NotFound {
        /// The frame.
        frame: Box<Frame>,
        /// The id that nobody has.
        id: String,
    },
    /// The connection has ended.
    Closed {
        /// The frame.
        frame: Box<Frame>,
    },
    /// A send buffer is full: the peer reads slower than frames are sent to it, or, at
    /// [`BufferLimit::ServerBytes`], all peers together do.
    Full {
        /// The frame.
        frame: Box<Frame>,
        /// The bound that was reached.
        limit: BufferLimit,
    },
    /// Where the buffer is full, this frame would make others drop whose delivery is
    /// [promised](crate::ServerBuilder::delivery).
    BreaksPromise {
        /// The frame.
        frame: Box<Frame>,
        /// What it asks for.
        overflow: Overflow,
    },
    /// The codec cannot express the frame, or the frame's key is too long
    /// ([`KeyTooLong`](crate::KeyTooLong)).
    Encode {
        /// The frame.
        frame: Box<Frame>,
        /// The codec's error, or that of the key.
        source: EncodeError,
    },
}

impl SendError {
    /// The frame that was not accepted.
    pub fn into_frame(self) -> Frame {
        match self {
            Self::NotFound { frame, .. }
            | Self::Closed { frame }
            | Self::Full { frame, .. }
            | Self::BreaksPromise { frame, .. }
            | Self::Encode { frame, .. } => *frame,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { id, .. } => write!(f, "wspulse: connection {id:?} not found"),
            Self::Closed { .. } => f.write_str("wspulse: connection is closed"),
            Self::Full { limit, .. } => {
                write!(f, "wspulse: send buffer full at {limit}, frame not accepted")
            }
            Self::BreaksPromise { overflow, .. } => write_breaks_promise(f, *overflow),
            Self::Encode { frame, source } => {
                f.write_str("wspulse: ")?;
                write_encode(f, frame, source)
            }
        }
    }
}

fn write_breaks_promise(f: &mut fmt::Formatter<'_>, overflow: Overflow) -> fmt::Result {
    write!(f, "wspulse: Overflow::{overflow:?} is not allowed where delivery is promised")
}

fn write_encode(f: &mut fmt::Formatter<'_>, frame: &Frame, source: &EncodeError) -> fmt::Result {
    let (event, cause) = (frame.event(), Escaped::display(source.get_ref()));
    write!(f, "frame with event {event:?} cannot be encoded: {cause}")
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { source, .. } => Some(source.get_ref()),
            Self::NotFound { .. }
            | Self::Closed { .. }
            | Self::Full { .. }
            | Self::BreaksPromise { .. } => None,
        }
    }
}

/// A frame that was not broadcast, with the reason. [`into_frame`](Self::into_frame) gives it back.
#[derive(Debug)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The server is closed.
    ServerClosed {
        /// The frame.
        frame: Box<Frame>,
    },
    /// A member whose buffer is full would not get the frame and go on, although its delivery is
    /// [promised](crate::ServerBuilder::delivery). Nobody gets it.
    BreaksPromise {
        /// The frame.
        frame: Box<Frame>,
        /// What it asks for.
        overflow: Overflow,
    },
    /// A codec cannot express the frame, or the frame's key is too long
    /// ([`KeyTooLong`](crate::KeyTooLong)). Nobody gets it, whatever the codec.
    Encode {
        /// The frame.
        frame: Box<Frame>,
        /// The codec's name, on a server that has several codecs.
        codec: Option<String>,
        /// The codec's error.
        source: EncodeError,
    },
    /// The frame cannot be said to the other servers of the cluster. Nobody gets it.
    TooLarge {
        /// The frame.
        frame: Box<Frame>,
        /// How many bytes would be said: its own, and, for an audience of many groups, their names.
        bytes: usize,
        /// How many may be.
        bytes_max: usize,
    },
    /// The room has a log, from which alone its members hear frames. Nobody gets it.
    Logged {
        /// The frame.
        frame: Box<Frame>,
        /// The room's id.
        room: String,
    },
}

impl BroadcastError {
    /// The frame that was not broadcast.
    pub fn into_frame(self) -> Frame {
        match self {
            Self::ServerClosed { frame }
            | Self::BreaksPromise { frame, .. }
            | Self::TooLarge { frame, .. }
            | Self::Logged { frame, .. }
            | Self::Encode { frame, .. } => *frame,
        }
    }
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerClosed { .. } => f.write_str("wspulse: server is closed"),
            Self::BreaksPromise { overflow, .. } => write_breaks_promise(f, *overflow),
            Self::TooLarge { bytes, bytes_max, .. } => write!(
                f,
                "wspulse: {bytes} bytes are too many for the cluster's other servers, which take \
                 {bytes_max}: split the frame, or name fewer groups at a time"
            ),
            Self::Logged { room, .. } => write!(
                f,
                "wspulse: room {room:?} has a log: use Room::append, or make the frame volatile"
            ),
            Self::Encode { frame, codec, source } => {
                f.write_str("wspulse: ")?;
                if let Some(codec) = codec {
                    write!(f, "codec {codec:?}: ")?;
                }
                write_encode(f, frame, source)
            }
        }
    }
}

impl Error for BroadcastError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { source, .. } => Some(source.get_ref()),
            Self::ServerClosed { .. }
            | Self::BreaksPromise { .. }
            | Self::TooLarge { .. }
            | Self::Logged { .. } => None,
        }
    }
}

/// Why a connection has not joined a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The connection has ended.
    #[error("wspulse: room {room:?} not joined: connection is closed")]
    Closed {
        /// The room's id.
        room: String,
    },
    /// It is in as many rooms as it may be.
    #[error(
        "wspulse: room {room:?} not joined: the connection is in {rooms_max} rooms; leave one, or \
         raise max_rooms_per_connection"
    )]
    TooManyRooms {
        /// The room's id.
        room: String,
        /// `max_rooms_per_connection`.
        rooms_max: usize,
    },
}

/// Why nobody was kicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KickError {
    /// No connection has this id.
    #[error("wspulse: connection {id:?} not found")]
    NotFound {
        /// The id that nobody has.
        id: String,
    },
    /// The server is closed.
    #[error("wspulse: server is closed")]
    ServerClosed,
}

/// The server is closed and takes no connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("wspulse: server is closed")]
pub struct ServerClosed;

/// An option whose value is out of its range, or that lacks another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("wspulse: {option}: {rule}, but is {value}")]
pub struct ConfigError {
    option: &'static str,
    value: String,
    rule: &'static str,
}

impl ConfigError {
    pub(crate) fn new(option: &'static str, value: impl fmt::Debug, rule: &'static str) -> Self {
        Self { option, value: format!("{value:?}"), rule }
    }

    /// The name of the option, as on [`ServerBuilder`](crate::ServerBuilder).
    pub const fn option(&self) -> &'static str {
        self.option
    }

    /// The refused value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What a valid value must fulfil.
    pub const fn rule(&self) -> &'static str {
        self.rule
    }
}
