//! When a permission runs out: from the wall clock of tokens to the clock that is never set.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use wspulse_core::clock::after;

/// The instant of a time on the wall clock, as that clock goes now: once it is set, this stays. A
/// time that has passed is now.
pub(crate) fn instant_of(time: SystemTime) -> Instant {
    instant_in(time.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The instant that comes so long after now.
pub(crate) fn instant_in(time: Duration) -> Instant {
    after(Instant::now().into_std(), time).into()
}

/// What the wall clock will show then, as it goes now.
pub(crate) fn time_of(instant: Instant) -> SystemTime {
    let (now, here) = (SystemTime::now(), Instant::now());
    let time = match instant.checked_duration_since(here) {
        Some(left) => now.checked_add(left),
        None => now.checked_sub(here.duration_since(instant)),
    };
    // A clock at its own end.
    time.unwrap_or(now)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn a_time_is_the_same_there_and_back() {
        let time = SystemTime::now() + HOUR;
        let error = time_of(instant_of(time)).duration_since(time).unwrap_or_else(|e| e.duration());
        assert!(error < Duration::from_secs(1), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_has_passed_is_now() {
        assert_eq!(instant_of(SystemTime::UNIX_EPOCH), Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_no_clock_can_express_is_far_away() {
        assert!(instant_in(Duration::MAX) > Instant::now() + HOUR * 24 * 365);
    }
}
