//! The last transports that were lost and connections that ended, if somebody wants to know them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use wspulse_core::{Disconnect, TransportLost};

use crate::ground::sync::{AtomicUsize, Mutex};

/// A session lost its transport, or a connection ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Departure {
    /// The connection's id.
    pub id: Arc<str>,
    /// Whose it was, as far as the application has said so.
    pub user: Option<Arc<str>>,
    /// Its home room; empty without one.
    pub room: Arc<str>,
    /// The address of its last peer, as far as it is known.
    pub peer_addr: Option<SocketAddr>,
    /// When it happened.
    pub at: SystemTime,
    /// How long the connection had existed by then, suspended times included.
    pub age: Duration,
    /// What happened.
    pub kind: DepartureKind,
}

/// What happened to a connection that is gone, or whose transport is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DepartureKind {
    /// It lost its transport for this cause, and waits for its client.
    Suspended(TransportLost),
    /// It ended.
    Ended(Disconnect),
}

/// More than anybody reads; the bound of what may be remembered.
pub(crate) const DEPARTURES_MAX: usize = 4096;

/// The newest of them, at the end.
#[derive(Default)]
pub(crate) struct Departures {
    /// How many are kept. Beside the lock, since most servers keep none.
    capacity: AtomicUsize,
    newest: Mutex<VecDeque<Departure>>,
}

impl Departures {
    /// Keeps this one, if any are.
    pub(crate) fn note(&self, departure: impl FnOnce() -> Departure) {
        let capacity = self.capacity.load(Ordering::Relaxed);
        if capacity == 0 {
            return;
        }
        let departure = departure();
        let mut newest = self.newest.lock();
        // As many as there are, if fewer are kept from now on.
        let too_many = (newest.len() + 1).saturating_sub(capacity).min(newest.len());
        newest.drain(..too_many);
        newest.push_back(departure);
    }

    pub(crate) fn remember(&self, most: usize) {
        let most = most.min(DEPARTURES_MAX);
        self.capacity.store(most, Ordering::Relaxed);
        let mut newest = self.newest.lock();
        let too_many = newest.len().saturating_sub(most);
        newest.drain(..too_many);
    }

    /// The newest first.
    pub(crate) fn list(&self) -> Vec<Departure> {
        self.newest.lock().iter().rev().cloned().collect()
    }
}
