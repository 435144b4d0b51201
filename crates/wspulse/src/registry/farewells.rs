//! How many transports are being parted with, for clients that never hang up.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::places::ENDING_PER_PLACE_MAX;
use crate::address::AddressGroup;
use crate::options::admission::AdmissionOptions;
use crate::sync::Mutex;

/// Counts the farewells of each id, of each address and of all, as far as connections are limited
/// in the same way. The server waits in each for the client to hang up, so it holds a socket.
pub(crate) struct Farewells {
    counts: Mutex<HashMap<Key, usize>>,
    all_max: Option<usize>,
    per_addr_max: Option<usize>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Id(Arc<str>),
    Address(AddressGroup),
    All,
}

/// A farewell's place, free again once it is dropped.
pub(crate) struct FarewellPlace {
    farewells: Arc<Farewells>,
    keys: [Option<Key>; 3],
}

impl Farewells {
    pub(super) fn new(options: &AdmissionOptions) -> Self {
        let times = |places: usize| places.saturating_mul(ENDING_PER_PLACE_MAX);
        Self {
            counts: Mutex::default(),
            all_max: options.connections_max.map(times),
            per_addr_max: options.connections_per_addr_max.map(times),
        }
    }

    /// A place for one more farewell of this id, if there is one.
    pub(crate) fn take_place(
        self: &Arc<Self>,
        id: &Arc<str>,
        peer_addr: Option<SocketAddr>,
    ) -> Option<FarewellPlace> {
        let by_addr = self.per_addr_max.zip(peer_addr);
        let keys = [
            Some((Key::Id(Arc::clone(id)), ENDING_PER_PLACE_MAX)),
            by_addr.map(|(max, addr)| (Key::Address(AddressGroup::of(addr)), max)),
            self.all_max.map(|max| (Key::All, max)),
        ];
        let mut counts = self.counts.lock();
        let is_full =
            keys.iter().flatten().any(|(key, max)| counts.get(key).is_some_and(|n| n >= max));
        if is_full {
            return None;
        }
        let keys = keys.map(|key| key.map(|(key, _)| key));
        for key in keys.iter().flatten() {
            *counts.entry(key.clone()).or_default() += 1;
        }
        drop(counts);
        Some(FarewellPlace { farewells: Arc::clone(self), keys })
    }
}

impl Drop for FarewellPlace {
    fn drop(&mut self) {
        let mut counts = self.farewells.counts.lock();
        for key in self.keys.iter_mut().filter_map(Option::take) {
            if let Some(count) = counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&key);
                }
            }
        }
        if counts.is_empty() {
            *counts = HashMap::new();
        }
    }
}
