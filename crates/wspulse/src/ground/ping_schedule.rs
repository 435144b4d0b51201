//! When Pings go out that are due.

use std::time::Duration;

use tokio::time::Instant;
use wspulse_core::HeartbeatConfig;

/// A Ping is late by up to this part of its interval, each by another time: connections that are
/// pinged together, because they came together or the process stood still, part ways.
const LATE_PART: u32 = 30;

/// Of the time that a peer has for an answer, the part that its Ping may be late.
const ANSWER_PART: u32 = 4;

/// How many slots there are in the time that a Ping may be late. Pings go out in slots, so that
/// those of many connections share a wake-up, and their Pongs another, which is most of what idle
/// connections cost.
const SLOTS: u32 = 16;

#[derive(Debug)]
pub(crate) struct PingSchedule {
    start: Instant,
    late_max: Duration,
    slot_nanos: u64,
    spread_micros: u64,
}

impl PingSchedule {
    pub(crate) fn new(start: Instant, heartbeat: &HeartbeatConfig) -> Self {
        let HeartbeatConfig { ping_interval, pong_timeout } = *heartbeat;
        let time_to_answer = pong_timeout.saturating_sub(ping_interval);
        let late_max = (ping_interval / LATE_PART).min(time_to_answer / ANSWER_PART);
        let slot = late_max / SLOTS;
        Self {
            start,
            late_max,
            slot_nanos: nanos(slot).max(1),
            spread_micros: nanos(late_max.saturating_sub(slot)) / 1_000,
        }
    }

    /// Until when the Ping must have gone out that is due `at` a time.
    pub(crate) fn latest(&self, at: Instant) -> Instant {
        at + self.late_max
    }

    /// When the Ping goes out that is due `at` a time; the same whenever it is asked for.
    pub(crate) fn slot(&self, at: Instant, connection: usize) -> Instant {
        let due = nanos(at.saturating_duration_since(self.start));
        let late = due + self.lateness_micros(due, connection as u64) * 1_000;
        at + Duration::from_nanos(late.next_multiple_of(self.slot_nanos) - due)
    }

    /// As good as random, and the same in every run: Knuth's multiplicative hashing.
    const fn lateness_micros(&self, due: u64, connection: u64) -> u64 {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = due.wrapping_add(connection.wrapping_mul(GOLDEN_RATIO));
        let hash = mixed.wrapping_mul(GOLDEN_RATIO) >> 32;
        // A spread has 24 bits at most, as intervals do not exceed five minutes.
        (hash * self.spread_micros) >> 32
    }
}

/// A server does not live for the 584 years that 64 bits can count.
fn nanos(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn schedule(start: Instant, pong_timeout: Duration) -> PingSchedule {
        PingSchedule::new(start, &HeartbeatConfig { ping_interval: INTERVAL, pong_timeout })
    }

    /// How late each of a thousand Pings is that are due together.
    fn latenesses(pong_timeout: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let at = start + INTERVAL;
        let schedule = schedule(start, pong_timeout);
        (0..1_000).map(|connection| schedule.slot(at, connection) - at).collect()
    }

    #[test]
    fn pings_that_are_due_together_are_spread_evenly_over_a_part_of_the_interval() {
        let latenesses = latenesses(3 * INTERVAL);
        let late_max = INTERVAL / LATE_PART;
        assert!(latenesses.iter().all(|late| *late <= late_max));
        for quarter in 0..4 {
            let quarter = late_max * quarter / 4..late_max * (quarter + 1) / 4;
            let pings = latenesses.iter().filter(|late| quarter.contains(late)).count();
            assert!((150..350).contains(&pings), "{pings} in {quarter:?}");
        }
    }

    #[test]
    fn a_peer_has_three_quarters_of_its_time_to_answer_at_least() {
        let time_to_answer = Duration::from_millis(100);
        let latenesses = latenesses(INTERVAL + time_to_answer);
        assert!(latenesses.iter().all(|late| *late <= time_to_answer / ANSWER_PART));
    }

    #[test]
    fn pings_go_out_in_slots() {
        let start = Instant::now();
        let schedule = schedule(start, 3 * INTERVAL);
        for micros in [0, 1, 999, 20_833, 20_834, 999_999, 10_000_123] {
            let slot = schedule.slot(start + Duration::from_micros(micros), 7);
            assert_eq!((slot - start).as_nanos() % (INTERVAL / LATE_PART / SLOTS).as_nanos(), 0);
        }
    }

    #[test]
    fn the_shortest_interval_has_slots_too() {
        let heartbeat = HeartbeatConfig {
            ping_interval: Duration::from_nanos(1),
            pong_timeout: Duration::from_nanos(2),
        };
        let start = Instant::now();
        assert_eq!(PingSchedule::new(start, &heartbeat).slot(start, 7), start);
    }
}
