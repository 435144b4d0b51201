//! Transports, from their upgrade on, and what is known of them.

use std::collections::VecDeque;
use std::time::Instant;

use wspulse_core::outbound::ControlLane;
use wspulse_core::{Disconnect, TransportLost};

use crate::client::{Attempt, Said};
use crate::journal::TransportNumber;
use crate::socket::{Socket, Takes};

pub(crate) enum Mail {
    Upgrade(Upgrade),
    End(Disconnect, Instant),
    PredecessorFinished,
    Expiry(Instant),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Upgrade {
    pub(crate) done_at: Instant,
    pub(crate) succeeds: bool,
    pub(crate) socket_takes: Takes,
    /// Known once the session was told of it.
    pub(crate) deadline: Instant,
    /// Of the client's.
    pub(crate) attempt: Attempt,
    /// How many frames the client says to have, if it comes back and counts.
    pub(crate) count: Option<u64>,
}

/// The current transport.
pub(crate) struct Link {
    pub(crate) number: TransportNumber,
    pub(crate) socket: Socket,
    pub(crate) lane: ControlLane,
    pub(crate) blocked: bool,
    pub(crate) blocked_since: Option<Instant>,
    pub(crate) ping_at: Instant,
    pub(crate) heard_at: Instant,
    pub(crate) pings_sent: u32,
    pub(crate) pings_received: u32,
    /// When the message that has begun must be complete.
    pub(crate) message_deadline: Option<Instant>,
    /// The client's attempt that it belongs to.
    pub(crate) attempt: Attempt,
    /// What the client has said and the server has not read.
    pub(crate) said: VecDeque<Said>,
    /// What its questions carry, if they are Pings.
    pub(crate) nonce: Option<u64>,
    /// The client was told where it is.
    pub(crate) is_greeted: bool,
    /// What the client has asked about last, and the newest answer.
    pub(crate) asked_through: u32,
    pub(crate) answered: Option<u64>,
}

pub(crate) struct Running {
    pub(crate) ends_at: Instant,
    /// A message callback that will panic, and where its message came from.
    pub(crate) panics: Option<TransportNumber>,
}

/// What the session is expected to know and to do next.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts, not states")]
pub(crate) struct Expected {
    pub(crate) opening: bool,
    pub(crate) suspended_until: Option<Instant>,
    pub(crate) upgrade_failed_at: Option<Instant>,
    pub(crate) end: Option<(Disconnect, Instant)>,
    /// The end as its callback is to hear of it.
    pub(crate) end_as_told: Option<Disconnect>,
    pub(crate) ended_suspended: bool,
    pub(crate) loss: Option<TransportLost>,
    /// The loss that the last transport was dismissed for, if it was told.
    pub(crate) last_loss: Option<TransportLost>,
    pub(crate) flushed: bool,
    pub(crate) asked_for_end: bool,
    pub(crate) discarded_backlog: bool,
    pub(crate) losses: u32,
    pub(crate) backlog_at_end: bool,
    pub(crate) awaits_transport: bool,
    /// How many of the client's messages were taken over.
    pub(crate) received: u32,
    /// One was skipped: none of those behind it counts.
    pub(crate) counts_no_more: bool,
    /// The answer to a question is missing.
    pub(crate) unanswered: bool,
    /// What must be taken for arrived, and whether that is news.
    pub(crate) presumed: Option<(u64, bool)>,
    /// When it expires, and when the application hears of that, if it has not.
    pub(crate) expires_at: Option<Instant>,
    pub(crate) notice_at: Option<Instant>,
    /// The application is about to hear of it.
    pub(crate) notice_waits: bool,
    /// Something is awaited of the client, and is to be heard.
    pub(crate) awaits_client: bool,
    /// It cannot be heard any more, and that is to be said.
    pub(crate) overloaded: bool,
    /// A frame of a promise is lost: the end is asked for.
    pub(crate) gap: bool,
}

impl Expected {
    /// So many messages that were taken over are thrown away.
    pub(crate) const fn take_back(&mut self, messages: u32) {
        if !self.counts_no_more {
            self.received -= messages;
        }
    }
}
