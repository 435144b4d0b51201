//! What callbacks, hooks and clients saw, and whether they may have seen it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use wspulse::{Disconnect, DisconnectReason, DropReason, MetricsCollector};

/// One call of a callback.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Connect,
    /// The transport that the message came over, and its number there.
    Message(usize, usize),
    Drop,
    Restore,
    Disconnect(Disconnect),
}

/// What one connection's callbacks were told.
#[derive(Debug, Default)]
pub(crate) struct Life {
    told: Mutex<Vec<Told>>,
    inside: AtomicBool,
    overlapped: AtomicBool,
}

/// While it lives, a callback runs.
pub(crate) struct Inside<'a>(&'a Life);

impl Life {
    pub(crate) fn enter(&self, told: Told) -> Inside<'_> {
        if self.inside.swap(true, Ordering::Relaxed) {
            self.overlapped.store(true, Ordering::Relaxed);
        }
        self.told.lock().unwrap().push(told);
        Inside(self)
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    pub(crate) fn messages(&self) -> u64 {
        let told = self.told.lock().unwrap();
        told.iter().filter(|told| matches!(told, Told::Message(..))).count() as u64
    }

    pub(crate) fn end(&self) -> Option<Disconnect> {
        match self.told.lock().unwrap().last() {
            Some(Told::Disconnect(end)) => Some(end.clone()),
            _ => None,
        }
    }

    /// `Connect Message* (Drop Restore Message*)* [Drop] Disconnect`, one at a time, messages in
    /// the order in which they were sent.
    pub(crate) fn check(&self) {
        let told = self.told();
        assert!(!self.overlapped.load(Ordering::Relaxed), "callbacks overlap: {told:?}");
        let mut state = "new";
        let mut last_message = None;
        for event in &told {
            state = match (state, event) {
                ("new", Told::Connect) | ("suspended", Told::Restore) => "connected",
                ("connected", Told::Message(transport, number)) => {
                    let message = Some((*transport, *number));
                    assert!(last_message < message, "messages out of order: {told:?}");
                    last_message = message;
                    "connected"
                }
                ("connected", Told::Drop) => "suspended",
                ("connected" | "suspended", Told::Disconnect(_)) => "over",
                _ => panic!("{event:?} while {state}: {told:?}"),
            };
        }
        assert_eq!(state, "over", "no on_disconnect: {told:?}");
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.store(false, Ordering::Relaxed);
    }
}

/// The hooks, added up.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) rooms: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) discarded: AtomicU64,
    pub(crate) offered: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

pub(crate) fn add(total: &AtomicU64, number: usize) {
    total.fetch_add(number as u64, Ordering::Relaxed);
}

pub(crate) fn value(total: &AtomicU64) -> u64 {
    total.load(Ordering::Relaxed)
}

/// A collector that adds up in a place that outlives the server.
pub(crate) struct Counting(pub(crate) std::sync::Arc<Totals>);

impl MetricsCollector for Counting {
    fn room_created(&self, _room: &str) {
        add(&self.0.rooms, 1);
    }

    fn connection_opened(&self, _room: &str, _id: &str) {
        add(&self.0.opened, 1);
    }

    fn connection_closed(&self, _: &str, _: &str, _: Duration, _: DisconnectReason) {
        add(&self.0.closed, 1);
    }

    fn room_destroyed(&self, _room: &str) {
        self.0.rooms.fetch_sub(1, Ordering::Relaxed);
    }

    fn message_received(&self, _room: &str, _payload_bytes: usize) {
        add(&self.0.received, 1);
    }

    fn messages_discarded(&self, _room: &str, _id: &str, messages: usize) {
        add(&self.0.discarded, messages);
    }

    fn message_broadcast(&self, _room: &str, _payload_bytes: usize, fan_out: usize) {
        add(&self.0.offered, fan_out);
    }

    fn message_sent(&self, _room: &str, _id: &str, _payload_bytes: usize) {
        add(&self.0.sent, 1);
    }

    fn frame_dropped(&self, _room: &str, _id: &str, reason: DropReason) {
        match reason {
            DropReason::Rejected => add(&self.0.rejected, 1),
            DropReason::Evicted | DropReason::NoRoom | DropReason::Ended => add(&self.0.dropped, 1),
        }
    }
}
