//! When a closing server gives up what is still to be said.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ground::budget::poll_unbudgeted;
use crate::ground::running_time::{Look, Lookout, put_off};
use crate::ground::sync::Mutex;

/// The drain deadline, once the server closes.
#[derive(Default)]
pub(crate) struct DrainDeadline {
    closing: Arc<Closing>,
}

/// Not a `tokio::sync::watch`, whose receivers wake in an order drawn at random: a seed's life
/// would not replay.
#[derive(Default)]
struct Closing {
    drain: Mutex<Option<Drain>>,
    is_known: Notify,
}

/// One deadline for all: a farewell that begins after a stop has what is left to the others.
#[derive(Clone, Copy)]
struct Drain {
    deadline: Instant,
    /// What there was to begin with.
    time: Duration,
    /// What was missed before is counted. All who wait tell of the same stop, each after its own
    /// share of it.
    counted_until: Instant,
}

impl DrainDeadline {
    /// The server closes. Only the first call counts.
    pub(crate) fn set(&self, deadline: Instant) {
        let now = Instant::now();
        let time = deadline.saturating_duration_since(now);
        self.closing.drain.lock().get_or_insert(Drain { deadline, time, counted_until: now });
        self.closing.is_known.notify_waiters();
    }

    /// Until the server closes.
    pub(crate) async fn known(&self) {
        loop {
            // Made before the look, so that no call in between is missed.
            let known = self.closing.is_known.notified();
            if self.closing.deadline().is_some() {
                return;
            }
            known.await;
        }
    }

    /// Whoever has a deadline of its own has noticed that the server stood still.
    pub(crate) fn handle_stop(&self, missed: Duration) {
        self.closing.handle_stop(missed);
    }

    /// Runs `farewell`, which knows a deadline of its own, no longer than the closing server waits.
    pub(crate) fn bound<F>(&self, farewell: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = ()>,
    {
        let closing = Arc::clone(&self.closing);
        async move {
            let mut farewell = pin!(farewell);
            let mut given_up = pin!(closing.reached());
            poll_fn(|cx| match farewell.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                // A peer that never stops sending spends the budget of every poll.
                Poll::Pending => poll_unbudgeted(cx, |cx| given_up.as_mut().poll(cx)),
            })
            .await;
        }
    }
}

impl Closing {
    fn deadline(&self) -> Option<Instant> {
        self.drain.lock().map(|drain| drain.deadline)
    }

    fn handle_stop(&self, missed: Duration) {
        if let Some(drain) = &mut *self.drain.lock() {
            let now = Instant::now();
            let uncounted = now.saturating_duration_since(drain.counted_until);
            drain.deadline = put_off(drain.deadline, missed.min(uncounted), drain.time);
            drain.counted_until = now;
        }
    }

    /// Never, if every handle to the server is gone: nobody can close it any more.
    async fn reached(&self) {
        loop {
            // Made before the look, so that no call in between is missed.
            let known = self.is_known.notified();
            if self.deadline().is_some() {
                let mut lookout = Lookout::new(Instant::now());
                return poll_fn(|cx| self.poll_reached(&mut lookout, cx)).await;
            }
            known.await;
        }
    }

    fn poll_reached(&self, lookout: &mut Lookout, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(deadline) = self.deadline() {
            match ready!(lookout.poll(deadline, cx)) {
                Look::Missed(missed) => self.handle_stop(missed),
                Look::Ran if Instant::now() >= deadline => return Poll::Ready(()),
                Look::Ran => {}
            }
        }
        Poll::Pending
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use tokio::task::{consume_budget, yield_now};
    use tokio::time::advance;

    use super::*;

    /// A peer that never stops sending is read like this.
    async fn spend() {
        loop {
            consume_budget().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_farewell_that_spends_every_budget_is_given_up_at_the_deadline() {
        let drain = DrainDeadline::default();
        let farewell = tokio::spawn(drain.bound(spend()));
        yield_now().await;
        drain.set(Instant::now() + Duration::from_secs(1));
        advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(farewell.is_finished());
    }
}
