//! The runtimes that a server's connections live on: a connection whose runtime ends has its last
//! callback run on another one.

use std::hash::{Hash, Hasher};

use tokio::runtime::{Handle, Id};

use crate::ground::sync::Mutex;

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

    /// Whether connections have come on the current one. Another one may be one that nobody drives,
    /// but now and then.
    pub(crate) fn has_current(&self) -> bool {
        if cfg!(all(test, shuttle)) {
            return true;
        }
        let Ok(current) = Handle::try_current() else { return false };
        self.0.lock().iter().any(|known| known.id() == current.id())
    }

    /// The known ones, the newest last; the current one before them, for want of any.
    pub(crate) fn known_or_current(&self) -> Vec<Handle> {
        let mut runtimes: Vec<_> = Handle::try_current().into_iter().collect();
        runtimes.extend(self.known());
        runtimes
    }

    pub(crate) fn known(&self) -> Vec<Handle> {
        self.0.lock().clone()
    }

    /// This one has ended.
    pub(crate) fn forget(&self, ended: Id) {
        self.0.lock().retain(|other| other.id() != ended);
    }
}

/// The runtime that a connection's task is on, as a small number. What one runtime's threads do
/// late, such as one that a callback holds, is to be felt on no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Home(u8);

impl Home {
    /// As many as an application has that starts a runtime for each of its cores. Two that share a
    /// number wait for each other as if they were one.
    pub(crate) const COUNT: usize = 64;

    /// That of the task, or of the thread, that asks.
    pub(crate) fn current() -> Self {
        Handle::try_current().map_or(Self(0), |runtime| Self::of(runtime.id()))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a remainder below 64")]
    fn of(id: Id) -> Self {
        let mut number = Number(0);
        id.hash(&mut number);
        Self((number.0 % Self::COUNT as u64) as u8)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a remainder below 64")]
    pub(crate) const fn from_index(index: usize) -> Self {
        Self((index % Self::COUNT) as u8)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Gets at the number in a runtime's id: those that run at a time are numbered one after another.
struct Number(u64);

impl Hasher for Number {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add(byte.into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_that_run_at_a_time_have_homes_of_their_own() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let runtimes: Vec<_> = (0..8).map(|_| runtime()).collect();
        let mut homes: Vec<_> =
            runtimes.iter().map(|runtime| Home::of(runtime.handle().id()).index()).collect();
        homes.sort_unstable();
        homes.dedup();
        assert_eq!(homes.len(), runtimes.len());
    }
}
