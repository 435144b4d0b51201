//! Connections without a WebSocket, counted by address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::ground::address::AddressGroup;

type Counts = Arc<Mutex<HashMap<AddressGroup, usize>>>;

/// How many there are of each address, and how many there may be.
#[derive(Clone)]
pub(super) struct Pending {
    per_group_max: usize,
    counts: Counts,
}

/// A connection's place among the pending ones, free again when this is dropped.
pub(super) struct PendingPlace {
    taken: Option<(AddressGroup, Counts)>,
}

/// What a connection holds until it has a WebSocket.
#[cfg_attr(not(feature = "http2"), expect(dead_code, reason = "held, and not looked at"))]
pub(super) struct Place {
    pub(super) place: PendingPlace,
    /// A shutdown waits for it.
    pub(super) awaited: TaskTrackerToken,
}

/// There are as many connections of an address as there may be.
pub(super) struct NoPlace;

impl Pending {
    pub(super) fn new(per_group_max: usize) -> Self {
        Self { per_group_max, counts: Counts::default() }
    }

    /// Takes a place for a connection; one without an address always has one.
    pub(super) fn enter(&self, address: Option<SocketAddr>) -> Result<PendingPlace, NoPlace> {
        let Some(group) = address.map(AddressGroup::of) else {
            return Ok(PendingPlace { taken: None });
        };
        let mut counts = self.counts.lock();
        let count = counts.entry(group).or_default();
        if *count >= self.per_group_max {
            return Err(NoPlace);
        }
        *count += 1;
        Ok(PendingPlace { taken: Some((group, Arc::clone(&self.counts))) })
    }
}

impl Drop for PendingPlace {
    fn drop(&mut self) {
        let Some((group, counts)) = &self.taken else { return };
        let mut counts = counts.lock();
        if let Entry::Occupied(mut entry) = counts.entry(*group) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        if counts.is_empty() {
            *counts = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pending;

    #[test]
    fn nothing_is_left_of_connections_that_are_no_longer_pending() {
        let pending = Pending::new(2);
        let address = |text: &str| Some(text.parse().expect("an address and a port"));
        let here = [pending.enter(address("192.0.2.1:1")), pending.enter(address("192.0.2.1:2"))];
        let there = pending.enter(address("192.0.2.2:1"));
        assert!(pending.enter(address("192.0.2.1:3")).is_err());
        assert_eq!(pending.counts.lock().len(), 2);
        drop(here);
        assert!(pending.enter(address("192.0.2.1:3")).is_ok());
        drop(there);
        assert_eq!(pending.counts.lock().capacity(), 0);
    }
}
