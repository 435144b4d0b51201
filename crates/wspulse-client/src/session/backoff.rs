//! How long to wait before the next attempt.

use std::time::Duration;

/// Capped exponential backoff with full jitter: a random time between 0 and a bound that doubles.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    attempts_max: Option<u32>,
    /// Attempts since the server was last heard.
    attempts: u32,
    random: u64,
}

impl Backoff {
    pub(crate) const fn new(
        base: Duration,
        max: Duration,
        attempts_max: Option<u32>,
        seed: u64,
    ) -> Self {
        Self { base, max, attempts_max, attempts: 0, random: seed }
    }

    /// The number of the next attempt and the time until then; none if that would be too many.
    ///
    /// `least` is what the server asked for. The random time comes on top, so that those who were
    /// told the same do not come at once.
    pub(super) fn next(&mut self, least: Duration) -> Option<(u32, Duration)> {
        if self.attempts_max.is_some_and(|max| self.attempts >= max) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(self.attempts);
        let bound = self.base.saturating_mul(doubled).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        Some((self.attempts, least.saturating_add(self.random_below(bound))))
    }

    pub(super) const fn begin_anew(&mut self) {
        self.attempts = 0;
    }

    fn random_below(&mut self, bound: Duration) -> Duration {
        // SplitMix64: nobody gains by guessing when a client comes back.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let fraction = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
        bound.mul_f64(f64::from(fraction) / (f64::from(u32::MAX) + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_its_maximum_and_begins_anew() {
        let (base, max) = (Duration::from_millis(100), Duration::from_secs(1));
        for seed in 0..200 {
            let mut backoff = Backoff::new(base, max, None, seed);
            for bound in [100, 200, 400, 800, 1000, 1000] {
                let (_, delay) = backoff.next(Duration::ZERO).unwrap();
                assert!(delay < Duration::from_millis(bound), "{delay:?} of {bound} ms");
            }
            backoff.begin_anew();
            let (attempt, delay) = backoff.next(Duration::ZERO).unwrap();
            assert_eq!(attempt, 1);
            assert!(delay < base);
        }
    }

    #[test]
    fn jitter_is_full() {
        let second = Duration::from_secs(1);
        let delays: Vec<Duration> = (0..1000)
            .map(|seed| Backoff::new(second, second, None, seed).next(Duration::ZERO).unwrap().1)
            .collect();
        for tenth in 1..10 {
            let bound = second * tenth / 10;
            let below = delays.iter().filter(|delay| **delay < bound).count();
            let expected = delays.len() * usize::try_from(tenth).unwrap() / 10;
            assert!(below.abs_diff(expected) < 60, "{below} of 1000 below {bound:?}");
        }
    }

    #[test]
    fn what_the_server_asked_for_is_the_least() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1), None, 7);
        let least = Duration::from_secs(20);
        for _ in 0..100 {
            let (_, delay) = backoff.next(least).unwrap();
            assert!((least..least + Duration::from_secs(1)).contains(&delay));
        }
    }

    #[test]
    fn attempts_run_out_and_never_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX, Some(2), 1);
        assert_eq!(backoff.next(Duration::MAX).map(|(attempt, _)| attempt), Some(1));
        assert!(backoff.next(Duration::ZERO).is_some());
        assert!(backoff.next(Duration::ZERO).is_none());
    }
}
