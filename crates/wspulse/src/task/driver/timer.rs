//! The one timer of a connection.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wspulse_core::clock::earlier;
use wspulse_core::session::Deadlines;

use super::{Driver, now};
use crate::ground::budget::poll_unbudgeted;
use crate::ground::running_time::{LATE_MAX, LOOK, late, put_off};
use crate::membership::mailbox::Pings;
use crate::membership::ping_groups::PingPlace;

impl Driver {
    /// Others have pinged for it, or it is time that it does it by itself.
    pub(super) fn hear_of_pings(&mut self, pings: Pings) {
        let Some(place) = &mut self.ping_place else { return };
        if pings.was_pinged {
            // It has asked nothing: nothing was on its way when the task went to sleep.
            debug_assert!(self.session.asks_nothing(), "others ping only then");
            self.session.handle_pinged(place.at().into_std());
            place.handle_pinged(self.connection.server.ping_groups().schedule());
        }
        place.is_due |= pings.is_due;
    }

    /// Pings if that is due, in time for what this round writes.
    pub(super) fn drive_ping(&mut self) {
        let place = self.ping_place.as_ref().filter(|place| place.is_due).map(PingPlace::at);
        let timer = self.timer.as_ref().filter(|timer| timer.is_elapsed());
        let Some(due) = earlier(place, timer.map(|timer| timer.deadline())) else { return };
        let now = Instant::now();
        // Whatever it was for, one that is heard late tells of a stop.
        let missed = now.saturating_duration_since(due);
        if missed > LATE_MAX {
            self.handle_stop(missed);
        }
        let mut pings_at = now;
        if place.is_some() {
            self.leave_ping_group();
            // Its beat stays the same, though its turn comes a little later.
            pings_at = place.filter(|_| missed <= LATE_MAX).map_or(now, |at| at.min(now));
        }
        if self.session.poll_ping(pings_at.into_std()) {
            self.queue_ping(now.into_std());
        }
    }

    /// Finds a place among those that are pinged together, or gives it back if it is the wrong one.
    fn drive_ping_group(&mut self, ping: Option<Instant>) {
        let groups = self.connection.server.ping_groups();
        let latest = ping.map(|at| groups.schedule().latest(at));
        if let Some(place) = &self.ping_place {
            if ping.is_some_and(|at| at <= place.at()) && latest >= Some(place.at()) {
                return;
            }
            self.leave_ping_group();
        }
        if let Some(at) = ping {
            self.ping_place = self.connection.server.ping_groups().join(&self.connection, at);
        }
    }

    pub(super) fn leave_ping_group(&mut self) {
        if let Some(place) = self.ping_place.take() {
            self.connection.server.ping_groups().leave(&self.connection, &place);
        }
    }

    /// Keeps the timer at what is due before the task is woken for a Ping. It is moved only when a
    /// deadline is earlier than it: one that was put off is looked up when the timer fires, which
    /// spares moving the timer for every byte that comes.
    pub(super) fn drive_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let callback = self.callback.as_ref().and(self.callback_deadline);
        let Deadlines { ping, strict } = self.session.deadlines();
        let strict = earlier(strict.map(Instant::from), callback);
        let ping = ping.map(Instant::from);
        self.drive_ping_group(ping);
        let latest = match &mut self.ping_place {
            Some(place) => {
                let interval = self.connection.server.ping_groups().schedule().interval();
                // A question comes behind all that it is about, so its number is known here as well.
                place.may_be_pinged = self.session.asks_nothing()
                    && strict.is_none_or(|strict| strict > place.at() + interval);
                strict.filter(|strict| *strict <= place.at())
            }
            None => earlier(strict, ping),
        };
        let Some(latest) = latest else {
            if self.ping_place.is_none() || self.timer.as_ref().is_some_and(|it| it.is_elapsed()) {
                self.timer = None;
            }
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
        // While a transport comes up no wait is long, and every connection begins so.
        let looks = ping.is_none() && !self.arrivals.has_upgrade();
        let deadline = if looks { latest.min(Instant::now() + LOOK) } else { latest };
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
        let now = now();
        if self.session.judges(now)
            && self.transport.as_mut().is_some_and(|transport| transport.last_turn.jump_queue())
        {
            return Poll::Ready(());
        }
        // One that has just been started is polled once at least.
        if self.callback_deadline.is_some_and(|deadline| Instant::now() >= deadline)
            && !self.drive_callback(cx)
        {
            self.give_up_callback();
        }
        // What runs out from here on is heard of in the next round, after another read.
        self.session.handle_timeout(now);
        self.settle();
        Poll::Ready(())
    }

    /// Tells whether the server stood still, and has put everything off then. The timer tells of it
    /// although it has not fired yet: something else may have woken the task.
    pub(super) fn notice_stop(&mut self) -> bool {
        let timer = self.timer.as_ref().map(|timer| timer.deadline());
        let due = earlier(timer, self.ping_place.as_ref().map(PingPlace::at));
        let missed = due.map_or(Duration::ZERO, late);
        if missed > LATE_MAX {
            self.handle_stop(missed);
        }
        missed > LATE_MAX
    }

    /// Puts everything off by the time that was missed, and forgets the timer that told of it.
    #[cold]
    fn handle_stop(&mut self, missed: Duration) {
        self.timer = None;
        self.leave_ping_group();
        self.session.handle_stall(missed, now());
        if let Some(deadline) = &mut self.callback_deadline {
            let server = &self.connection.server;
            server.handle_stop(missed);
            *deadline = put_off(*deadline, missed, server.options().drain_timeout);
            self.session.handle_drain_limited(deadline.into_std());
        }
    }
}
