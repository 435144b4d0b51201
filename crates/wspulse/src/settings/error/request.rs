//! What a request to a client fails with.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use wspulse_core::{Escaped, Frame};

use super::SendError;

/// Why there is no reply to a request. [`into_frame`](Self::into_frame) gives the request back
/// where it was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum RequestError {
    /// No reply has come in time. The client may have handled the request.
    TimedOut {
        /// The time that was given.
        within: Duration,
    },
    /// The connection has ended.
    Closed {
        /// The request, if it had ended before that was sent.
        frame: Option<Box<Frame>>,
    },
    /// A bound was reached.
    Overloaded {
        /// The request, if it was not sent.
        frame: Option<Box<Frame>>,
        /// The bound.
        limit: RequestLimit,
    },
    /// A request with this id waits for its reply already, and this one was not sent.
    DuplicateId {
        /// The request.
        frame: Box<Frame>,
    },
    /// The request was not sent: the send buffer is full, or the codec cannot express it.
    NotSent(SendError),
    /// The client has answered with an error.
    Refused {
        /// The reply, whose event is that of errors.
        reply: Box<Frame>,
    },
}

/// The bound that a request has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestLimit {
    /// So many requests to the client wait for their replies, set by
    /// [`max_requests`](crate::ServerBuilder::max_requests).
    Outstanding {
        /// The bound, in requests.
        requests_max: usize,
    },
    /// So much has come of the client in front of the reply that it is not read before a callback of the
    /// connection returns, set by [`read_ahead`](crate::ServerBuilder::read_ahead).
    ReadAhead {
        /// The bound, in messages.
        messages_max: usize,
        /// The bound, in bytes.
        bytes_max: usize,
    },
}

impl RequestError {
    /// The request, if it was not sent.
    pub fn into_frame(self) -> Option<Frame> {
        match self {
            Self::Closed { frame } | Self::Overloaded { frame, .. } => frame.map(|frame| *frame),
            Self::DuplicateId { frame } => Some(*frame),
            Self::NotSent(error) => Some(error.into_frame()),
            Self::TimedOut { .. } | Self::Refused { .. } => None,
        }
    }
}

impl From<SendError> for RequestError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed { frame } => Self::Closed { frame: Some(frame) },
            error @ (SendError::NotFound { .. }
            | SendError::Full { .. }
            | SendError::BreaksPromise { .. }
            | SendError::Encode { .. }) => Self::NotSent(error),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { within } => write!(f, "wspulse: no reply within {within:?}"),
            Self::Closed { frame: None } => {
                f.write_str("wspulse: the connection ended before a reply came")
            }
            Self::Closed { frame: Some(_) } => {
                f.write_str("wspulse: connection is closed, request not sent")
            }
            Self::Overloaded { limit, .. } => write!(f, "wspulse: {limit}"),
            Self::DuplicateId { frame } => {
                let id = Escaped::new(frame.id());
                write!(f, "wspulse: a request with the id {id} waits already")
            }
            Self::NotSent(error) => error.fmt(f),
            Self::Refused { .. } => f.write_str("wspulse: the client has answered with an error"),
        }
    }
}

impl Error for RequestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Its text is this one's already.
            Self::NotSent(error) => error.source(),
            Self::TimedOut { .. }
            | Self::Closed { .. }
            | Self::Overloaded { .. }
            | Self::DuplicateId { .. }
            | Self::Refused { .. } => None,
        }
    }
}

impl fmt::Display for RequestLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outstanding { requests_max } => {
                write!(
                    f,
                    "{requests_max} requests to the client wait for replies, one more not sent"
                )
            }
            Self::ReadAhead { messages_max, bytes_max } => write!(
                f,
                "{messages_max} messages, or {bytes_max} bytes of them, wait in front of the reply"
            ),
        }
    }
}
