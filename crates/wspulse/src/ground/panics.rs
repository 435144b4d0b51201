//! Panics in application code: caught, with the place where they happened and its stack.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{LazyLock, Once};

use tracing::field::{self, DebugValue};
use wspulse_core::PanicError;

thread_local! {
    /// This thread runs application code, in a [`Catching`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// Where the newest of its panics was: the place in the source, and the stack.
    static CAPTURED: RefCell<Option<(String, Backtrace)>> = const { RefCell::new(None) };
}

/// Has the process's panic hook keep the stack of panics that will be [caught](Catching::catch): once unwinding
/// has begun it is too late. The hook that was there goes on being called for every panic.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() {
                let location = info.location().map(ToString::to_string).unwrap_or_default();
                CAPTURED.set(Some((location, Backtrace::force_capture())));
            }
            previous(info);
        }));
    });
}

/// Runs application code once.
pub(crate) fn catch<R>(run: impl FnOnce() -> R) -> Result<R, PanicError> {
    Catching::begin().catch(run)
}

/// While it lives, this thread runs application code: begun once, it catches as often as it is
/// asked to.
pub(crate) struct Catching {
    outer: bool,
    /// It must be dropped on the thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

impl Catching {
    pub(crate) fn begin() -> Self {
        Self { outer: CATCHING.replace(true), _not_send: PhantomData }
    }

    /// Runs application code. What it leaves half done is its own: nothing of the server's state is
    /// lent to it, which is why asserting unwind safety is right.
    #[expect(clippy::unused_self, reason = "that it lives is what is asked for")]
    #[inline]
    pub(crate) fn catch<R>(&self, run: impl FnOnce() -> R) -> Result<R, PanicError> {
        panic::catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
            let panic = PanicError::new(&*payload);
            match CAPTURED.take() {
                Some((location, backtrace)) => panic.at(location, backtrace),
                None => panic,
            }
        })
    }
}

/// The stack of a panic for a line of the log: only where the environment asks for stacks, by
/// `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE`, as with the standard library. It has thousands of bytes, and
/// to read the symbols for the first takes a tenth of a second and more.
pub(crate) fn logged_backtrace(panic: &PanicError) -> Option<DebugValue<&Backtrace>> {
    static IS_ASKED_FOR: LazyLock<bool> =
        LazyLock::new(|| Backtrace::capture().status() == BacktraceStatus::Captured);
    panic.backtrace().filter(|_| *IS_ASKED_FOR).map(field::debug)
}

impl Drop for Catching {
    fn drop(&mut self) {
        CATCHING.set(self.outer);
    }
}
