//! The one timer of a connection.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wspulse_core::clock::earlier;
use wspulse_core::session::Deadlines;

use super::{Driver, now};
use crate::ground::budget::poll_unbudgeted;
use crate::ground::running_time::{LATE_MAX, LOOK, late, put_off};

impl Driver {
    /// Pings if that is due, in time for what this round writes.
    pub(super) fn drive_ping(&mut self) {
        if let Some(timer) = &self.timer
            && timer.is_elapsed()
        {
            let now = Instant::now();
            // Whatever it was for, one that is heard late tells of a stop.
            let missed = now.saturating_duration_since(timer.deadline());
            if missed > LATE_MAX {
                self.handle_stop(missed);
            }
            if self.session.poll_ping(now.into_std()) {
                self.queue_ping(now.into_std());
            }
        }
    }

    /// Keeps the timer at the earliest deadline. It is moved only when a deadline is earlier than
    /// it: one that was put off is looked up when the timer fires, which spares moving the timer
    /// for every byte that comes.
    pub(super) fn drive_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let callback = self.callback.as_ref().and(self.callback_deadline);
        let Deadlines { ping, strict } = self.session.deadlines();
        let schedule = self.connection.server.ping_schedule();
        let latest_ping = ping.map(|at| schedule.latest(at.into()));
        let strict = strict.map(Instant::from);
        let Some(latest) = earlier(earlier(latest_ping, strict), callback) else {
            self.timer = None;
            return Poll::Pending;
        };
        if let Some(timer) = &self.timer
            && timer.deadline() <= latest
            && !timer.is_elapsed()
        {
            // It was polled by this task, whose waker stays the same: it will be heard.
            return Poll::Pending;
        }
        // The timer may fire only now, or be moved before it does.
        if self.notice_stop() {
            return Poll::Ready(());
        }
        let schedule = self.connection.server.ping_schedule();
        let ping_slot = ping.map(|at| schedule.slot(at.into(), self.connection.task_key as usize));
        // While a transport comes up no wait is long, and every connection begins so.
        let look = || (!self.arrivals.has_upgrade()).then(|| Instant::now() + LOOK);
        let deadline = ping_slot.or_else(look).map_or(latest, |look| look.min(latest));
        let timer = match &mut self.timer {
            Some(timer) => {
                timer.as_mut().reset(deadline);
                timer
            }
            none => none.insert(Box::pin(sleep_until(deadline))),
        };
        // With the budget that a callback has spent, it would not register.
        ready!(poll_unbudgeted(cx, |cx| timer.as_mut().poll(cx)));
        if late(timer.deadline()) > LATE_MAX {
            // What was missed has been counted: not once more.
            self.timer = None;
        }
        // The next round reads, and then the timer is heard again.
        if self.transport.as_mut().is_some_and(|transport| transport.last_turn.jump_queue()) {
            return Poll::Ready(());
        }
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

    /// Tells whether the server stood still, and has put everything off then. The timer tells of it
    /// although it has not fired yet: something else may have woken the task.
    pub(super) fn notice_stop(&mut self) -> bool {
        let missed = self.timer.as_ref().map_or(Duration::ZERO, |timer| late(timer.deadline()));
        if missed > LATE_MAX {
            self.handle_stop(missed);
        }
        missed > LATE_MAX
    }

    /// Puts everything off by the time that was missed, and forgets the timer that told of it.
    #[cold]
    fn handle_stop(&mut self, missed: Duration) {
        self.timer = None;
        self.session.handle_stall(missed, now());
        if let Some(deadline) = &mut self.callback_deadline {
            let server = &self.connection.server;
            server.handle_stop(missed);
            *deadline = put_off(*deadline, missed, server.options().drain_timeout);
            self.session.handle_drain_limited(deadline.into_std());
        }
    }
}
