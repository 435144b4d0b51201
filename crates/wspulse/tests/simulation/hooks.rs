//! The metrics hooks, added up and traced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wspulse::{CallbackKind, DisconnectReason, DropReason, MetricsCollector};

use super::trace::{Trace, Who};

/// What the hooks were told, in sums.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) rooms: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) undecodable: AtomicU64,
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

/// A collector whose sums and trace outlive the server.
pub(crate) struct Counting {
    pub(crate) totals: Arc<Totals>,
    pub(crate) trace: Arc<Trace>,
}

impl Counting {
    fn note(&self, hook: &'static str, subject: &str) {
        self.trace.note(Who::Hook, hook, subject.parse().expect("ids and rooms are numbers"));
    }
}

impl MetricsCollector for Counting {
    fn room_created(&self, room: &str) {
        self.note("room created", room);
        add(&self.totals.rooms, 1);
    }

    fn connection_opened(&self, _room: &str, id: &str) {
        self.note("connection opened", id);
        add(&self.totals.opened, 1);
    }

    fn session_resumed(&self, _room: &str, id: &str) {
        self.note("session resumed", id);
    }

    fn connection_closed(&self, _room: &str, id: &str, _age: Duration, reason: DisconnectReason) {
        self.note(reason.as_str(), id);
        add(&self.totals.closed, 1);
    }

    fn room_destroyed(&self, room: &str) {
        self.note("room destroyed", room);
        self.totals.rooms.fetch_sub(1, Ordering::Relaxed);
    }

    fn message_received(&self, room: &str, _payload_bytes: usize) {
        self.note("message received", room);
        add(&self.totals.received, 1);
    }

    fn message_undecodable(&self, _room: &str, id: &str, _payload_bytes: usize) {
        self.note("message undecodable", id);
        add(&self.totals.undecodable, 1);
    }

    fn messages_discarded(&self, _room: &str, id: &str, messages: usize) {
        self.note("messages discarded", id);
        add(&self.totals.discarded, messages);
    }

    fn message_broadcast(&self, _room: &str, _payload_bytes: usize, fan_out: usize) {
        self.trace.note(Who::Hook, "message broadcast", fan_out);
        add(&self.totals.offered, fan_out);
    }

    fn message_sent(&self, _room: &str, id: &str, _payload_bytes: usize) {
        self.note("message sent", id);
        add(&self.totals.sent, 1);
    }

    fn frame_dropped(&self, _room: &str, id: &str, reason: DropReason) {
        self.note(reason.as_str(), id);
        match reason {
            DropReason::Rejected => add(&self.totals.rejected, 1),
            DropReason::Evicted
            | DropReason::NoRoom
            | DropReason::Ended
            | DropReason::Undeliverable => {
                add(&self.totals.dropped, 1);
            }
            _ => panic!("a reason that this test does not know: {reason}"),
        }
    }

    fn pong_timeout(&self, _room: &str, id: &str) {
        self.note("pong timeout", id);
    }

    fn upgrade_refused(&self, status: u16) {
        self.trace.note(Who::Hook, "upgrade refused", status.into());
    }

    fn callback_panicked(&self, _room: &str, id: &str, callback: CallbackKind) {
        self.note(callback.as_str(), id);
    }
}
