//! What appending to a room's log, and reading it, fails with.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use wspulse_core::codec::EncodeError;
use wspulse_core::{Frame, Overflow};

use super::{write_breaks_promise, write_encode};
use crate::cluster::AppendId;

/// Why it cannot be said that a frame is in a room's log. [`into_frame`](Self::into_frame) gives it back.
/// Only after [`Unknown`](Self::Unknown) may it be there all the same.
#[derive(Debug)]
#[non_exhaustive]
pub enum AppendError {
    /// The room has no log.
    NotLogged {
        /// The frame.
        frame: Box<Frame>,
        /// The room's id.
        room: String,
    },
    /// The server is closed.
    ServerClosed {
        /// The frame.
        frame: Box<Frame>,
    },
    /// A codec cannot express the frame, or the frame's key is too long
    /// ([`KeyTooLong`](crate::KeyTooLong)).
    Encode {
        /// The frame.
        frame: Box<Frame>,
        /// The codec's error, or that of the key.
        source: EncodeError,
    },
    /// A member whose buffer is full would not get the frame and go on, although its delivery is
    /// [promised](crate::ServerBuilder::delivery).
    BreaksPromise {
        /// The frame.
        frame: Box<Frame>,
        /// What it asks for.
        overflow: Overflow,
    },
    /// The frame is volatile: what may be lost is not kept.
    Volatile {
        /// The frame.
        frame: Box<Frame>,
    },
    /// The frame is larger than what the log takes.
    TooLarge {
        /// The frame.
        frame: Box<Frame>,
        /// How many bytes it would take.
        bytes: usize,
        /// How many may be.
        bytes_max: usize,
    },
    /// The log cannot be reached: the frame is not in it.
    Unavailable {
        /// The frame.
        frame: Box<Frame>,
    },
    /// The log takes no more: the frame is not in it.
    Full {
        /// The frame.
        frame: Box<Frame>,
    },
    /// The log has not answered in time: the frame may be in it, or come into it. It can be appended
    /// again [with this id](crate::Append::with_id), and is there once then.
    Unknown {
        /// The frame.
        frame: Box<Frame>,
        /// By which the log knows it again, for two minutes.
        id: AppendId,
        /// How long it had.
        within: Duration,
    },
}

impl AppendError {
    /// The frame.
    pub fn into_frame(self) -> Frame {
        match self {
            Self::NotLogged { frame, .. }
            | Self::ServerClosed { frame }
            | Self::Encode { frame, .. }
            | Self::BreaksPromise { frame, .. }
            | Self::Volatile { frame }
            | Self::TooLarge { frame, .. }
            | Self::Unavailable { frame }
            | Self::Full { frame }
            | Self::Unknown { frame, .. } => *frame,
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLogged { room, .. } => write_not_logged(f, room),
            Self::ServerClosed { .. } => f.write_str("wspulse: server is closed"),
            Self::Encode { frame, source } => {
                f.write_str("wspulse: ")?;
                write_encode(f, frame, source)
            }
            Self::BreaksPromise { overflow, .. } => write_breaks_promise(f, *overflow),
            Self::Volatile { .. } => f.write_str(
                "wspulse: a volatile frame is not appended to a log: broadcast it, or append one \
                 that is not volatile",
            ),
            Self::TooLarge { bytes, bytes_max, .. } => write!(
                f,
                "wspulse: {bytes} bytes are too many for the log, which takes {bytes_max}: split the \
                 frame"
            ),
            Self::Unavailable { .. } => f.write_str(
                "wspulse: the log cannot be reached, and the frame was not appended: try again later",
            ),
            Self::Full { .. } => f.write_str(
                "wspulse: the log is full, and the frame was not appended: give it more room, or a \
                 shorter time",
            ),
            Self::Unknown { id, within, .. } => write!(
                f,
                "wspulse: the log has not answered within {within:?}, and may have the frame: append \
                 it again with the id {id}, so that it is there once"
            ),
        }
    }
}

impl Error for AppendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { source, .. } => Some(source.get_ref()),
            Self::NotLogged { .. }
            | Self::ServerClosed { .. }
            | Self::BreaksPromise { .. }
            | Self::Volatile { .. }
            | Self::TooLarge { .. }
            | Self::Unavailable { .. }
            | Self::Full { .. }
            | Self::Unknown { .. } => None,
        }
    }
}

/// Why a room's log was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryError {
    /// The room has no log.
    NotLogged {
        /// The room's id.
        room: String,
    },
    /// The log cannot be read now.
    Unavailable,
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLogged { room } => write_not_logged(f, room),
            Self::Unavailable => f.write_str("wspulse: the log cannot be read now"),
        }
    }
}

impl Error for HistoryError {}

fn write_not_logged(f: &mut fmt::Formatter<'_>, room: &str) -> fmt::Result {
    write!(f, "wspulse: room {room:?} has no log: say by logged_rooms that it has one")
}
