//! When a closing server gives up what is still to be said.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::budget::poll_unbudgeted;

/// The drain deadline, once the server closes.
#[derive(Default)]
pub(crate) struct DrainDeadline {
    closing: Arc<Closing>,
}

/// Not a `tokio::sync::watch`, whose receivers wake in an order drawn at random: a seed's life
/// would not replay.
#[derive(Default)]
struct Closing {
    deadline: OnceLock<Instant>,
    is_known: Notify,
}

impl DrainDeadline {
    /// The server closes. Only the first call counts.
    pub(crate) fn set(&self, deadline: Instant) {
        self.closing.deadline.get_or_init(|| deadline);
        self.closing.is_known.notify_waiters();
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
    /// Never, if every handle to the server is gone: nobody can close it any more.
    async fn reached(&self) {
        loop {
            // Made before the look, so that no call in between is missed.
            let known = self.is_known.notified();
            if let Some(deadline) = self.deadline.get() {
                return sleep_until(*deadline).await;
            }
            known.await;
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

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
        advance(Duration::from_secs(2)).await;
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(farewell.is_finished());
    }
}
