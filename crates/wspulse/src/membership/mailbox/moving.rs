//! A session that goes over to another server, or comes from there.

use tokio::sync::oneshot;
use tokio::time::Duration;
use wspulse_core::cluster::{HeardOf, MovedGroup};
use wspulse_core::outbound::MovedQueue;
use wspulse_core::{CloseFrame, EncodedFrame};

use super::{ConnectionState, Mailbox, Next};
use crate::ground::queued_bytes::QueuedBytes;
use crate::settings::token::Proof;

/// Its task is to get the session ready to go. Dropped, the session stays.
pub(crate) struct Leave {
    /// Told by which ticket it is found from now on.
    pub(crate) given: oneshot::Sender<u64>,
    pub(crate) reason: LeaveReason,
}

/// Why a session gets ready to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaveReason {
    /// Its client has come to another server, and has its whole window once more should that come to
    /// nothing. With the number of the token by which it has come; 0 for none.
    ClientIsElsewhere { token: u32 },
    /// This server ends, and it waits for as long as it would have here.
    ServerEnds,
}

/// What a connection has left, in order to go on elsewhere, and how far it had heard each server.
#[derive(Default)]
pub(crate) struct Left {
    pub(crate) groups: Vec<MovedGroup>,
    pub(crate) everybody: HeardOf,
}

/// What a task is told of a session that goes elsewhere.
#[derive(Default)]
pub(crate) struct Moving {
    /// The transport is to be closed with this, and the session goes on without one.
    pub(crate) sent_away: Option<CloseFrame>,
    /// The session is to go over to another server.
    pub(crate) leave: Option<Leave>,
    /// What it has left for that.
    pub(crate) left: Option<Left>,
}

impl Mailbox {
    /// Has the task get the session ready to go, unless it is about to get its first transport or another
    /// one, or has ended. From now on none comes to it, until it [stays](Self::stay). To be called under the
    /// registry's lock. Tells whether it is so.
    pub(crate) fn leave(&self, leave: Leave) -> bool {
        let mut inner = self.inner.lock();
        let is_awaited = inner.mail.as_ref().is_some_and(|mail| mail.upgrade.is_some());
        let may_not = inner.state == ConnectionState::Closed || is_awaited || inner.is_opening();
        let has_token = inner.rare.as_ref().is_some_and(|rare| rare.proof.is_some());
        let is_asked_for = match leave.reason {
            LeaveReason::ClientIsElsewhere { .. } => true,
            // By its token, which only a client of `wspulse.1` has.
            LeaveReason::ServerEnds => has_token,
        };
        if may_not || !is_asked_for {
            return false;
        }
        let rare = inner.rare.get_or_insert_default();
        if std::mem::replace(&mut rare.is_leaving, true) {
            return false;
        }
        inner.post(|mail| mail.moving.get_or_insert_default().leave = Some(leave));
        true
    }

    /// Nobody waits any more for what was posted by [`leave`](Self::leave): the session stays, unless it is
    /// ready. At once if its task does not know of it yet; else that is woken, whatever its transport does.
    pub(crate) fn call_off_leaving(&self) {
        let inner = &mut *self.inner.lock();
        let is_over = inner.state == ConnectionState::Closed;
        let rare = inner.rare.as_mut().filter(|rare| rare.is_leaving && !is_over);
        let Some(rare) = rare else { return };
        let moving = inner.mail.as_mut().and_then(|mail| mail.moving.as_mut());
        let unheard = moving.and_then(|it| it.leave.take_if(|leave| leave.given.is_closed()));
        if unheard.is_some() {
            rare.is_leaving = false;
            inner.rare.take_if(|rare| rare.is_empty());
        } else {
            inner.post(|mail| {
                mail.moving.get_or_insert_default();
            });
        }
    }

    /// Has the task close its transport with this, while the session goes on and waits for its client.
    pub(crate) fn send_away(&self, close: CloseFrame) {
        let mut inner = self.inner.lock();
        if inner.state == ConnectionState::Connected {
            inner.post(|mail| mail.moving.get_or_insert_default().sent_away = Some(close));
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.inner.lock().rare.as_ref().is_some_and(|rare| rare.is_leaving)
    }

    /// The session goes on here.
    pub(crate) fn stay(&self) {
        let mut inner = self.inner.lock();
        if let Some(rare) = &mut inner.rare {
            rare.is_leaving = false;
            inner.rare.take_if(|rare| rare.is_empty());
        }
    }

    /// It is in no group any more, and is about to end.
    pub(crate) fn tell_left(&self, left: Left) {
        self.inner.lock().post(|mail| mail.moving.get_or_insert_default().left = Some(left));
    }

    /// Takes all that waits, of a connection that has ended.
    pub(crate) fn take_moved(&self, queued_bytes: Option<&QueuedBytes>) -> MovedQueue {
        let mut inner = self.lock();
        if let Some(queued_bytes) = queued_bytes {
            queued_bytes.release(inner.queue.held_bytes());
        }
        inner.close_receipts();
        inner.queue.take_moved()
    }

    /// Puts what has come from another server in front of all that waits. Its task has not begun. Tells
    /// how many frames had to be dropped.
    pub(crate) fn put_moved(
        &self,
        moved: MovedQueue,
        lacking: Vec<EncodedFrame>,
        queued_bytes: Option<&QueuedBytes>,
    ) -> usize {
        let mut inner = self.lock();
        if inner.state == ConnectionState::Closed {
            return moved.frames.len() - moved.replayed;
        }
        let bytes_before = inner.queue.held_bytes();
        let dropped = inner.queue.put_moved(moved, lacking);
        if let Some(queued_bytes) = queued_bytes {
            // It was let in elsewhere, and is not to be lost here for the sake of a bound.
            queued_bytes.charge(inner.queue.held_bytes() - bytes_before);
        }
        dropped
    }

    /// It has existed for so long elsewhere.
    pub(crate) fn has_come_from_elsewhere(&self, age: Duration) {
        self.inner.lock().rare.get_or_insert_default().age_elsewhere = age;
    }

    /// For how long it has existed elsewhere before it came here.
    pub(crate) fn age_elsewhere(&self) -> Duration {
        self.inner.lock().rare.as_ref().map(|rare| rare.age_elsewhere).unwrap_or_default()
    }

    /// As [`begin_exchange`](Self::begin_exchange), of a session from another server.
    pub(crate) fn begin_moved(&self, proof: Proof) {
        self.inner.lock().rare.get_or_insert_default().proof = Some(proof);
    }

    /// As [`begin_moved`](Self::begin_moved), of a client that speaks nothing but frames.
    pub(crate) fn begin_moved_plain(&self) {
        self.inner.lock().next = Next::FirstHere;
    }
}
