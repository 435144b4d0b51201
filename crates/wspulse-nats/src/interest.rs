//! What the server wants to hear, and what of it is new.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use wspulse::cluster::TopicFilter;

/// Filters that are wanted, and those of which that has changed. Bounded by what the server wants.
#[derive(Debug, Default)]
pub(crate) struct Interest(Mutex<Filters>);

#[derive(Debug, Default)]
struct Filters {
    wanted: HashSet<TopicFilter>,
    changed: HashMap<TopicFilter, Waiters>,
}

/// Who waits for a subscription to be in force. Dropped, they hear that it is not.
pub(crate) type Waiters = Vec<oneshot::Sender<()>>;

/// A filter of which something has changed.
#[derive(Debug)]
pub(crate) enum Change {
    Wanted(TopicFilter, Waiters),
    Unwanted(TopicFilter),
}

impl Interest {
    pub(crate) fn want(&self, filter: TopicFilter) -> oneshot::Receiver<()> {
        let (waiter, in_force) = oneshot::channel();
        let mut filters = self.0.lock();
        filters.wanted.insert(filter);
        let waiters = filters.changed.entry(filter).or_default();
        // Who has given up waiting needs no place.
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(waiter);
        in_force
    }

    pub(crate) fn unwant(&self, filter: TopicFilter) {
        let mut filters = self.0.lock();
        filters.wanted.remove(&filter);
        filters.changed.insert(filter, Vec::new());
    }

    /// What has changed, once.
    pub(crate) fn take(&self) -> Vec<Change> {
        let mut filters = self.0.lock();
        let changed = std::mem::take(&mut filters.changed);
        let change = |(filter, waiters)| {
            if filters.wanted.contains(&filter) {
                Change::Wanted(filter, waiters)
            } else {
                Change::Unwanted(filter)
            }
        };
        changed.into_iter().map(change).collect()
    }

    /// This was taken and could not be done.
    pub(crate) fn put_back(&self, filter: TopicFilter) {
        self.0.lock().changed.entry(filter).or_default();
    }

    /// Whoever waits hears that there is no connection; what is wanted is so as before.
    pub(crate) fn give_up(&self) {
        self.0.lock().changed.values_mut().for_each(Waiters::clear);
    }
}
