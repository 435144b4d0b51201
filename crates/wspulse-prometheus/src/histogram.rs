//! A histogram of atomics: `prometheus-client`'s own takes a lock for each value.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// The sum is kept in such parts of one, as an integer, so that adding to it never has to be tried
/// again.
const PARTS: f64 = 1_000_000.0;

#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: Box<[f64]>,
    /// Values up to each bound and above the one before; the last are those above all bounds.
    counts: Box<[AtomicU64]>,
    /// Whole units and parts on their own, so that not even large fan-outs overflow.
    whole: AtomicU64,
    parts: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(bounds: &[f64]) -> Self {
        Self {
            bounds: bounds.into(),
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            whole: AtomicU64::new(0),
            parts: AtomicU64::new(0),
        }
    }

    /// Counts a value that is not negative.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "durations, fan-outs and shares: none is negative or beyond 2^53"
    )]
    pub(crate) fn observe(&self, value: f64) {
        let bucket = self.bounds.iter().take_while(|bound| **bound < value).count();
        let parts = (value.fract() * PARTS) as u64;
        let whole = value.trunc() as u64;
        if whole > 0 {
            self.whole.fetch_add(whole, Relaxed);
        }
        if parts > 0 {
            self.parts.fetch_add(parts, Relaxed);
        }
        self.counts[bucket].fetch_add(1, Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }
}

impl EncodeMetric for Histogram {
    #[expect(clippy::cast_precision_loss, reason = "a sum, as a float")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<_> =
            bounds.zip(self.counts.iter().map(|count| count.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let parts = self.parts.load(Relaxed) as f64 / PARTS;
        let sum = self.whole.load(Relaxed) as f64 + parts;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
