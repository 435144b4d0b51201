//! When a closing server gives up what is still to be said.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The drain deadline, once the server closes.
pub(crate) struct DrainDeadline {
    deadline: watch::Sender<Option<Instant>>,
}

impl DrainDeadline {
    pub(crate) fn new() -> Self {
        Self { deadline: watch::Sender::new(None) }
    }

    /// The server closes.
    pub(crate) fn set(&self, deadline: Instant) {
        self.deadline.send_replace(Some(deadline));
    }

    /// Runs `farewell`, which knows a deadline of its own, no longer than the closing server waits.
    pub(crate) fn bound<F>(&self, farewell: F) -> impl Future<Output = ()> + use<F>
    where
        F: Future<Output = ()>,
    {
        let closing = self.deadline.subscribe();
        async move {
            let mut farewell = pin!(farewell);
            let mut given_up = pin!(reached(closing));
            poll_fn(|cx| match farewell.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => given_up.as_mut().poll(cx),
            })
            .await;
        }
    }
}

async fn reached(mut closing: watch::Receiver<Option<Instant>>) {
    let deadline = closing.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        // Every handle to the server is gone: nobody can close it any more.
        None => pending().await,
    }
}
