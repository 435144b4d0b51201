//! A future on a task of its own, which is gone with whoever waits for it.

use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::{JoinError, JoinHandle};

use crate::ground::BoxFuture;
use crate::ground::sync::Mutex;

/// Waits for the end of a future that another task polls. Its panics are those of whoever waits.
///
/// An application may wait on a thread that is no worker of the runtime, as that of `#[tokio::main]`
/// is none. What is accepted there goes from thread to thread, each of which has to be woken.
///
/// Dropping this drops the future at once, or right after the poll that is under way: an aborted
/// task would be dropped when its runtime has a turn for it.
pub(super) struct OwnTask {
    place: Arc<Place>,
    task: JoinHandle<()>,
}

impl OwnTask {
    /// Within a runtime.
    pub(super) fn spawn(future: BoxFuture<()>) -> Self {
        let place = Arc::new(Place::of(future));
        let task = tokio::spawn(Visitor(Arc::clone(&place)));
        Self { place, task }
    }
}

impl Future for OwnTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ended = ready!(Pin::new(&mut self.task).poll(cx));
        if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
            resume_unwind(panic);
        }
        Poll::Ready(())
    }
}

impl Drop for OwnTask {
    fn drop(&mut self) {
        self.place.clear();
        self.task.abort();
    }
}

/// The task.
struct Visitor(Arc<Place>);

impl Future for Visitor {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

/// Where the future is while nobody polls it: no lock is held when somebody does.
pub(crate) struct Place(Mutex<Whereabouts>);

enum Whereabouts {
    Here(BoxFuture<()>),
    /// It is being polled, or has ended so.
    Away,
    /// It is not wanted any more.
    Gone,
}

impl Place {
    pub(crate) const fn of(future: BoxFuture<()>) -> Self {
        Self(Mutex::new(Whereabouts::Here(future)))
    }

    /// Polls what is here, for one task alone. Ready if it has ended, or is not wanted any more.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut future) = self.take() else { return Poll::Ready(()) };
        let polled = future.as_mut().poll(cx);
        if polled.is_ready() {
            return polled;
        }
        match self.put_back(future) {
            Ok(()) => Poll::Pending,
            Err(unwanted) => {
                drop(unwanted);
                Poll::Ready(())
            }
        }
    }

    /// Drops what is here, or has whoever polls it do so.
    pub(crate) fn clear(&self) {
        // Dropped without the lock: it is the application's as well.
        let before = mem::replace(&mut *self.0.lock(), Whereabouts::Gone);
        drop(before);
    }

    fn take(&self) -> Option<BoxFuture<()>> {
        let place = &mut *self.0.lock();
        match mem::replace(place, Whereabouts::Gone) {
            Whereabouts::Here(future) => {
                *place = Whereabouts::Away;
                Some(future)
            }
            Whereabouts::Away | Whereabouts::Gone => None,
        }
    }

    fn put_back(&self, future: BoxFuture<()>) -> Result<(), BoxFuture<()>> {
        let place = &mut *self.0.lock();
        match place {
            Whereabouts::Away => {
                *place = Whereabouts::Here(future);
                Ok(())
            }
            Whereabouts::Here(_) | Whereabouts::Gone => Err(future),
        }
    }
}
