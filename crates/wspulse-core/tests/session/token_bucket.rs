//! The arithmetic of rates, under a clock that is an argument.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use wspulse_core::{Rate, TokenBucket};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

fn bucket(per_second: u32, burst: u32) -> (TokenBucket, Instant) {
    let now = Instant::now();
    (TokenBucket::full(Rate { per_second, burst }, now), now)
}

#[test]
fn a_new_bucket_is_full() {
    let (bucket, now) = bucket(10, 3);
    assert_eq!(bucket.available(now), 3);
}

#[test]
fn tokens_that_were_taken_are_gone() {
    let (mut bucket, now) = bucket(10, 3);
    bucket.take(2, now);
    assert_eq!(bucket.available(now), 1);
}

#[test]
fn tokens_come_back_one_by_one_at_the_rate() {
    let (mut bucket, now) = bucket(10, 3);
    bucket.take(3, now);
    assert_eq!(bucket.available(now + 99 * MS), 0);
    assert_eq!(bucket.available(now + 100 * MS), 1);
    assert_eq!(bucket.available(now + 199 * MS), 1);
    assert_eq!(bucket.available(now + 300 * MS), 3);
}

#[test]
fn a_long_silence_saves_up_no_more_than_the_burst() {
    let (mut bucket, now) = bucket(1_000_000_000, 3);
    bucket.take(3, now);
    let century = 100 * 365 * 24 * 3_600 * SECOND;
    assert_eq!(bucket.available(now + century), 3);
    bucket.take(3, now + century);
    assert_eq!(bucket.available(now + century), 0);
}

#[test]
fn a_debt_is_paid_before_there_are_tokens_again() {
    let (mut bucket, now) = bucket(10, 3);
    bucket.take(13, now);
    assert_eq!(bucket.available(now + SECOND), 0);
    assert_eq!(bucket.available(now + SECOND + 100 * MS), 1);
}

#[test]
fn a_clock_that_stands_still_brings_nothing() {
    let (mut bucket, now) = bucket(1_000_000_000, 1);
    bucket.take(1, now);
    for _ in 0..1_000 {
        assert_eq!(bucket.available(now), 0);
    }
}

#[test]
fn a_clock_that_goes_back_brings_nothing() {
    let (mut bucket, start) = bucket(10, 3);
    let now = start + SECOND;
    bucket.take(3, now);
    assert_eq!(bucket.available(start), 0);
    assert_eq!(bucket.available(now + 100 * MS), 1);
}

#[test]
fn it_tells_when_tokens_will_be_there() {
    let (mut bucket, now) = bucket(10, 3);
    assert_eq!(bucket.available_at(3, now), now);
    bucket.take(3, now);
    assert_eq!(bucket.available_at(1, now), now + 100 * MS);
    assert_eq!(bucket.available_at(3, now), now + 300 * MS);
}

#[test]
fn more_than_the_burst_is_waited_for_no_longer_than_the_burst() {
    let (mut bucket, now) = bucket(10, 3);
    bucket.take(3, now);
    assert_eq!(bucket.available_at(4, now), now + 300 * MS);
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    for (per_second, burst) in [(1, u32::MAX), (u32::MAX, 1), (u32::MAX, u32::MAX)] {
        let (mut bucket, now) = bucket(per_second, burst);
        bucket.take(u32::MAX, now);
        let at = bucket.available_at(burst, now);
        assert_eq!(bucket.available(at), burst);
    }
}

#[test]
#[should_panic(expected = "a rate of at least 1")]
fn a_rate_of_nothing_is_a_mistake() {
    bucket(0, 1);
}

/// Whatever the rate: as many tokens as promised are there when promised, none is there before, and
/// over any time no more are taken than the burst and what the time has brought.
#[test]
fn random_withdrawals_get_the_rate_and_no_more() {
    for seed in 0..200 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let per_second = 1 << rng.random_range(0..30);
        let per_second = rng.random_range(1..=per_second);
        let burst = rng.random_range(1..=1_000);
        let (mut bucket, start) = bucket(per_second, burst);
        let mut now = start;
        let mut taken = 0;
        for _ in 0..100 {
            let wanted = rng.random_range(1..=burst);
            let at = bucket.available_at(wanted, now);
            assert!(bucket.available(at) >= wanted, "seed {seed}: kept promises");
            if at > now + NS {
                // A token takes at least a nanosecond to come, unless the rate is higher.
                let sooner = at.checked_sub(2 * NS).expect("later than now");
                assert!(bucket.available(sooner) <= wanted, "seed {seed}: no sooner");
            }
            now = at + rng.random_range(0..3) * Duration::from_micros(10);
            bucket.take(wanted, now);
            taken += u128::from(wanted);
            let brought = (now - start).as_nanos() * u128::from(per_second) / 1_000_000_000;
            assert!(taken <= u128::from(burst) + brought + 1, "seed {seed}: no more than the rate");
        }
    }
}
