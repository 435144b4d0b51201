//! The states of a session, each with what is known in it. Only the session changes them.

use std::time::Instant;

use crate::close::CloseFrame;
use crate::disconnect::TransportLost;
use crate::heartbeat::Heartbeat;
use crate::session::writing::Writing;

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
