//! When Pings may go out that are due.
//!
//! Those of many connections go out together, as it costs least to do the same for many in a row. So
//! time has beats, at which Pings may go out; each has its like an interval later.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;
use wspulse_core::HeartbeatConfig;

/// A Ping is late by up to this part of its interval.
const LATE_PART: u32 = 30;

/// Of the time that a peer has for an answer, the part that its Ping may be late.
const ANSWER_PART: u32 = 4;

/// How many beats there are in the time that a Ping may be late: over so many those are spread that
/// are due together and too many for one.
const BEATS: u32 = 16;

/// How much later than at its beat a Ping goes out: by the resolution of timers, and behind others of
/// its group.
const BEHIND_MAX: Duration = Duration::from_millis(2);

/// With less time than this for the beats nothing is shared.
const LATE_MIN: Duration = Duration::from_millis(4);

/// One of the times at which Pings go out. No two are at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Beat(u64);

/// Tells a beat from all that are within months of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(NonZeroU32);

#[cfg(all(test, shuttle))]
impl Mark {
    pub(crate) const EXAMPLE: Self = Self(NonZeroU32::MIN);
}

#[derive(Debug)]
pub(crate) struct PingSchedule {
    start: Instant,
    interval: Duration,
    late_max: Duration,
    beat_nanos: u64,
    /// How many beats an interval has.
    beats: u64,
}

impl PingSchedule {
    pub(crate) fn new(start: Instant, heartbeat: &HeartbeatConfig) -> Self {
        let HeartbeatConfig { ping_interval, pong_timeout } = *heartbeat;
        let time_to_answer = pong_timeout.saturating_sub(ping_interval);
        let late_max = (ping_interval / LATE_PART).min(time_to_answer / ANSWER_PART);
        let late_max = late_max.saturating_sub(BEHIND_MAX);
        let beat_nanos = nanos(late_max / BEATS).max(1);
        let beats = nanos(ping_interval).div_ceil(beat_nanos).max(1);
        Self { start, interval: ping_interval, late_max, beat_nanos, beats }
    }

    /// Whether Pings may be so late that some can go out together.
    pub(crate) fn is_shared(&self) -> bool {
        self.late_max >= LATE_MIN
    }

    pub(crate) const fn interval(&self) -> Duration {
        self.interval
    }

    /// Until when the beat must have come for the Ping that is due `at` a time.
    pub(crate) fn latest(&self, at: Instant) -> Instant {
        at + self.late_max
    }

    /// The beats at which a Ping may go out that is due `at` a time, the earliest first.
    pub(crate) fn beats(&self, at: Instant) -> impl DoubleEndedIterator<Item = Beat> {
        let due = nanos(at.saturating_duration_since(self.start));
        let (interval, latest) = (nanos(self.interval), due + nanos(self.late_max));
        // Behind the last beat of an interval comes the first one of the next.
        let first = (due % interval).div_ceil(self.beat_nanos);
        let last = (latest % interval / self.beat_nanos).min(self.beats - 1);
        let first = due / interval * self.beats + first;
        (first..=latest / interval * self.beats + last).map(Beat)
    }

    pub(crate) fn at(&self, beat: Beat) -> Instant {
        let intervals = beat.0 / self.beats * nanos(self.interval);
        self.start + Duration::from_nanos(intervals + self.place(beat) * self.beat_nanos)
    }

    /// Its like an interval later.
    pub(crate) const fn next(&self, beat: Beat) -> Beat {
        Beat(beat.0 + self.beats)
    }

    /// Its place in an interval, which its likes have as well.
    pub(crate) const fn place(&self, beat: Beat) -> u64 {
        beat.0 % self.beats
    }
}

impl Beat {
    /// Enough of it to tell it from all that are near.
    #[expect(clippy::cast_possible_truncation, reason = "what is far away does not count")]
    pub(crate) fn mark(self) -> Mark {
        Mark(NonZeroU32::new(self.0 as u32).unwrap_or(NonZeroU32::MAX))
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

    /// All beats of a Ping, in order and none too early or too late, whenever it is due.
    fn check(pong_timeout: Duration, late_max: Duration) {
        let start = Instant::now();
        let schedule = schedule(start, pong_timeout);
        for nanos in [0, 1, 999, 20_833_334, 9_666_666_667, 9_999_999_999, 10_000_000_000] {
            let due = start + 7 * INTERVAL + Duration::from_nanos(nanos);
            let times: Vec<_> = schedule.beats(due).map(|beat| schedule.at(beat)).collect();
            assert!(times.is_sorted_by(|one, other| one < other), "{times:?}");
            assert!((15..=18).contains(&times.len()), "{times:?}");
            assert!(times[0] >= due && times[times.len() - 1] <= due + late_max, "{times:?}");
        }
    }

    #[test]
    fn a_ping_has_beats_over_a_thirtieth_of_its_interval() {
        check(3 * INTERVAL, INTERVAL / LATE_PART);
    }

    #[test]
    fn a_peer_has_three_quarters_of_its_time_to_answer_at_least() {
        let time_to_answer = Duration::from_millis(100);
        check(INTERVAL + time_to_answer, time_to_answer / ANSWER_PART);
    }

    #[test]
    fn a_beats_like_comes_a_whole_interval_later() {
        let start = Instant::now();
        let schedule = schedule(start, 3 * INTERVAL);
        for beat in schedule.beats(start + INTERVAL * 29 / 30) {
            let next = schedule.next(beat);
            assert_eq!(schedule.at(next) - schedule.at(beat), INTERVAL);
            assert_eq!(schedule.place(next), schedule.place(beat));
            assert_ne!(next.mark(), beat.mark());
        }
    }

    #[test]
    fn the_shortest_interval_is_none_to_share() {
        let heartbeat = HeartbeatConfig {
            ping_interval: Duration::from_nanos(1),
            pong_timeout: Duration::from_nanos(2),
        };
        let start = Instant::now();
        let schedule = PingSchedule::new(start, &heartbeat);
        assert!(!schedule.is_shared());
        assert_eq!(schedule.latest(start), start);
    }
}
