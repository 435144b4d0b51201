//! What a session tells of itself, without changing.

use std::time::Instant;

use super::Session;
use super::state::State;
use crate::clock::earlier;
use crate::disconnect::TransportLost;

/// When a session wants to be told the time, and how exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A Ping is due: a little later does as well.
    pub ping: Option<Instant>,
    /// Something runs out.
    pub strict: Option<Instant>,
}

impl Session {
    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, unless something
    /// happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let Deadlines { ping, strict } = self.deadlines();
        ping.into_iter().chain(strict).min()
    }

    /// As [`poll_timeout`](Self::poll_timeout), with what is due then.
    pub fn deadlines(&self) -> Deadlines {
        let ping = match &self.state {
            State::Connected(link) => Some(link.heartbeat.ping_at()),
            State::Opening
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::Flushing { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => None,
        };
        Deadlines { ping, strict: self.strict_deadline() }
    }

    /// When something runs out, or it is to be looked whether to ask.
    pub(super) fn strict_deadline(&self) -> Option<Instant> {
        earlier(self.verdict_at(), self.look_at())
    }

    /// Whether what is due by now may be the end of the transport: not if it is only looked whether
    /// to ask.
    pub fn judges(&self, now: Instant) -> bool {
        self.verdict_at().is_some_and(|at| at <= now)
    }

    /// When something runs out.
    fn verdict_at(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Connected(link) => {
                let is_reading = self.wants_inbound();
                let pong = is_reading.then(|| link.heartbeat.pong_deadline(&self.config.heartbeat));
                let write = link.writing.deadline(is_reading);
                let earliest = earlier(earlier(pong, write), self.inbound_timeout());
                match &self.acks {
                    Some(acks) => earlier(earliest, acks.answer_deadline(is_reading)),
                    None => earliest,
                }
            }
            State::Suspended { grace_deadline, .. } => {
                (!self.rare.is_upgrading()).then_some(*grace_deadline)
            }
            State::Flushing { deadline, .. } | State::AwaitingTransport { deadline, .. } => {
                Some(*deadline)
            }
            State::Opening | State::Lost { .. } | State::Closed => None,
        };
        if self.rare.are_none() {
            return state;
        }
        earlier(earlier(state, self.rare.upgrade()), self.expiry_deadline())
    }

    /// Whether received frames are welcome: reading stops while too many wait for their callback,
    /// and while the peer has sent all that it may for now. After the end they are welcome and
    /// thrown away, so that the peer can be heard closing.
    pub fn wants_inbound(&self) -> bool {
        self.has_room() && !self.is_rate_paused()
    }

    /// Whether fewer messages wait for their callback than may.
    pub(super) fn has_room(&self) -> bool {
        match self.state {
            State::Connected(_) => {
                self.callbacks.messages() < self.config.inbound_frames_max
                    || self.has_awaited_room()
            }
            State::Opening
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::Flushing { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => true,
        }
    }

    /// Whether there is a transport to write to, and writing to it has not failed.
    pub const fn is_writable(&self) -> bool {
        match &self.state {
            State::Connected(link) => !link.writing.has_failed(),
            State::Flushing { .. } => true,
            State::Opening
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => false,
        }
    }

    /// Whether it is connected and [`handle_flushed`](Self::handle_flushed) would change nothing.
    pub const fn is_at_rest(&self) -> bool {
        match &self.state {
            State::Connected(link) => link.writing.is_flowing(),
            State::Opening
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::Flushing { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => false,
        }
    }

    /// Whether it is connected, and not ended.
    pub const fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Whether the session waits, without a transport, for the next one.
    pub const fn is_suspended(&self) -> bool {
        matches!(self.state, State::Suspended { .. })
    }

    /// Why the last transport is gone of a session that waits for the next.
    pub const fn suspension_cause(&self) -> Option<&TransportLost> {
        match &self.state {
            State::Suspended { cause, .. } => Some(cause),
            State::Opening
            | State::Connected(_)
            | State::Lost { .. }
            | State::Flushing { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => None,
        }
    }

    /// Whether nothing is left to write.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether a callback was started and has not returned.
    pub fn runs_callback(&self) -> bool {
        self.callbacks.is_running()
    }

    /// How many resumptions wait to be told. Those that are folded do not count any more: they
    /// were the newest.
    pub fn restores_waiting(&self) -> usize {
        self.callbacks.resumptions()
    }

    /// Whether the last callback has returned.
    pub fn callbacks_are_over(&self) -> bool {
        self.callbacks.is_over()
    }

    /// Whether nothing is left to do: the driver may drop the session.
    pub fn is_finished(&self) -> bool {
        self.is_closed() && self.callbacks_are_over() && self.actions.is_empty()
    }
}
