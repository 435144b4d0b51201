//! `Times`: many measured times, and their percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Three digits are more than two runs agree on.
const DIGITS: u8 = 3;

/// Longer than any run: eleven days.
const MICROS_MAX: u64 = 1_000_000_000_000;

/// Measured times, in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new(DIGITS).expect("three digits are a precision that there is"))
    }
}

impl Times {
    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(MICROS_MAX);
        self.0.record(micros).expect("a histogram that grows takes all up to MICROS_MAX");
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("a histogram that grows takes all that another has");
    }

    /// Empties it, and gives what was in it to another.
    pub(crate) fn drain_into(&mut self, other: &mut Self) {
        other.add(self);
        self.0.reset();
    }

    /// Microseconds; none if nothing was measured.
    pub(crate) fn percentile(&self, percentile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| float(self.0.value_at_percentile(percentile)))
    }

    /// Microseconds; none if nothing was measured.
    pub(crate) fn max(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| float(self.0.max()))
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }
}

/// A count as what is calculated with.
#[expect(clippy::cast_precision_loss, reason = "counts up to 2^53 are exact, and no run has more")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_that_was_recorded() {
        let mut times = Times::default();
        for millis in 1..=100 {
            times.record(Duration::from_millis(millis));
        }

        let p50 = times.percentile(50.0).expect("something was recorded");

        assert!((p50 / 50_000.0 - 1.0).abs() < 0.002, "{p50}");
        assert_eq!(times.len(), 100);
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!((Times::default().percentile(99.0), Times::default().max()), (None, None));
    }
}
