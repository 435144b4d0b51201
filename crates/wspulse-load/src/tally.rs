//! `Tally`: what is counted and timed while a run goes on, from many threads at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::histogram::Times;

/// Threads that record latencies meet in as many places. More than a machine has that runs this.
const SHARDS: usize = 16;

/// So many kinds of causes are kept apart; what a server says is its own choice.
const CAUSES_MAX: usize = 24;

/// How long a cause's text may be, in characters.
const CAUSE_CHARS_MAX: usize = 240;

/// A number that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Clients that have become ready, ever.
    pub(crate) ready: Counter,
    /// Clients that have a connection now.
    pub(crate) open: Counter,
    /// Clients that have given up, or were told to.
    pub(crate) ended: Counter,
    pub(crate) attempts_failed: Counter,
    pub(crate) disconnects: Counter,
    pub(crate) cuts: Counter,
    pub(crate) sessions_resumed: Counter,
    /// New sessions and plain connections of clients that had one before.
    pub(crate) sessions_renewed: Counter,
    /// Messages that a client has taken over.
    pub(crate) sent: Counter,
    /// Messages that were due and that no client would take, or that it gave back.
    pub(crate) unsent: Counter,
    /// Messages whose session has ended before the server has said that it has them.
    pub(crate) unknown: Counter,
    /// Copies that should come.
    pub(crate) expected: Counter,
    /// Copies that have come, each once.
    pub(crate) received: Counter,
    pub(crate) duplicates: Counter,
    /// Copies, of those received, that came behind a newer one of the same sender.
    pub(crate) late: Counter,
    /// Copies that came to whom they were not meant for.
    pub(crate) stray: Counter,
    /// Messages without a mark.
    pub(crate) other: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    /// Since the last look.
    latency: [Mutex<Times>; SHARDS],
    pub(crate) connect: Mutex<Times>,
    pub(crate) reconnect: Mutex<Times>,
    pub(crate) lag: Mutex<Times>,
    causes: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    /// A copy has come so long after its message was due.
    pub(crate) fn record_latency(&self, client: usize, latency: Duration) {
        self.latency[client % SHARDS].lock().record(latency);
    }

    /// What has come since this was asked last.
    pub(crate) fn take_latency(&self) -> Times {
        let mut taken = Times::default();
        for shard in &self.latency {
            shard.lock().drain_into(&mut taken);
        }
        taken
    }

    /// Something has failed, for this reason.
    pub(crate) fn count_cause(&self, cause: &str) {
        let text: String = cause.chars().take(CAUSE_CHARS_MAX).collect();
        let mut causes = self.causes.lock();
        let is_known = causes.len() < CAUSES_MAX || causes.contains_key(&text);
        let kept = if is_known { text } else { "other reasons".to_owned() };
        *causes.entry(kept).or_default() += 1;
    }

    /// Why connections have failed and ended, the most frequent first.
    pub(crate) fn causes(&self) -> Vec<(String, u64)> {
        let mut causes: Vec<_> = self.causes.lock().clone().into_iter().collect();
        causes.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_beyond_the_bound_are_counted_together() {
        let tally = Tally::default();
        for number in 0..100 {
            tally.count_cause(&format!("cause {number}"));
        }

        let causes = tally.causes();

        assert_eq!(causes[0], ("other reasons".to_owned(), 76));
        assert_eq!(causes.len(), CAUSES_MAX + 1);
    }

    #[test]
    fn latencies_are_given_once() {
        let tally = Tally::default();
        tally.record_latency(3, Duration::from_millis(1));
        tally.record_latency(4, Duration::from_millis(2));

        assert_eq!((tally.take_latency().len(), tally.take_latency().len()), (2, 0));
    }
}
