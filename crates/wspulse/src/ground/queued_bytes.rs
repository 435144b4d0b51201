//! How many bytes the send buffers of all connections may hold together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// An account of all bytes that wait, kept only if they are bounded. Each queue charges a frame
/// before it takes it, and releases it when the frame is gone, under its own lock.
#[derive(Debug)]
pub(crate) struct QueuedBytes {
    capacity_bytes: usize,
    used: AtomicUsize,
}

/// So many bytes more would have to be free.
pub(crate) struct Missing {
    pub(crate) bytes: usize,
}

impl QueuedBytes {
    pub(crate) const fn new(capacity_bytes: usize) -> Self {
        Self { capacity_bytes, used: AtomicUsize::new(0) }
    }

    pub(crate) const fn capacity_bytes(&self) -> usize {
        self.capacity_bytes
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Charges `needed` bytes and releases `freed` ones, in one step and only if that fits.
    pub(crate) fn try_exchange(&self, freed: usize, needed: usize) -> Result<(), Missing> {
        // Nothing but the number itself is shared, so it needs no order.
        let exchanged = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some((used - freed).saturating_add(needed)).filter(|used| *used <= self.capacity_bytes)
        });
        exchanged.map(drop).map_err(|used| {
            let wanted = (used - freed).saturating_add(needed);
            Missing { bytes: wanted - self.capacity_bytes }
        })
    }

    /// Charges bytes that are there whatever the bound says.
    pub(crate) fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}
