//! A group of connections that hear broadcasts in one order, and the fan-out to them.

mod moving;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use wspulse_core::EncodedFrame;

use super::addressing::{Addressed, Kind, Leaving, OverflowInterest, Queueing, Terms, is_same};
use super::extras::Extras;
use super::followers::Followers;
use super::history::Prepared;
use super::memberships::NotJoined;
use super::present::Present;
use super::turn_writes::TurnWrites;
use super::waves::{RunningWaves, Waves};
use crate::cluster::speaker::Uplink;
use crate::ground::runtimes::Home;
use crate::ground::sync::{AtomicBool, AtomicUsize, Mutex};
use crate::membership::mailbox::{HasEnded, Mailbox, Notice, Offered};
use crate::membership::shared::ConnectionShared;
use crate::observe::meter::Meter;
use crate::settings::codecs::{CodecId, CodecSet};
use crate::settings::representations::Representations;

/// A named set of connections. Pushing to their queues happens under one lock, which gives the
/// group's broadcasts one order for all.
pub(crate) struct Group {
    kind: Kind,
    name: Arc<str>,
    pub(super) has_extras: bool,
    /// Whether its members hear its log, if it has one.
    pub(super) hears_log: AtomicBool,
    /// To its members on other servers, if there are any servers.
    uplink: Option<Uplink>,
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
    pub(super) followers: Option<Followers>,
    pub(super) extras: Option<Box<Extras>>,
}

/// What a broadcast to one group did.
#[derive(Default)]
pub(crate) struct Pushed {
    /// How many members have it in their queues.
    pub(crate) members: usize,
    /// How many of them are suspended.
    pub(crate) suspended: usize,
    /// How many frames were dropped, older ones or this one.
    pub(crate) dropped: usize,
    /// How many older frames it has replaced.
    pub(crate) conflated: usize,
    /// Those for whom there was no room without dropping something, if that is of interest.
    pub(crate) overflowed: Vec<(Arc<ConnectionShared>, Offered)>,
}

impl Pushed {
    /// Counts what became of the frame at one member.
    #[inline]
    pub(super) fn count(
        &mut self,
        member: &Arc<ConnectionShared>,
        offered: Offered,
        overflow: OverflowInterest,
    ) {
        self.members += 1;
        self.suspended += usize::from(offered.is_suspended);
        if offered.is_left {
            TurnWrites::add(member);
        }
        if offered.has_overflowed() {
            self.count_overflow(member, offered, overflow);
        }
    }

    #[cold]
    fn count_overflow(
        &mut self,
        member: &Arc<ConnectionShared>,
        offered: Offered,
        overflow: OverflowInterest,
    ) {
        let is_refused = offered.is_refused();
        self.members -= usize::from(is_refused);
        self.suspended -= usize::from(is_refused && offered.is_suspended);
        self.dropped += offered.evicted + usize::from(is_refused);
        self.conflated += offered.conflated;
        if overflow == OverflowInterest::Listed {
            self.overflowed.push((Arc::clone(member), offered));
        }
    }
}

impl Group {
    pub(crate) fn new(
        kind: Kind,
        name: &str,
        extras: Option<Box<Extras>>,
        uplink: Option<Uplink>,
    ) -> Self {
        Self {
            kind,
            hears_log: AtomicBool::new(false),
            uplink,
            name: name.into(),
            has_extras: extras.is_some(),
            inner: Mutex::new(Inner { extras, ..Inner::default() }),
            len: AtomicUsize::new(0),
            listing: Listing::default(),
        }
    }

    /// Tells the hooks that it is there, once, if they hear of its kind.
    pub(crate) fn tell(&self, meter: &Meter) {
        match self.kind {
            Kind::Room => meter.note_created(&self.name, &self.listing.is_told),
            Kind::User => {}
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
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
        prepared: Prepared,
    ) -> Result<Option<RunningWaves>, NotJoined> {
        self.take_in(&mut self.inner.lock(), connection, Some(prepared))
    }

    fn take_in(
        self: &Arc<Self>,
        inner: &mut Inner,
        connection: &Arc<ConnectionShared>,
        mut prepared: Option<Prepared>,
    ) -> Result<Option<RunningWaves>, NotJoined> {
        if let Some((history, prepared)) = inner.history().zip(prepared.as_mut()) {
            history.settle(connection.mailbox.codec(), prepared);
        }
        connection.enter(self, inner.list.len())?;
        inner.present.join(connection.mailbox.codec());
        inner.list.push(Arc::clone(connection));
        if let Some(followers) = &mut inner.followers {
            followers.join();
        }
        if let Some((history, prepared)) = inner.history().zip(prepared) {
            history.give(connection, prepared);
        }
        if let Some(presence) = inner.presence() {
            presence.join(self, connection);
        }
        let members = inner.list.len();
        self.len.store(members, Ordering::Release);
        inner.waves.resize(members);
        let must_start = inner.waves.must_start(members, Home::current());
        if must_start {
            inner.followers = Followers::new(connection, members);
        }
        Ok(must_start.then(|| RunningWaves::new(Arc::clone(self))))
    }

    /// Removes a member; tells whether it was one.
    pub(crate) fn leave(self: &Arc<Self>, connection: &ConnectionShared) -> bool {
        self.take_out(&mut self.inner.lock(), connection, Leaving::Room)
    }

    fn take_out(
        self: &Arc<Self>,
        inner: &mut Inner,
        connection: &ConnectionShared,
        leaving: Leaving,
    ) -> bool {
        let Some(slot) = connection.place_in(self) else { return false };
        let Inner { list, followers, .. } = inner;
        if let Some(followers) = followers {
            followers.leave(slot, list);
        }
        list.swap_remove(slot);
        inner.present.leave(connection.mailbox.codec());
        if let Some(moved) = inner.list.get(slot) {
            moved.move_to(self, slot);
        }
        if let Some(presence) = inner.presence() {
            match leaving {
                Leaving::Room => presence.leave(self, connection),
                Leaving::Server => presence.leave_for_good(self, connection),
            }
        }
        if inner.list.len() < inner.list.capacity() / 4 {
            inner.list.shrink_to_fit();
        }
        let members = inner.list.len();
        if members == 0
            && let Some(history) = inner.history()
        {
            history.clear();
        }
        self.len.store(members, Ordering::Release);
        inner.waves.resize(members);
        // At last: who sees it in no group any more finds it in none.
        connection.exit(self);
        // Nor do the waves look after it any more: what waits for it is its own task's.
        connection.mailbox.wake_for_frames();
        true
    }

    /// Gives every member a reference to the frame, on a server that has one codec. `None` if it has
    /// done nothing, as there are [none here](Addressed::says_if_empty).
    pub(crate) fn broadcast(
        &self,
        frame: &EncodedFrame,
        addressed: Addressed<'_>,
    ) -> Option<Pushed> {
        let Addressed { excluded, queueing, reach, says_if_empty } = addressed;
        let inner = &mut *self.inner.lock();
        let uplink = self.uplink(reach);
        if uplink.is_some() && inner.list.is_empty() && !says_if_empty {
            return None;
        }
        if let Some(history) = inner.live_history() {
            history.record(frame);
        }
        if let Some(uplink) = uplink {
            uplink.say(frame, queueing.terms.overflow(), Bytes::new());
        }
        Some(match inner.say(frame, addressed) {
            Some(pushed) => inner.leave_to_waves(pushed),
            None => inner.push(queueing, |member| is_same(excluded, member), |_| Some(frame)),
        })
    }

    /// Gives every member a reference to the frame in its own codec, if it was made in all that are
    /// needed; else says which are missing, and nobody gets anything. That is for the caller to make,
    /// as codecs are the application's code, and to try again: other members may have come. `None` as
    /// for [`broadcast`](Self::broadcast).
    pub(crate) fn broadcast_by_codec(
        self: &Arc<Self>,
        frames: &Representations<'_>,
        addressed: Addressed<'_>,
    ) -> Result<Option<Pushed>, CodecSet> {
        let inner = &mut *self.inner.lock();
        let left_out = addressed.excluded.filter(|excluded| excluded.is_in(self));
        let left_out = left_out.map(|member| member.mailbox.codec());
        let present = inner.present.among(inner.list.len(), left_out).union(inner.expected());
        let Addressed { excluded, queueing, reach, says_if_empty } = addressed;
        let uplink = self.uplink(reach);
        if uplink.is_some() && inner.list.is_empty() && !says_if_empty {
            return Ok(None);
        }
        let present = if uplink.is_some() { present.with(CodecId::DEFAULT) } else { present };
        let missing = present.without(frames.made());
        if !missing.is_empty() {
            return Err(missing);
        }
        if let Some(history) = inner.live_history() {
            history.record_all(frames);
        }
        if let Some((uplink, frame)) = uplink.zip(frames.of(CodecId::DEFAULT)) {
            uplink.say(frame, queueing.terms.overflow(), Bytes::new());
        }
        let frame_of = |member: &ConnectionShared| frames.of(member.mailbox.codec());
        Ok(Some(inner.push(queueing, |member| is_same(excluded, member), frame_of)))
    }

    /// Does something while the group's lock is taken, as by a long fan-out.
    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn while_held<R>(&self, then: impl FnOnce() -> R) -> R {
        let _held = self.inner.lock();
        then()
    }

    pub(crate) fn snapshot(&self) -> Vec<Arc<ConnectionShared>> {
        self.inner.lock().list.clone()
    }

    /// How many members there are. It waits for nobody.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }
}

impl Inner {
    /// Queues for each member that is not left out the frame that is its own: nothing is copied, and
    /// nothing is allocated for a member whose queue was empty.
    #[inline]
    pub(super) fn push<'f>(
        &mut self,
        queueing: Queueing<'_>,
        is_left_out: impl Fn(&Arc<ConnectionShared>) -> bool,
        frame_of: impl Fn(&ConnectionShared) -> Option<&'f EncodedFrame>,
    ) -> Pushed {
        let Queueing { queued_bytes, terms, .. } = queueing;
        match terms {
            Terms::Plain => {
                self.push_by(queueing, is_left_out, frame_of, |mailbox, frame, notice| {
                    mailbox.broadcast(frame, notice, queued_bytes)
                })
            }
            Terms::Marked(overflow) => {
                self.push_by(queueing, is_left_out, frame_of, |mailbox, frame, notice| {
                    mailbox.broadcast_marked(frame, overflow, notice, queued_bytes)
                })
            }
        }
    }

    #[inline]
    fn push_by<'f>(
        &mut self,
        queueing: Queueing<'_>,
        is_left_out: impl Fn(&Arc<ConnectionShared>) -> bool,
        frame_of: impl Fn(&ConnectionShared) -> Option<&'f EncodedFrame>,
        offer: impl Fn(&Mailbox, EncodedFrame, Notice) -> Result<Offered, HasEnded>,
    ) -> Pushed {
        let overflow = queueing.overflow;
        let mut pushed = Pushed::default();
        let waves_home = self.waves.home();
        for member in &self.list {
            if is_left_out(member) {
                continue;
            }
            let Some(frame) = frame_of(member) else {
                continue;
            };
            let home = member.mailbox.home();
            let notice =
                if waves_home == Some(home) { Notice::Later } else { TurnWrites::notice_for(home) };
            let offered = offer(&member.mailbox, frame.clone(), notice);
            let Ok(offered) = offered else {
                continue;
            };
            pushed.count(member, offered, overflow);
        }
        if waves_home.is_some() { self.leave_to_waves(pushed) } else { pushed }
    }

    /// The members are to be looked after.
    fn leave_to_waves(&mut self, pushed: Pushed) -> Pushed {
        let members = self.list.len();
        self.waves.begin(members);
        // A worker keeps to itself what it has woken last. That must not be the waves, on which the
        // whole group relies: this callback may go on to hold the worker.
        self.wake_members(1);
        pushed
    }
}
