//! What a client's operations fail with.

use std::time::Duration;

use wspulse_core::Frame;
use wspulse_core::codec::EncodeError;

use crate::session::{Outcome, Refused};
use crate::target::TargetError;

/// A frame that was not sent, or of which nothing more will be known. It is given back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It was sent, and its session has ended: whether the server has handled it will never be
    /// known.
    #[error("the session has ended, and whether the frame was handled is not known")]
    #[non_exhaustive]
    Lost {
        /// The frame.
        frame: Box<Frame>,
    },
    /// It was never sent: the client has ended.
    #[error("the client has ended, and the frame was not sent")]
    #[non_exhaustive]
    Closed {
        /// The frame.
        frame: Box<Frame>,
    },
    /// It was never sent: the server, or the outbox, takes nothing so long.
    #[error("the frame is longer than the {bytes_max} bytes that a message may have")]
    #[non_exhaustive]
    TooLong {
        /// The frame.
        frame: Box<Frame>,
        /// The longest message there may be.
        bytes_max: u64,
    },
    /// It was not taken over: as much waits as may. Wait for some of it, or raise
    /// `outbox_messages_max` or `outbox_bytes_max`.
    #[error("the outbox is full")]
    #[non_exhaustive]
    Full {
        /// The frame.
        frame: Box<Frame>,
    },
    /// The codec cannot express it.
    #[error("{source}")]
    #[non_exhaustive]
    Unencodable {
        /// The frame.
        frame: Box<Frame>,
        /// What is wrong with it.
        source: EncodeError,
    },
}

impl SendError {
    /// The frame.
    pub fn frame(&self) -> &Frame {
        match self {
            Self::Lost { frame }
            | Self::Closed { frame }
            | Self::TooLong { frame, .. }
            | Self::Full { frame }
            | Self::Unencodable { frame, .. } => frame,
        }
    }

    /// Takes the frame back.
    pub fn into_frame(self) -> Frame {
        match self {
            Self::Lost { frame }
            | Self::Closed { frame }
            | Self::TooLong { frame, .. }
            | Self::Full { frame }
            | Self::Unencodable { frame, .. } => *frame,
        }
    }

    pub(crate) fn refused(refused: Refused, frame: Frame) -> Self {
        let frame = Box::new(frame);
        match refused {
            Refused::Closed => Self::Closed { frame },
            Refused::TooLong { bytes_max } => Self::TooLong { frame, bytes_max },
            Refused::Full => Self::Full { frame },
        }
    }

    /// What a waiter is told.
    pub(crate) fn settled(outcome: Outcome, frame: Frame) -> Result<(), Self> {
        match outcome {
            Outcome::Handled => Ok(()),
            Outcome::Lost => Err(Self::Lost { frame: frame.into() }),
            Outcome::Closed => Err(Self::Closed { frame: frame.into() }),
            Outcome::TooLong { bytes_max } => Err(Self::TooLong { frame: frame.into(), bytes_max }),
        }
    }
}

/// A request without a reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was not sent, or of what became of it nothing is known.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server has answered with an error.
    #[error("the server has answered with an error")]
    Failed(Box<Frame>),
    /// No reply came in time. The request may have been handled; a reply that comes late is an
    /// ordinary message.
    #[error("no reply within {_0:?}")]
    Timeout(Duration),
    /// The session that has handled the request, or the client, has ended before a reply came. As
    /// after [`SendError::Lost`], ask again only if a second answer does no harm.
    #[error("the session has ended before a reply to the request came")]
    Ended,
    /// A request with this id waits for its reply already.
    #[error("a request with the id {:?} waits already", _0.id())]
    DuplicateId(Box<Frame>),
}

/// A client that cannot be made as it was described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nothing can be connected to there.
    #[error("wspulse-client: target: {_0}")]
    Target(#[from] TargetError),
    /// An option is out of its bounds.
    #[error("wspulse-client: {option}: {rule}")]
    #[non_exhaustive]
    Option {
        /// The option's name.
        option: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// TLS could not be prepared.
    #[cfg(feature = "rustls")]
    #[error("wspulse-client: TLS: {_0}")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}
