//! Who looks at what passes a connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Mailbox;
use crate::membership::shared::ConnectionState;
use crate::membership::tap::{Passed, TapQueue};

impl Mailbox {
    /// Whether anybody looks. Beside the lock, since every write asks for it.
    #[inline]
    pub(crate) fn is_tapped(&self) -> bool {
        self.is_tapped.load(Ordering::Relaxed)
    }

    /// From now on this one sees what passes. A member of a large room has its frames in its own queue
    /// for that long, where they can be seen.
    pub(crate) fn add_tap(&self, tap: &Arc<TapQueue>) {
        let mut inner = self.lock();
        if inner.state == ConnectionState::Closed {
            return tap.end();
        }
        inner.rare.get_or_insert_default().taps.push(Arc::clone(tap));
        self.is_tapped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn remove_tap(&self, tap: &Arc<TapQueue>) {
        let mut inner = self.inner.lock();
        let Some(rare) = &mut inner.rare else { return };
        rare.taps.retain(|other| !Arc::ptr_eq(other, tap));
        self.is_tapped.store(!rare.taps.is_empty(), Ordering::Relaxed);
        inner.rare.take_if(|rare| rare.is_empty());
    }

    /// The task is over: nothing passes any more.
    pub(crate) fn end_taps(&self) {
        if !self.is_tapped() {
            return;
        }
        for tap in self.taps() {
            tap.end();
        }
    }

    /// Shows a message to all who look.
    pub(crate) fn show(&self, message: &Passed) {
        for tap in self.taps() {
            tap.push(message.clone());
        }
    }

    fn taps(&self) -> Vec<Arc<TapQueue>> {
        self.inner.lock().rare.as_ref().map_or_else(Vec::new, |rare| rare.taps.clone())
    }
}
