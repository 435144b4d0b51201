//! What a server sends to whom: known beforehand, so that each missing frame can be named.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The room that all clients of a server are in.
pub(crate) const ROOM: &str = "room";

/// One frame of a client's: the server broadcasts one at each tick, then sends some directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) tick: u64,
    pub(crate) is_direct: bool,
}

/// What is in a frame from a server: the tick, 1 if it was sent directly, and when, in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Stamp(pub(crate) u64, pub(crate) u8, pub(crate) u64);

impl Slot {
    /// Its place in the order in which the server sends.
    pub(crate) fn position(self) -> usize {
        let tick = usize::try_from(self.tick).unwrap_or(usize::MAX / 4);
        tick * 2 + usize::from(self.is_direct)
    }
}

impl Stamp {
    pub(crate) fn now(slot: Slot) -> Self {
        Self(slot.tick, u8::from(slot.is_direct), micros())
    }

    pub(crate) const fn slot(self) -> Slot {
        Slot { tick: self.0, is_direct: self.1 == 1 }
    }
}

/// The id of a client.
pub(crate) fn id(client: usize) -> String {
    format!("c{client}")
}

/// The client with an id.
pub(crate) fn client(id: &str) -> Option<usize> {
    id.strip_prefix('c')?.parse().ok()
}

/// Whether a client gets a direct frame at a tick: each in turn, one of so many ticks.
pub(crate) const fn is_directed(tick: u64, client: usize, every: u64) -> bool {
    (tick + client as u64).is_multiple_of(every)
}

/// All that a client is to get in so many ticks, in order.
pub(crate) fn slots(ticks: u64, client: usize, every: u64) -> impl Iterator<Item = Slot> {
    (0..ticks).flat_map(move |tick| {
        let direct = is_directed(tick, client, every).then_some(Slot { tick, is_direct: true });
        [Slot { tick, is_direct: false }].into_iter().chain(direct)
    })
}

/// The time of day in microseconds, the same for all processes of a machine.
pub(crate) fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
