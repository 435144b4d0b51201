//! What the session keeps of what it writes: whether the socket takes it, and how fast.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::State;
use super::{Action, Session};
use crate::clock::after;
use crate::disconnect::{Dismissal, TransportLost};

/// For how many of the bytes that a socket holds back it has time. Streams for TLS hold 64 KiB, and
/// most buffers less than this; without a bound, one that is never empty would have ever more time.
const BYTES_HELD_MAX: usize = 256 * 1024;

/// What the socket last said to a write.
#[derive(Debug)]
pub(super) enum Writing {
    /// It has taken all there was.
    Flowing,
    /// It takes nothing for now. The frame in hand must have been taken by the deadline, which
    /// what is taken of it puts off.
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
    pub(super) fn deadline(&self, is_reading: bool) -> Option<Instant> {
        match self {
            Self::Flowing => None,
            Self::Blocked { deadline } => Some(*deadline),
            Self::Failed { deadline, .. } => is_reading.then_some(*deadline),
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

/// What a socket has taken before it took nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Whole frames: the next one has its own full time.
    pub frames: usize,
    /// All bytes, those of frames that are not whole included.
    pub bytes: usize,
    /// How many of these and of earlier bytes the socket may still hold back, as one does that
    /// encrypts or gathers: it has taken them and not passed them on.
    pub bytes_held: usize,
}

impl Session {
    /// The socket takes nothing for now, although there is something to write. A whole frame renews
    /// the time that it has. A part of one buys as much time as it may take at the least rate, up
    /// to the whole: a steady reader above that rate is never given up, a slower one is.
    ///
    /// What the socket holds back has its time at the least rate too, on top: it may leave without
    /// anybody being told, so nothing else can stand for it.
    pub fn handle_write_blocked(&mut self, taken: Taken, now: Instant) {
        let State::Connected(link) = &mut self.state else { return };
        let rate = self.config.write_rate_min;
        let held = match taken.bytes_held {
            0 => Duration::ZERO,
            bytes => time_for(bytes.min(BYTES_HELD_MAX), rate),
        };
        let renewed = after(now, self.config.write_wait.saturating_add(held));
        match &mut link.writing {
            writing @ Writing::Flowing => *writing = Writing::Blocked { deadline: renewed },
            Writing::Blocked { deadline } if taken.frames > 0 => *deadline = renewed,
            Writing::Blocked { deadline } => {
                let bought = time_for(taken.bytes, rate);
                *deadline = after(*deadline, bought).min(renewed);
            }
            Writing::Failed { .. } => {}
        }
    }

    /// The socket takes nothing any more. What the peer has sent before, and perhaps its close
    /// frame, can still be read: the transport is lost once that is over, or after the write wait,
    /// in which time that the session does not read does not count.
    pub fn handle_write_failed(&mut self, error: Arc<io::Error>, now: Instant) {
        match &mut self.state {
            State::Connected(link) => {
                if !link.writing.has_failed() {
                    let deadline = after(now, self.config.write_wait);
                    link.writing = Writing::Failed { deadline, error };
                }
            }
            State::Flushing { .. } => self.handle_transport_lost(TransportLost::Io(error), now),
            State::Opening
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => {}
        }
    }

    /// The socket has taken all there was.
    pub fn handle_flushed(&mut self) {
        match &mut self.state {
            State::Connected(link) => {
                if !link.writing.has_failed() {
                    link.writing = Writing::Flowing;
                }
            }
            State::Flushing { close, deadline } => {
                let dismissal = Dismissal::Close(close.clone());
                self.actions.push_back(Action::Dismiss(dismissal, *deadline));
                self.leave_flushing();
            }
            State::Opening
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => {}
        }
    }
}

/// How long so many bytes take at a rate; without end at none.
fn time_for(bytes: usize, bytes_per_second: u32) -> Duration {
    let micros = (bytes as u128 * 1_000_000).checked_div(bytes_per_second.into());
    Duration::from_micros(micros.and_then(|micros| micros.try_into().ok()).unwrap_or(u64::MAX))
}
