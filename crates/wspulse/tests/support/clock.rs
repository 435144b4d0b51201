//! Times that tests agree on, and how virtual time has passed.

use std::time::Duration;

use tokio::time::Instant;

/// A resume window for tests that are not about its length.
pub(crate) const WINDOW: Duration = Duration::from_mins(1);

/// The resolution of the runtime's timers.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// The default of `write_wait`, which is how long a closing handshake may take.
pub(crate) const WRITE_WAIT: Duration = Duration::from_secs(10);

/// Lets every other task do what it can do at this instant. For paused time only: the clock moves
/// once all tasks wait, by a millisecond.
pub(crate) async fn settle() {
    tokio::time::sleep(TICK).await;
}

/// A moment less than a time.
pub(crate) fn shortly_before(time: Duration) -> Duration {
    time.checked_sub(2 * TICK).expect("times in tests are longer than that")
}

/// Asserts that a Ping that was due came so long after another, or after the transport.
#[track_caller]
pub(crate) fn assert_ping_passed(since: Instant, interval: Duration) {
    let passed = since.elapsed();
    let due = interval..=interval + interval / 30;
    assert!(due.contains(&passed), "{passed:?} passed, not {due:?}");
}

/// Asserts how much virtual time has passed, to the resolution of the timers.
#[track_caller]
pub(crate) fn assert_passed(since: Instant, expected: Duration) {
    let passed = since.elapsed();
    let difference = passed.abs_diff(expected);
    assert!(difference <= 2 * TICK, "{passed:?} passed, not {expected:?}");
}
