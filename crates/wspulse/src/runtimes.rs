//! The runtimes that a server's connections live on: a connection whose runtime ends has its last
//! callback run on another one.

use tokio::runtime::{Handle, Id};

use crate::sync::Mutex;

/// More than one is rare; what is remembered of a runtime that has ended is not to grow.
const RUNTIMES_MAX: usize = 8;

/// Those that connections came on last, the newest at the end. Some may have ended.
pub(crate) struct Runtimes(Mutex<Vec<Handle>>);

impl Runtimes {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// A connection is about to be spawned on the current runtime.
    pub(crate) fn note_current(&self) {
        // In a model of threads the tasks are not the runtime's.
        if cfg!(all(test, shuttle)) {
            return;
        }
        let Ok(current) = Handle::try_current() else { return };
        let mut known = self.0.lock();
        if known.last().is_some_and(|newest| newest.id() == current.id()) {
            return;
        }
        known.retain(|other| other.id() != current.id());
        if known.len() == RUNTIMES_MAX {
            known.remove(0);
        }
        known.push(current);
    }

    pub(crate) fn known(&self) -> Vec<Handle> {
        self.0.lock().clone()
    }

    /// This one has ended.
    pub(crate) fn forget(&self, ended: Id) {
        self.0.lock().retain(|other| other.id() != ended);
    }
}
