//! What the server counts: by its metrics hooks, and by the accounts of its connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use wspulse::metrics::{
    CallbackPanicked, ConnectionClosed, ConnectionOpened, FrameDropped, MessageReceived,
    MessagesSent, SessionResumed, UpgradeRefused,
};
use wspulse::{
    Connection, ConnectionState, MetricsCollector, OutboundStats, Server, TransportLost,
};

use crate::control::{Account, Counters};

/// Tells connections apart, also those that have one id after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Serial(u64);

/// What was counted so far. A handle, cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Books>);

#[derive(Debug, Default)]
struct Books {
    serials: AtomicU64,
    frames_sent: AtomicU64,
    messages_received: AtomicU64,
    counters: Mutex<Counters>,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    /// By serial: those whose last frame is not settled yet.
    open: HashMap<u64, Connection>,
    /// The sum of all others.
    settled: Account,
}

impl Ledger {
    pub(super) fn next_serial(&self) -> Serial {
        Serial(self.0.serials.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn connected(&self, conn: Connection) {
        self.0.accounts.lock().open.insert(serial(&conn), conn);
    }

    pub(super) fn transport_lost(&self, cause: &TransportLost) {
        let label = if let TransportLost::Io(error) = cause {
            format!("transport failed: {:?}", error.kind())
        } else {
            cause.to_string()
        };
        *self.0.counters.lock().lost.entry(label).or_default() += 1;
    }

    /// What is still being flushed is settled later.
    pub(super) fn ended(&self, conn: &Connection) {
        self.0.accounts.lock().settle(serial(conn), conn);
    }

    pub(super) fn counters(&self, server: &Server) -> Counters {
        let account = self.0.accounts.lock().sum();
        let mut counters = self.0.counters.lock().clone();
        let all = server.all_connections();
        let suspended = all.iter().filter(|conn| conn.state() == ConnectionState::Suspended);
        counters.suspended = suspended.count() as u64;
        counters.connections = server.connection_count() as u64;
        counters.rooms = server.room_count() as u64;
        counters.received = self.0.messages_received.load(Ordering::Relaxed);
        counters.sent = self.0.frames_sent.load(Ordering::Relaxed);
        counters.account = account;
        counters
    }
}

fn serial(conn: &Connection) -> u64 {
    let Serial(serial) = conn.data().expect("every admission has one");
    *serial
}

impl Accounts {
    fn settle(&mut self, serial: u64, conn: &Connection) {
        let stats = conn.outbound_stats();
        let is_final = conn.state() == ConnectionState::Closed && stats.pending == 0;
        // Once: the sum may have been asked for between the end and its callback.
        if is_final && self.open.remove(&serial).is_some() {
            self.settled.add(&stats);
        }
    }

    fn sum(&mut self) -> Account {
        let open: Vec<_> = self.open.iter().map(|(serial, conn)| (*serial, conn.clone())).collect();
        for (serial, conn) in open {
            self.settle(serial, &conn);
        }
        let mut sum = self.settled;
        for conn in self.open.values() {
            sum.add(&conn.outbound_stats());
        }
        sum
    }
}

impl Account {
    /// Adds a connection's account, and checks it.
    pub(super) fn add(&mut self, stats: &OutboundStats) {
        self.accepted += stats.accepted;
        self.sent += stats.sent;
        self.dropped += stats.dropped;
        self.pending += stats.pending;
        self.conflated += stats.conflated;
        let known = stats.sent + stats.dropped + stats.conflated + stats.pending;
        self.unaccounted += stats.accepted.abs_diff(known);
    }
}

impl MetricsCollector for Ledger {
    fn connection_opened(&self, _: &ConnectionOpened<'_>) {
        self.0.counters.lock().opened += 1;
    }

    fn session_resumed(&self, _: &SessionResumed<'_>) {
        self.0.counters.lock().resumed += 1;
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let reason = event.reason.as_str().to_owned();
        *self.0.counters.lock().closed.entry(reason).or_default() += 1;
    }

    fn message_received(&self, _: &MessageReceived<'_>) {
        self.0.messages_received.fetch_add(1, Ordering::Relaxed);
    }

    fn messages_sent(&self, sent: &MessagesSent<'_>) {
        self.0.frames_sent.fetch_add(sent.messages as u64, Ordering::Relaxed);
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        let reason = event.reason.as_str().to_owned();
        *self.0.counters.lock().dropped.entry(reason).or_default() += 1;
    }

    fn upgrade_refused(&self, event: &UpgradeRefused) {
        *self.0.counters.lock().refused.entry(event.status).or_default() += 1;
    }

    fn callback_panicked(&self, _: &CallbackPanicked<'_>) {
        self.0.counters.lock().panics += 1;
    }
}
