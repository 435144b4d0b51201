//! Rooms whose presence is to be looked after, and when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::ground::sync::Mutex;

/// Its lock is taken under those of groups, and none under it.
#[derive(Default)]
pub(crate) struct Attention {
    due: Mutex<BTreeSet<(Instant, Arc<str>)>>,
    is_sooner: Notify,
}

impl Attention {
    pub(in crate::cluster) fn add(&self, at: Instant, room: &Arc<str>) {
        let mut due = self.due.lock();
        let is_sooner = due.first().is_none_or(|(first, _)| at < *first);
        due.insert((at, Arc::clone(room)));
        drop(due);
        if is_sooner {
            self.is_sooner.notify_one();
        }
    }

    /// The next room that is due.
    pub(crate) fn take_due(&self, now: Instant) -> Option<Arc<str>> {
        let mut due = self.due.lock();
        let is_due = due.first().is_some_and(|(at, _)| *at <= now);
        is_due.then(|| due.pop_first()).flatten().map(|(_, room)| room)
    }

    /// When the next one is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.due.lock().first().map(|(at, _)| *at)
    }

    /// Waits until one is due earlier than was known.
    pub(super) async fn sooner(&self) {
        self.is_sooner.notified().await;
    }

    /// Has whoever waits look again.
    pub(crate) fn tell(&self) {
        self.is_sooner.notify_one();
    }
}
