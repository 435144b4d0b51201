//! The locks, atomics and tasks that threads share, and what each has for itself: those of a model
//! checker in its tests (`--cfg shuttle`), which then decides who runs when.

#[cfg(not(all(test, shuttle)))]
mod chosen {
    pub(crate) use std::hash::RandomState as NameHasher;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
    pub(crate) use std::thread_local;

    pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};

    /// Whether tasks can be spawned here.
    pub(crate) fn has_runtime() -> bool {
        tokio::runtime::Handle::try_current().is_ok()
    }

    /// Runs the future on a task of its own.
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

#[cfg(all(test, shuttle))]
mod chosen {
    use std::hash::{BuildHasherDefault, DefaultHasher};
    use std::sync::PoisonError;

    pub(crate) use shuttle::sync::MutexGuard;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
    pub(crate) use shuttle::thread_local;

    /// A schedule must replay: the same names share a lock each time.
    pub(crate) type NameHasher = BuildHasherDefault<DefaultHasher>;

    /// Shuttle's, with the interface of `parking_lot`'s.
    #[derive(Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Shuttle's, with the interface of `parking_lot`'s.
    #[derive(Default)]
    pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }

    pub(crate) const fn has_runtime() -> bool {
        true
    }

    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        shuttle::future::spawn(task);
    }
}

pub(crate) use chosen::{
    AtomicBool, AtomicU32, AtomicUsize, Mutex, MutexGuard, NameHasher, RwLock, has_runtime, spawn,
    thread_local,
};
