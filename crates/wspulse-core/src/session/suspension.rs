//! How many sessions may be suspended at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the suspended sessions of a server, exactly, and never beyond a bound: a session that
/// would be one too many ends instead.
#[derive(Debug)]
pub struct SuspensionLimit {
    sessions_max: usize,
    suspended: AtomicUsize,
}

impl SuspensionLimit {
    /// Lets at most so many sessions be suspended at once.
    pub const fn new(sessions_max: usize) -> Self {
        Self { sessions_max, suspended: AtomicUsize::new(0) }
    }

    /// How many sessions are suspended at this instant.
    pub fn suspended(&self) -> usize {
        self.suspended.load(Ordering::Relaxed)
    }

    /// Takes a place if there is one. [`leave`](Self::leave) must follow.
    pub(super) fn try_enter(&self) -> bool {
        // Nothing but the number itself is shared, so it needs no order.
        let entered =
            self.suspended.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |suspended| {
                (suspended < self.sessions_max).then(|| suspended + 1)
            });
        entered.is_ok()
    }

    pub(super) fn leave(&self) {
        self.suspended.fetch_sub(1, Ordering::Relaxed);
    }
}
