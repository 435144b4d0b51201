//! How many transports are being parted with, for clients that never hang up.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::places::ENDING_PER_PLACE_MAX;
use crate::ground::address::AddressGroup;
use crate::ground::sync::Mutex;
use crate::settings::options::admission::AdmissionOptions;

/// Knows the farewells of each id, of each address and of all, as far as connections are limited
/// in the same way. The server waits in each for the client to hang up, so it holds a socket.
pub(crate) struct Farewells {
    inner: Mutex<Inner>,
    all_max: Option<usize>,
    per_addr_max: Option<usize>,
}

#[derive(Default)]
struct Inner {
    /// Under each key the oldest come first.
    by_key: HashMap<Key, BTreeSet<u64>>,
    /// Dropped, it cuts the farewell of that number off.
    running: HashMap<u64, oneshot::Sender<()>>,
    newest: u64,
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
    number: u64,
    keys: [Option<Key>; 3],
    /// Ends when a newer farewell needs the place.
    pub(crate) cut: oneshot::Receiver<()>,
}

impl Farewells {
    pub(super) fn new(options: &AdmissionOptions) -> Self {
        let times = |places: usize| places.saturating_mul(ENDING_PER_PLACE_MAX);
        Self {
            inner: Mutex::default(),
            all_max: options.connections_max.map(times),
            per_addr_max: options.connections_per_addr_max.map(times),
        }
    }

    /// A place for one more farewell of this id. Where there is none, the oldest gives up its own.
    pub(crate) fn take_place(
        self: &Arc<Self>,
        id: &Arc<str>,
        peer_addr: Option<SocketAddr>,
    ) -> FarewellPlace {
        let by_addr = self.per_addr_max.zip(peer_addr);
        let keys = [
            Some((Key::Id(Arc::clone(id)), ENDING_PER_PLACE_MAX)),
            by_addr.map(|(max, addr)| (Key::Address(AddressGroup::of(addr)), max)),
            self.all_max.map(|max| (Key::All, max)),
        ];
        let (running, cut) = oneshot::channel();
        let mut inner = self.inner.lock();
        inner.newest += 1;
        let number = inner.newest;
        for (key, max) in keys.iter().flatten() {
            let numbers = inner.by_key.entry(key.clone()).or_default();
            numbers.insert(number);
            let oldest = if numbers.len() > *max { numbers.pop_first() } else { None };
            if let Some(oldest) = oldest {
                inner.running.remove(&oldest);
            }
        }
        inner.running.insert(number, running);
        drop(inner);
        let keys = keys.map(|key| key.map(|(key, _)| key));
        FarewellPlace { farewells: Arc::clone(self), number, keys, cut }
    }
}

impl Drop for FarewellPlace {
    fn drop(&mut self) {
        let mut inner = self.farewells.inner.lock();
        inner.running.remove(&self.number);
        for key in self.keys.iter_mut().filter_map(Option::take) {
            if let Some(numbers) = inner.by_key.get_mut(&key) {
                numbers.remove(&self.number);
                if numbers.is_empty() {
                    inner.by_key.remove(&key);
                }
            }
        }
        if inner.running.is_empty() {
            inner.running = HashMap::new();
            inner.by_key = HashMap::new();
        }
    }
}
