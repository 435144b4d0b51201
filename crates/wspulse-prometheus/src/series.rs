//! The numbers: all of them for one room, or for all rooms together.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use crate::histogram::Histogram;

/// The value of a label for whatever has no value of its own.
pub(crate) const OTHER: &str = "other";

pub(crate) const REASONS: &[&str] = &[
    "normal",
    "kick",
    "grace_expired",
    "suspended_limit",
    "server_close",
    "duplicate",
    "user_limit",
    "frames_lost",
    "slow_consumer",
    "expired",
    "drain",
    "moved",
    OTHER,
];
pub(crate) const DROPS: &[&str] = &[
    "rejected",
    "evicted",
    "no_room",
    "ended",
    "undeliverable",
    "volatile",
    "slow_consumer",
    OTHER,
];
pub(crate) const LIMITS: &[&str] = &[
    "inbound_rate",
    "max_message_fragments",
    "message_timeout",
    "send_buffer_bytes",
    "max_queued_bytes",
    "max_suspended",
    "max_rooms_per_connection",
    "max_requests",
    OTHER,
];
pub(crate) const GROUPS: &[&str] = &["room", "user", "everybody", OTHER];
pub(crate) const SENT: &str = "sent";
pub(crate) const RECEIVED: &str = "received";
pub(crate) const DIRECTIONS: &[&str] = &[SENT, RECEIVED];
pub(crate) const CALLBACKS: &[&str] = &[
    "connect",
    "on_connect",
    "on_message",
    "on_undecodable",
    "on_transport_drop",
    "on_transport_restore",
    "on_join",
    "on_leave",
    "on_expiring",
    "on_presence",
    "on_disconnect",
    OTHER,
];

pub(crate) const REQUESTS: &[&str] =
    &["replied", "refused", "timed_out", "closed", "overloaded", "abandoned", OTHER];

/// Where a value stands in a label's list. The last place is for what a later wspulse may add.
pub(crate) fn place(labels: &[&str], value: &str) -> usize {
    labels.iter().position(|label| *label == value).unwrap_or(labels.len() - 1)
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: usize) {
        self.0.fetch_add(amount as u64, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A counter for each value of a label.
#[derive(Debug)]
pub(crate) struct Counters {
    labels: &'static [&'static str],
    counts: Box<[Counter]>,
}

impl Counters {
    pub(crate) fn new(labels: &'static [&'static str]) -> Self {
        Self { labels, counts: labels.iter().map(|_| Counter::default()).collect() }
    }

    pub(crate) fn count(&self, value: &str) {
        self.add(value, 1);
    }

    pub(crate) fn add(&self, value: &str, amount: u64) {
        self.counts[place(self.labels, value)].0.fetch_add(amount, Relaxed);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.counts.iter().map(Counter::get).sum()
    }

    pub(crate) fn seen(&self) -> impl Iterator<Item = (&'static str, u64)> {
        seen(self.labels, self.counts.iter().map(Counter::get))
    }
}

/// All values of a label with what was counted there, from 0 on: `increase` misses the step to a
/// series' first sample. `other` only if something was counted there.
fn seen(
    labels: &'static [&'static str],
    counts: impl Iterator<Item = u64>,
) -> impl Iterator<Item = (&'static str, u64)> {
    labels.iter().copied().zip(counts).filter(|(label, count)| *count > 0 || *label != OTHER)
}

/// What compression makes of messages, by the direction in which they go.
#[derive(Debug)]
pub(crate) struct Compression {
    pub(crate) messages: Counters,
    pub(crate) plain_bytes: Counters,
    pub(crate) compressed_bytes: Counters,
}

impl Compression {
    fn new() -> Self {
        let [messages, plain_bytes, compressed_bytes] = [0; 3].map(|_| Counters::new(DIRECTIONS));
        Self { messages, plain_bytes, compressed_bytes }
    }

    pub(crate) fn add(&self, direction: &str, messages: usize, [plain, compressed]: [usize; 2]) {
        self.messages.add(direction, messages as u64);
        self.plain_bytes.add(direction, plain as u64);
        self.compressed_bytes.add(direction, compressed as u64);
    }
}

/// The buckets of the histograms.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    pub(crate) duration: Vec<f64>,
    pub(crate) fanout: Vec<f64>,
    pub(crate) utilization: Vec<f64>,
    pub(crate) acknowledgement_age: Vec<f64>,
    pub(crate) request: Vec<f64>,
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) opened: Counter,
    pub(crate) suspended: Counter,
    /// Of these, those that wait no more.
    pub(crate) unsuspended: Counter,
    pub(crate) resumed: Counter,
    /// One for each reason; their counts are those of the closed connections.
    pub(crate) durations: Box<[Histogram]>,
    pub(crate) received: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) discarded: Counter,
    pub(crate) broadcast: Counter,
    pub(crate) fanout: Histogram,
    pub(crate) sent: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) compression: Compression,
    pub(crate) utilization: Histogram,
    /// Of how many people something new was told.
    pub(crate) presence_changes: Counter,
    /// How many members got everybody who is there.
    pub(crate) presence_snapshots: Counter,
    /// How many members were told either.
    pub(crate) presence_told: Counter,
    pub(crate) dropped: Counters,
    pub(crate) conflated: Counter,
    pub(crate) acknowledged: Counter,
    pub(crate) acknowledgement_age: Histogram,
    pub(crate) lost: Counter,
    pub(crate) requests: Counters,
    /// Of those that were answered.
    pub(crate) request_duration: Histogram,
    pub(crate) unmatched: Counter,
    pub(crate) pong_timeouts: Counter,
    pub(crate) panics: Counters,
    pub(crate) blocked: Counters,
}

impl Series {
    fn new(buckets: &Buckets) -> Self {
        Self {
            opened: Counter::default(),
            suspended: Counter::default(),
            unsuspended: Counter::default(),
            resumed: Counter::default(),
            durations: REASONS.iter().map(|_| Histogram::new(&buckets.duration)).collect(),
            received: Counter::default(),
            received_bytes: Counter::default(),
            undecodable: Counter::default(),
            discarded: Counter::default(),
            broadcast: Counter::default(),
            fanout: Histogram::new(&buckets.fanout),
            sent: Counter::default(),
            sent_bytes: Counter::default(),
            compression: Compression::new(),
            utilization: Histogram::new(&buckets.utilization),
            presence_changes: Counter::default(),
            presence_snapshots: Counter::default(),
            presence_told: Counter::default(),
            dropped: Counters::new(DROPS),
            conflated: Counter::default(),
            acknowledged: Counter::default(),
            acknowledgement_age: Histogram::new(&buckets.acknowledgement_age),
            lost: Counter::default(),
            requests: Counters::new(REQUESTS),
            request_duration: Histogram::new(&buckets.request),
            unmatched: Counter::default(),
            pong_timeouts: Counter::default(),
            panics: Counters::new(CALLBACKS),
            blocked: Counters::new(CALLBACKS),
        }
    }

    /// How many connections have ended, by reason.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        seen(REASONS, self.durations.iter().map(Histogram::count))
    }

    /// How many connections there are. The closed ones are read first, so that none of them is
    /// missing among the opened.
    pub(crate) fn active(&self) -> u64 {
        let closed: u64 = self.durations.iter().map(Histogram::count).sum();
        self.opened.get().saturating_sub(closed)
    }

    /// How many sessions wait, in the same order of reading.
    pub(crate) fn waiting(&self) -> u64 {
        let no_more = self.unsuspended.get();
        self.suspended.get().saturating_sub(no_more)
    }
}

/// The series of each room that has a label, and one of all the others.
#[derive(Debug)]
pub(crate) struct Rooms {
    most: usize,
    buckets: Buckets,
    others: Series,
    named: RwLock<HashMap<Box<str>, Series>>,
}

impl Rooms {
    /// With labels for so many rooms at most; 0 is no label at all.
    pub(crate) fn new(most: usize, buckets: Buckets) -> Self {
        Self { most, others: Series::new(&buckets), named: RwLock::default(), buckets }
    }

    /// Counts in the series of this room. Without labels this takes no lock.
    pub(crate) fn count(&self, room: &str, count: impl Fn(&Series)) {
        // A room of that name must not become a second series with the same labels.
        if self.most == 0 || room == OTHER {
            return count(&self.others);
        }
        let named = self.named.read();
        if let Some(series) = named.get(room) {
            return count(series);
        }
        if named.len() >= self.most {
            return count(&self.others);
        }
        drop(named);
        let mut named = self.named.write();
        if named.len() < self.most && !named.contains_key(room) {
            named.insert(room.into(), Series::new(&self.buckets));
        }
        count(named.get(room).unwrap_or(&self.others));
    }

    /// Counts what belongs to no room, where that of the rooms without a label is.
    pub(crate) fn count_beside(&self, count: impl Fn(&Series)) {
        count(&self.others);
    }

    /// Each series with the label of its room, if rooms have labels.
    pub(crate) fn each(
        &self,
        mut tell: impl FnMut(Option<&str>, &Series) -> std::fmt::Result,
    ) -> std::fmt::Result {
        if self.most == 0 {
            return tell(None, &self.others);
        }
        for (room, series) in self.named.read().iter() {
            tell(Some(room), series)?;
        }
        tell(Some(OTHER), &self.others)
    }
}
