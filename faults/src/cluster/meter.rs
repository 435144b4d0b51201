//! How long deliveries took, by what went on when they came.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use super::order::now_us;

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Calm,
    Fault,
    After,
}

const PHASES: usize = 3;

/// A minute, in microseconds: whatever takes longer counts as that.
const LATENCY_US_MAX: u64 = 60_000_000;

/// Deliveries of a stage.
#[derive(Debug)]
pub(super) struct Meter {
    phase: AtomicUsize,
    here: [Mutex<Histogram<u64>>; PHASES],
    elsewhere: [Mutex<Histogram<u64>>; PHASES],
    /// When the fault was over, in microseconds since 1970; later than all times while it is not.
    healed_us: AtomicU64,
    /// When the last frame came from elsewhere that was said before that.
    caught_up_us: AtomicU64,
}

/// Two of a thousand quantiles, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Meter {
    pub(super) fn new() -> Self {
        let histogram =
            || Mutex::new(Histogram::new_with_max(LATENCY_US_MAX, 3).expect("bounds that can be"));
        Self {
            phase: AtomicUsize::new(0),
            here: std::array::from_fn(|_| histogram()),
            elsewhere: std::array::from_fn(|_| histogram()),
            healed_us: AtomicU64::new(u64::MAX),
            caught_up_us: AtomicU64::new(0),
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        if phase == Phase::After {
            self.healed_us.store(now_us(), Ordering::Relaxed);
        }
        self.phase.store(phase as usize, Ordering::Relaxed);
    }

    /// A frame has come, from the member's own node or from another one.
    pub(super) fn record(&self, is_from_here: bool, said_us: u64) {
        let now = now_us();
        let of = if is_from_here { &self.here } else { &self.elsewhere };
        of[self.phase.load(Ordering::Relaxed)]
            .lock()
            .saturating_record(now.saturating_sub(said_us));
        if !is_from_here && said_us <= self.healed_us.load(Ordering::Relaxed) {
            self.caught_up_us.fetch_max(now, Ordering::Relaxed);
        }
    }

    pub(super) fn here(&self, phase: Phase) -> Latency {
        latency(&self.here[phase as usize].lock())
    }

    pub(super) fn elsewhere(&self, phase: Phase) -> Latency {
        latency(&self.elsewhere[phase as usize].lock())
    }

    /// How long it took, once the fault was over, until all was here that had been said before, in
    /// seconds.
    pub(super) fn caught_up_seconds(&self) -> f64 {
        let (healed, caught_up) =
            (self.healed_us.load(Ordering::Relaxed), self.caught_up_us.load(Ordering::Relaxed));
        std::time::Duration::from_micros(caught_up.saturating_sub(healed)).as_secs_f64()
    }
}

fn latency(of: &Histogram<u64>) -> Latency {
    let ms = |quantile| {
        std::time::Duration::from_micros(of.value_at_quantile(quantile)).as_secs_f64() * 1000.0
    };
    Latency { p50_ms: ms(0.5), p99_ms: ms(0.99) }
}
