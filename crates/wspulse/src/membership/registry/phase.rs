//! Whether clients are taken, and whether those that are there may stay.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Inner, Refused, Registry};
use crate::ground::sync::AtomicUsize;
use crate::membership::shared::{ConnectionShared, ConnectionState};

/// It only goes on, never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// Nobody is taken any more; those that are there leave one after the other.
    Draining,
    /// Nothing is said any more, and the sessions that are left go over to other servers.
    HandingOver,
    /// They have, and what others lack of what was said is still answered.
    Leaving,
    Closed,
}

/// Read without a lock, and changed under the registry's.
pub(super) struct CurrentPhase(AtomicUsize);

impl CurrentPhase {
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(Phase::Open as usize))
    }

    pub(super) fn get(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Draining,
            2 => Phase::HandingOver,
            3 => Phase::Leaving,
            _ => Phase::Closed,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.0.store(phase as usize, Ordering::Release);
    }
}

impl Registry {
    /// Whether something may be said.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.get() < Phase::HandingOver
    }

    pub(super) fn is_closed(&self) -> bool {
        self.phase.get() == Phase::Closed
    }

    /// Whether it is drained, and not closed yet.
    pub(crate) fn is_drained(&self) -> bool {
        matches!(self.phase.get(), Phase::Draining | Phase::HandingOver | Phase::Leaving)
    }

    /// Whether it takes no client any more.
    pub(crate) fn refuses(&self) -> bool {
        self.phase.get() != Phase::Open
    }

    /// Whether any client is taken.
    pub(crate) fn check_phase(&self) -> Result<(), Refused> {
        match self.phase.get() {
            Phase::Open => Ok(()),
            Phase::Draining | Phase::HandingOver | Phase::Leaving => Err(Refused::Draining),
            Phase::Closed => Err(Refused::ServerClosed),
        }
    }

    /// Takes no more, and returns those that are connected, in the order of their tasks. `None` if
    /// that has been done, or if it is closed.
    pub(crate) fn begin_drain(&self) -> Option<VecDeque<Arc<ConnectionShared>>> {
        let inner = self.inner.lock();
        if self.refuses() {
            return None;
        }
        self.phase.enter(Phase::Draining);
        Some(inner.connected())
    }

    /// From now on nothing is said. Returns the sessions that may go over to other servers, in the order
    /// of their tasks; none if it is closed.
    pub(crate) fn hand_over(&self) -> VecDeque<Arc<ConnectionShared>> {
        let inner = self.inner.lock();
        if self.is_closed() {
            return VecDeque::new();
        }
        self.phase.enter(Phase::HandingOver);
        let connections = inner.tasks.iter().map(|(_, connection)| connection);
        let is_session = |it: &&Arc<ConnectionShared>| {
            it.mailbox.state() != ConnectionState::Closed && it.mailbox.proof().is_some()
        };
        connections.filter(is_session).cloned().collect()
    }

    /// All that could be handed over was.
    pub(crate) fn begin_to_leave(&self) {
        let _nobody_comes = self.inner.lock();
        if !self.is_closed() {
            self.phase.enter(Phase::Leaving);
        }
    }

    /// Whether nothing more comes of it.
    pub(crate) fn has_left(&self) -> bool {
        self.phase.get() >= Phase::Leaving
    }

    /// Those that are connected, in the order of their tasks.
    pub(crate) fn connected(&self) -> VecDeque<Arc<ConnectionShared>> {
        self.inner.lock().connected()
    }
}

impl Inner {
    fn connected(&self) -> VecDeque<Arc<ConnectionShared>> {
        let connections = self.tasks.iter().map(|(_, connection)| connection);
        let is_connected =
            |it: &&Arc<ConnectionShared>| it.mailbox.state() == ConnectionState::Connected;
        connections.filter(is_connected).cloned().collect()
    }
}
