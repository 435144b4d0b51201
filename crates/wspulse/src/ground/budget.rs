//! Polling beside code of the application, which may have spent the task's budget.
//!
//! A future of tokio's that is polled without a budget says "not yet" and has the task polled
//! again, but it has neither looked nor registered. Where the application spends the budget in
//! every poll, it never looks.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::task::unconstrained;

/// Polls a timer, a socket or the like, which looks and registers whatever is left of the budget.
/// Nothing of the application may be polled so: it might never return.
pub(crate) fn poll_unbudgeted<T>(
    cx: &mut Context<'_>,
    poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    pin!(unconstrained(poll_fn(poll))).poll(cx)
}
