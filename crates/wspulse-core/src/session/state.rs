//! The states of a session, each with what is known in it. Only the session changes them.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::close::CloseFrame;
use crate::disconnect::TransportLost;
use crate::heartbeat::Heartbeat;

#[derive(Debug)]
pub(super) enum State {
    /// Registered; the first transport is still being upgraded.
    Opening,
    Connected(Link),
    Suspended {
        grace_deadline: Instant,
        cause: TransportLost,
    },
    /// Without a transport and a resume window: the end is asked for and about to be told.
    Lost {
        cause: TransportLost,
    },
    /// Ended; what was accepted is being written to the transport.
    Flushing {
        close: CloseFrame,
        deadline: Instant,
    },
    /// Ended while the transport was being upgraded: it will be told.
    AwaitingTransport {
        close: CloseFrame,
        deadline: Instant,
    },
    Closed,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) heartbeat: Heartbeat,
    pub(super) writing: Writing,
}

/// What the socket last said to a write.
#[derive(Debug)]
pub(super) enum Writing {
    /// It has taken all there was.
    Flowing,
    /// It takes nothing for now. The frame in hand must have been taken by the deadline.
    Blocked { deadline: Instant },
    /// It never takes anything again. What the peer has sent before can still be read, until the
    /// deadline.
    Failed { deadline: Instant, error: Arc<io::Error> },
}

impl Writing {
    pub(super) const fn is_flowing(&self) -> bool {
        matches!(self, Self::Flowing)
    }

    pub(super) const fn has_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    pub(super) const fn deadline_mut(&mut self) -> Option<&mut Instant> {
        match self {
            Self::Flowing => None,
            Self::Blocked { deadline } | Self::Failed { deadline, .. } => Some(deadline),
        }
    }

    /// When the transport is given up. A failed one is not while nothing is read from it.
    pub(super) const fn deadline(&self, is_reading: bool) -> Option<Instant> {
        match self {
            Self::Flowing => None,
            Self::Blocked { deadline } => Some(*deadline),
            Self::Failed { deadline, .. } => {
                if is_reading {
                    Some(*deadline)
                } else {
                    None
                }
            }
        }
    }

    /// Why the transport is given up at the deadline.
    pub(super) fn cause(&self) -> TransportLost {
        match self {
            Self::Flowing | Self::Blocked { .. } => TransportLost::WriteTimeout,
            Self::Failed { error, .. } => TransportLost::Io(Arc::clone(error)),
        }
    }
}
