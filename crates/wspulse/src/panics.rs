//! Panics in application code: caught, with the stack of the place where they happened.

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use wspulse_core::PanicError;

thread_local! {
    /// This thread is inside [`catch`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAPTURED: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

/// Has the process's panic hook keep the stack of panics that [`catch`] will catch: once unwinding
/// has begun it is too late. The hook that was there goes on being called for every panic.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() {
                CAPTURED.set(Some(Backtrace::force_capture()));
            }
            previous(info);
        }));
    });
}

/// Runs application code. What it leaves half done is its own: nothing of the server's state is
/// lent to it, which is why asserting unwind safety is right.
pub(crate) fn catch<R>(run: impl FnOnce() -> R) -> Result<R, PanicError> {
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    CATCHING.set(outer);
    result.map_err(|payload| PanicError::new(&*payload, CAPTURED.take()))
}
