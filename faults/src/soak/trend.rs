//! Whether memory grows.

use std::time::Duration;

/// One look at the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) resident_kib: u64,
    pub(super) descriptors: usize,
}

/// The slope of the straight line that fits best (least squares); 0 for fewer than two samples.
#[expect(clippy::cast_precision_loss, reason = "no server has 2^53 KiB")]
pub(super) fn slope_kib_per_minute(samples: &[Sample]) -> f64 {
    let points = || samples.iter().map(|s| (s.at.as_secs_f64() / 60.0, s.resident_kib as f64));
    let count = samples.len() as f64;
    let (sum_x, sum_y) = points().fold((0.0, 0.0), |(xs, ys), (x, y)| (xs + x, ys + y));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let covariance: f64 = points().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(kib_each_second: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |second| Sample {
            at: Duration::from_secs(second),
            resident_kib: kib_each_second(second),
            descriptors: 0,
        };
        (0..120).map(sample).collect()
    }

    #[test]
    fn a_leak_of_two_kib_a_second_is_a_slope_of_120() {
        let slope = slope_kib_per_minute(&samples(|second| 5000 + 2 * second));
        assert!((slope - 120.0).abs() < 1e-6, "{slope}");
    }

    #[test]
    fn memory_that_swings_around_one_value_has_nearly_no_slope() {
        let slope = slope_kib_per_minute(&samples(|second| 5000 + second % 2 * 100));
        assert!(slope.abs() < 2.0, "{slope}");
    }
}
