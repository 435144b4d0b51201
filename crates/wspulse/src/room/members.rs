//! A room's members, and the fan-out to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wspulse_core::EncodedFrame;

use super::waves::{RunningWaves, Waves};
use crate::connection::{Connection, ConnectionShared};
use crate::mailbox::{Notice, Offered};
use crate::queued_bytes::QueuedBytes;
use crate::runtimes::Home;
use crate::sync::Mutex;

/// A room's members. Pushing to their queues happens under one lock, which gives the room's
/// broadcasts one order for all.
#[derive(Default)]
pub(crate) struct Members {
    pub(super) inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) list: Vec<Arc<ConnectionShared>>,
    pub(super) waves: Waves,
}

/// What a broadcast did.
pub(crate) struct FanOut {
    /// How many members have it in their queues.
    pub(crate) members: usize,
    /// Those for whom there was no room without dropping something, if that is of interest.
    pub(crate) overflowed: Vec<(Arc<ConnectionShared>, Offered)>,
}

/// Whether anybody wants to know who dropped a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    Listed,
    Ignored,
}

impl Members {
    /// Adds a member. The room's waves are returned if they must [run](RunningWaves::run) from now
    /// on; dropping them takes the room's lock.
    pub(crate) fn join(
        self: &Arc<Self>,
        connection: Arc<ConnectionShared>,
    ) -> Option<RunningWaves> {
        let mut inner = self.inner.lock();
        connection.room_slot.store(inner.list.len(), Ordering::Relaxed);
        inner.list.push(connection);
        let members = inner.list.len();
        inner.waves.resize(members);
        inner
            .waves
            .must_start(members, Home::current())
            .then(|| RunningWaves::new(Arc::clone(self)))
    }

    /// Removes a member and tells whether it was the last one.
    pub(crate) fn leave(&self, connection: &ConnectionShared) -> bool {
        let mut inner = self.inner.lock();
        let slot = connection.room_slot.load(Ordering::Relaxed);
        inner.list.swap_remove(slot);
        if let Some(moved) = inner.list.get(slot) {
            moved.room_slot.store(slot, Ordering::Relaxed);
        }
        if inner.list.len() < inner.list.capacity() / 4 {
            inner.list.shrink_to_fit();
        }
        let members = inner.list.len();
        inner.waves.resize(members);
        members == 0
    }

    /// The server closes: the room is no more.
    pub(crate) fn dissolve(&self) {
        let mut inner = self.inner.lock();
        inner.list = Vec::new();
        inner.waves.resize(0);
    }

    /// Gives every member but `excluded` a reference to the frame: nothing is copied, and nothing
    /// is allocated for a member whose queue was empty.
    pub(crate) fn broadcast(
        &self,
        frame: &EncodedFrame,
        excluded: Option<&Arc<ConnectionShared>>,
        overflow: Overflow,
        queued_bytes: Option<&QueuedBytes>,
    ) -> FanOut {
        let mut fan_out = FanOut { members: 0, overflowed: Vec::new() };
        let inner = &mut *self.inner.lock();
        let waves_home = inner.waves.home();
        for member in &inner.list {
            if excluded.is_some_and(|excluded| Arc::ptr_eq(excluded, member)) {
                continue;
            }
            let notice =
                if waves_home == Some(member.mailbox.home()) { Notice::Later } else { Notice::Now };
            let offered = member.mailbox.broadcast(frame.clone(), notice, queued_bytes);
            let Ok(offered) = offered else {
                continue;
            };
            fan_out.members += 1;
            if offered.has_overflowed() {
                fan_out.members -= usize::from(offered.is_refused());
                if overflow == Overflow::Listed {
                    fan_out.overflowed.push((Arc::clone(member), offered));
                }
            }
        }
        if waves_home.is_some() {
            let members = inner.list.len();
            inner.waves.begin(members);
            // A worker keeps to itself what it has woken last. That must not be the waves, on which
            // the whole room relies: this callback may go on to hold the worker.
            inner.wake_members(1);
        }
        fan_out
    }

    pub(crate) fn snapshot(&self) -> Vec<Connection> {
        self.inner.lock().list.iter().cloned().map(Connection::new).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.lock().list.len()
    }
}
