//! Sums of instants and times, which applications choose.

use std::time::{Duration, Instant};

/// A longer time than this never ends in practice, and no clock goes on for ever.
const CENTURY: Duration = Duration::from_hours(100 * 365 * 24);

/// What a server that stood still and its peers need to catch up: for a round trip, or a handshake
/// that has waited meanwhile.
pub const CATCH_UP: Duration = Duration::from_secs(5);

/// A deadline of something that has `time`, after `missed` of it was lost: it ends later by that,
/// and not before there was time to catch up.
///
/// For whoever keeps deadlines outside of a session, as
/// [`Session::handle_stall`](crate::session::Session::handle_stall) does inside.
pub fn put_off(deadline: Instant, missed: Duration, time: Duration, now: Instant) -> Instant {
    after(deadline, missed).max(after(now, time.min(CATCH_UP)))
}

/// The instant that comes so long after another: every deadline is computed here. A time that the
/// clock cannot express comes to an instant that is never reached.
pub fn after(instant: Instant, time: Duration) -> Instant {
    // The last resort is for an instant that is itself at the end of the clock.
    instant.checked_add(time).or_else(|| instant.checked_add(CENTURY)).unwrap_or(instant)
}

/// The earlier of two deadlines that may not be there. It takes fewer instructions than the `min` of
/// an iterator, and is asked each time that a task is about to sleep.
#[inline]
pub fn earlier<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}
