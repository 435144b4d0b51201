//! Which rooms have something to tell of who is there, and when that is told.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::Group;
use crate::ground::sync::{AtomicBool, Mutex};

/// How long changes are gathered before they are told: not noticed by people, and a thousand who
/// come within a second are 20 frames for each member.
const GATHERED: Duration = Duration::from_millis(50);

/// The rooms that are due, and whether a task of their server's is at it. Its lock is taken under
/// those of groups, and none under it.
#[derive(Default)]
pub(crate) struct Folding {
    due: Mutex<Due>,
    /// Beside the lock, since it is asked whenever a connection comes or goes.
    wants_task: AtomicBool,
    closes: Notify,
}

#[derive(Default)]
struct Due {
    /// In the order in which they became due.
    rooms: Vec<Arc<Group>>,
    has_task: bool,
    is_closed: bool,
}

impl Folding {
    pub(super) fn add(&self, room: Arc<Group>) {
        let mut due = self.due.lock();
        due.rooms.push(room);
        self.settle(&due);
    }

    /// Whether a task must be started now, whose caller starts it.
    pub(crate) fn begin(&self) -> bool {
        if !self.wants_task.load(Ordering::Acquire) {
            return false;
        }
        let mut due = self.due.lock();
        let must_begin = !due.has_task && !due.rooms.is_empty();
        due.has_task |= must_begin;
        self.settle(&due);
        must_begin
    }

    /// Waits until the next rooms are to be told.
    pub(crate) async fn gather(&self) {
        // Made before the look, so that no call in between is missed.
        let mut closes = pin!(self.closes.notified());
        if self.due.lock().is_closed {
            return;
        }
        let mut time = pin!(sleep(GATHERED));
        poll_fn(|cx| match closes.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => time.as_mut().poll(cx),
        })
        .await;
    }

    /// The rooms that are due; `None` if there is none, and the task is over.
    pub(crate) fn take(&self) -> Option<Vec<Arc<Group>>> {
        let mut due = self.due.lock();
        if due.rooms.is_empty() {
            due.has_task = false;
            return None;
        }
        Some(std::mem::take(&mut due.rooms))
    }

    /// The task has ended early, and no other runtime takes it over.
    pub(crate) fn abandon(&self) {
        let mut due = self.due.lock();
        due.has_task = false;
        self.settle(&due);
    }

    /// From now on nothing is gathered: the server waits for the task.
    pub(crate) fn close(&self) {
        self.due.lock().is_closed = true;
        self.closes.notify_waiters();
    }

    /// Whether there is anything to tell, or somebody at it.
    #[cfg(all(test, shuttle))]
    pub(crate) fn is_busy(&self) -> bool {
        let due = self.due.lock();
        due.has_task || !due.rooms.is_empty()
    }

    fn settle(&self, due: &Due) {
        let wants_task = !due.has_task && !due.rooms.is_empty();
        self.wants_task.store(wants_task, Ordering::Release);
    }
}
