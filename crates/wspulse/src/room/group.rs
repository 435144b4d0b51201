//! A group of connections that hear broadcasts in one order, and the fan-out to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wspulse_core::EncodedFrame;

use super::memberships::NotJoined;
use super::present::Present;
use super::waves::{RunningWaves, Waves};
use crate::codecs::CodecSet;
use crate::connection::{Connection, ConnectionShared};
use crate::mailbox::{Notice, Offered};
use crate::queued_bytes::QueuedBytes;
use crate::representations::Representations;
use crate::runtimes::Home;
use crate::sync::{AtomicBool, AtomicUsize, Mutex};

/// A named set of connections. Pushing to their queues happens under one lock, which gives the
/// group's broadcasts one order for all.
pub(crate) struct Group {
    name: Arc<str>,
    pub(super) inner: Mutex<Inner>,
    /// As the list is long; written under the lock, for those to read who do not wait for a fan-out.
    len: AtomicUsize,
    /// What the directory of groups knows of it.
    pub(crate) listing: Listing,
}

/// A group's state in the directory that it is found in.
#[derive(Default)]
pub(crate) struct Listing {
    /// How many are about to join, for whom it stays. Changes under the directory's lock.
    pub(crate) entering: AtomicUsize,
    /// Whether the hooks hear of it. Changes under the meter's lock.
    pub(crate) is_told: AtomicBool,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) list: Vec<Arc<ConnectionShared>>,
    present: Present,
    pub(super) waves: Waves,
}

/// Whom a broadcast is for, and how it is queued.
#[derive(Clone, Copy)]
pub(crate) struct Addressed<'a> {
    /// The one who does not get it.
    pub(crate) excluded: Option<&'a Arc<ConnectionShared>>,
    pub(crate) overflow: Overflow,
    pub(crate) queued_bytes: Option<&'a QueuedBytes>,
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

impl Group {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            inner: Mutex::default(),
            len: AtomicUsize::new(0),
            listing: Listing::default(),
        }
    }

    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Adds a member, unless it is one already, has ended, or is in too many groups. The group's
    /// waves are returned if they must [run](RunningWaves::run) from now on; dropping them takes the
    /// group's lock.
    pub(crate) fn join(
        self: &Arc<Self>,
        connection: &Arc<ConnectionShared>,
    ) -> Result<Option<RunningWaves>, NotJoined> {
        let mut inner = self.inner.lock();
        connection.enter(self, inner.list.len())?;
        inner.present.join(connection.mailbox.codec());
        inner.list.push(Arc::clone(connection));
        let members = inner.list.len();
        self.len.store(members, Ordering::Release);
        inner.waves.resize(members);
        let must_start = inner.waves.must_start(members, Home::current());
        Ok(must_start.then(|| RunningWaves::new(Arc::clone(self))))
    }

    /// Removes a member; tells whether it was one.
    pub(crate) fn leave(self: &Arc<Self>, connection: &ConnectionShared) -> bool {
        let mut inner = self.inner.lock();
        let Some(slot) = connection.exit(self) else { return false };
        inner.list.swap_remove(slot);
        inner.present.leave(connection.mailbox.codec());
        if let Some(moved) = inner.list.get(slot) {
            moved.move_to(self, slot);
        }
        if inner.list.len() < inner.list.capacity() / 4 {
            inner.list.shrink_to_fit();
        }
        let members = inner.list.len();
        self.len.store(members, Ordering::Release);
        inner.waves.resize(members);
        true
    }

    /// Gives every member a reference to the frame, on a server that has one codec.
    pub(crate) fn broadcast(&self, frame: &EncodedFrame, addressed: Addressed<'_>) -> FanOut {
        self.inner.lock().push(addressed, |_| Some(frame))
    }

    /// Gives every member a reference to the frame in its own codec, if it was made in all that are
    /// needed; else says which are missing, and nobody gets anything. That is for the caller to make,
    /// as codecs are the application's code, and to try again: other members may have come.
    pub(crate) fn broadcast_by_codec(
        self: &Arc<Self>,
        frames: &Representations<'_>,
        addressed: Addressed<'_>,
    ) -> Result<FanOut, CodecSet> {
        let inner = &mut *self.inner.lock();
        let left_out = addressed.excluded.filter(|excluded| excluded.is_in(self));
        let left_out = left_out.map(|member| member.mailbox.codec());
        let present = inner.present.among(inner.list.len(), left_out);
        let missing = present.without(frames.made());
        if !missing.is_empty() {
            return Err(missing);
        }
        Ok(inner.push(addressed, |member| frames.of(member.mailbox.codec())))
    }

    /// Does something while the group's lock is taken, as by a long fan-out.
    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn while_held<R>(&self, then: impl FnOnce() -> R) -> R {
        let _held = self.inner.lock();
        then()
    }

    pub(crate) fn snapshot(&self) -> Vec<Connection> {
        self.inner.lock().list.iter().cloned().map(Connection::new).collect()
    }

    /// How many members there are. It waits for nobody.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }
}

impl Inner {
    /// Queues for each member that it is for the frame that is its own: nothing is copied, and
    /// nothing is allocated for a member whose queue was empty.
    #[inline]
    fn push<'f>(
        &mut self,
        addressed: Addressed<'_>,
        frame_of: impl Fn(&ConnectionShared) -> Option<&'f EncodedFrame>,
    ) -> FanOut {
        let Addressed { excluded, overflow, queued_bytes } = addressed;
        let mut fan_out = FanOut { members: 0, overflowed: Vec::new() };
        let waves_home = self.waves.home();
        for member in &self.list {
            if excluded.is_some_and(|excluded| Arc::ptr_eq(excluded, member)) {
                continue;
            }
            let Some(frame) = frame_of(member) else {
                continue;
            };
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
            let members = self.list.len();
            self.waves.begin(members);
            // A worker keeps to itself what it has woken last. That must not be the waves, on which
            // the whole room relies: this callback may go on to hold the worker.
            self.wake_members(1);
        }
        fan_out
    }
}
