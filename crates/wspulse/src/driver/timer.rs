//! The one timer of a connection.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wspulse_core::session::Deadline;

use super::{Driver, now};

/// Pings are due at multiples of this since the server's start, so that those of many connections
/// share a wake-up, and their Pongs another, which is most of what many idle connections cost. A Ping
/// is late by less than this, twice the resolution of the runtime's timers.
const PING_SLOT: Duration = Duration::from_millis(2);

impl Driver {
    /// Pings if that is due, in time for what this round writes.
    pub(super) fn drive_ping(&mut self) {
        if self.timer.as_ref().is_some_and(|timer| timer.is_elapsed())
            && self.session.poll_ping(now())
            && let Some(transport) = &mut self.transport
        {
            transport.lane.queue_ping();
        }
    }

    /// Keeps the timer at the earliest deadline. It is moved only when a deadline is earlier than
    /// it: one that was put off is looked up when the timer fires, which spares moving the timer
    /// for every byte that comes.
    pub(super) fn drive_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let callback = self.callback.as_ref().and(self.callback_deadline);
        let Some(deadline) = self.session_deadline().into_iter().chain(callback).min() else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = match &mut self.timer {
            // It was polled by this task, whose waker stays the same: it will be heard.
            Some(timer) if timer.deadline() <= deadline && !timer.is_elapsed() => {
                return Poll::Pending;
            }
            Some(timer) => {
                timer.as_mut().reset(deadline);
                timer
            }
            none => none.insert(Box::pin(sleep_until(deadline))),
        };
        ready!(timer.as_mut().poll(cx));
        // One that has just been started is polled once at least.
        if self.callback_deadline.is_some_and(|deadline| Instant::now() >= deadline)
            && !self.drive_callback(cx)
        {
            self.give_up_callback();
        }
        self.session.handle_timeout(now());
        self.settle();
        Poll::Ready(())
    }

    /// When the session wants to be told the time; in the next slot if that is for a Ping.
    fn session_deadline(&self) -> Option<Instant> {
        match self.session.deadline()? {
            Deadline::Strict(at) => Some(at.into()),
            Deadline::Ping(at) => {
                let started_at = self.connection.server.started_at();
                Some(next_slot(started_at, at.into()))
            }
        }
    }
}

/// The first multiple of [`PING_SLOT`] since `start` that is not before `at`.
fn next_slot(start: Instant, at: Instant) -> Instant {
    let slot_nanos = PING_SLOT.subsec_nanos();
    let nanos = at.saturating_duration_since(start).subsec_nanos();
    // Slots divide the second, so that whole seconds do not matter.
    const { assert!(1_000_000_000 % PING_SLOT.subsec_nanos() == 0 && PING_SLOT.as_secs() == 0) };
    let late = (slot_nanos - nanos % slot_nanos) % slot_nanos;
    at + Duration::from_nanos(late.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_never_earlier_and_never_a_whole_slot_later() {
        let start = Instant::now();
        for micros in [0, 1, 999, 1_999, 2_000, 2_001, 999_999, 1_000_000, 10_000_123] {
            let at = start + Duration::from_micros(micros);
            let slot = next_slot(start, at);
            assert!(slot >= at && slot - at < PING_SLOT, "{micros} µs");
            assert_eq!((slot - start).as_nanos() % PING_SLOT.as_nanos(), 0, "{micros} µs");
        }
    }
}
