//! Queueing frames, and what becomes of them where there is no room.

use wspulse_core::outbound::OverflowPolicy;
use wspulse_core::{EncodedFrame, Overflow};

use super::offer::{offer, offer_marked, queued};
use super::{Attention, HasEnded, Inner, Mailbox, Notice, Offered, Outcome};
use crate::ground::queued_bytes::QueuedBytes;
use crate::membership::shared::ConnectionState;

impl Mailbox {
    /// Queues a direct send, unless it is refused.
    pub(crate) fn send(
        &self,
        frame: EncodedFrame,
        notice: Notice,
        queued_bytes: Option<&QueuedBytes>,
    ) -> Result<Offered, HasEnded> {
        let mut inner = self.lock();
        let policy = match inner.state {
            _ if inner.has_gap => return Err(HasEnded),
            ConnectionState::Suspended if !inner.queue.keeps() => OverflowPolicy::DropOldest,
            ConnectionState::Connected | ConnectionState::Suspended => OverflowPolicy::RejectNewest,
            ConnectionState::Closed => return Err(HasEnded),
        };
        let was_empty = inner.queue.is_empty();
        let mut offered = offer(&mut inner.queue, frame, policy, queued_bytes);
        if offered.evicted > 0 {
            inner.limit_receipts();
        }
        offered.is_left = inner.notify(notice, was_empty);
        Ok(offered)
    }

    /// Queues a broadcast. One that is refused is dropped and accounted for, as there is nobody to
    /// give it back to.
    #[expect(clippy::inline_always, reason = "27 of 1,566 instructions for each member")]
    #[inline(always)]
    pub(crate) fn broadcast(
        &self,
        frame: EncodedFrame,
        notice: Notice,
        queued_bytes: Option<&QueuedBytes>,
    ) -> Result<Offered, HasEnded> {
        let mut inner = self.lock();
        match inner.state {
            _ if inner.has_gap => return Err(HasEnded),
            ConnectionState::Connected | ConnectionState::Suspended => {}
            ConnectionState::Closed => return Err(HasEnded),
        }
        let policy = if inner.queue.keeps() {
            OverflowPolicy::RejectBeyondWaiting
        } else {
            OverflowPolicy::DropOldest
        };
        let was_empty = inner.queue.is_empty();
        let mut offered = offer(&mut inner.queue, frame, policy, queued_bytes);
        offered.is_suspended = inner.state == ConnectionState::Suspended;
        if matches!(offered.outcome, Outcome::Refused(_)) {
            inner.queue.drop_newest();
            inner.has_gap = inner.queue.keeps();
        }
        if offered.evicted > 0 {
            inner.limit_receipts();
        }
        offered.is_left = inner.notify(notice, was_empty);
        Ok(offered)
    }

    /// As [`send`](Self::send), for a frame that is marked.
    pub(crate) fn send_marked(
        &self,
        frame: EncodedFrame,
        overflow: Option<Overflow>,
        notice: Notice,
        queued_bytes: Option<&QueuedBytes>,
    ) -> Result<Offered, HasEnded> {
        let mut inner = self.lock();
        inner.check_open()?;
        let policy = match (overflow, inner.state) {
            (Some(overflow), _) => overflow.policy(),
            (None, ConnectionState::Suspended) if !inner.queue.keeps() => {
                OverflowPolicy::DropOldest
            }
            (
                None,
                ConnectionState::Connected | ConnectionState::Suspended | ConnectionState::Closed,
            ) => OverflowPolicy::RejectNewest,
        };
        let was_empty = inner.queue.is_empty();
        let mut offered = inner.offer_marked(frame, policy, queued_bytes);
        if let Outcome::Refused(limit) = offered.outcome
            && overflow.is_some_and(Overflow::disconnects)
        {
            offered.outcome = Outcome::TooSlow(limit);
            inner.has_gap = true;
        }
        offered.is_left = inner.notify(notice, was_empty);
        Ok(offered)
    }

    /// As [`broadcast`](Self::broadcast), for a frame that is marked, or on a server whose default
    /// is another.
    pub(crate) fn broadcast_marked(
        &self,
        frame: EncodedFrame,
        overflow: Option<Overflow>,
        notice: Notice,
        queued_bytes: Option<&QueuedBytes>,
    ) -> Result<Offered, HasEnded> {
        let mut inner = self.lock();
        inner.check_open()?;
        let policy = if inner.queue.keeps() {
            OverflowPolicy::RejectBeyondWaiting
        } else {
            overflow.map_or(OverflowPolicy::DropOldest, Overflow::policy)
        };
        let was_empty = inner.queue.is_empty();
        let mut offered = inner.offer_marked(frame, policy, queued_bytes);
        if let Outcome::Refused(limit) = offered.outcome {
            inner.queue.drop_newest();
            inner.has_gap = inner.queue.keeps();
            if overflow.is_some_and(Overflow::disconnects) {
                inner.has_gap = true;
                offered.outcome = Outcome::TooSlow(limit);
            }
        }
        offered.is_left = inner.notify(notice, was_empty);
        Ok(offered)
    }
}

impl Inner {
    const fn check_open(&self) -> Result<(), HasEnded> {
        match self.state {
            ConnectionState::Connected | ConnectionState::Suspended if !self.has_gap => Ok(()),
            ConnectionState::Connected | ConnectionState::Suspended | ConnectionState::Closed => {
                Err(HasEnded)
            }
        }
    }

    /// Tells of a frame that was just queued, and returns whether it is left to who queued it. Where
    /// others waited before it, somebody comes for those.
    #[inline]
    fn notify(&mut self, notice: Notice, was_empty: bool) -> bool {
        match notice {
            Notice::Now => {
                self.wake_for_frames();
                false
            }
            Notice::Later => false,
            Notice::InTurn => {
                was_empty && self.attention == Attention::MailAndFrames && self.queue.is_writable()
            }
        }
    }

    /// Queues it, unless it is refused. One that is volatile is not: it is dropped.
    fn offer_marked(
        &mut self,
        frame: EncodedFrame,
        policy: OverflowPolicy,
        queued_bytes: Option<&QueuedBytes>,
    ) -> Offered {
        let is_volatile = frame.is_volatile();
        let mut offered = if !is_volatile {
            offer_marked(&mut self.queue, frame, policy, queued_bytes)
        } else if self.state == ConnectionState::Suspended {
            queued(0, 0, Outcome::Faded)
        } else {
            offer_marked(&mut self.queue, frame, OverflowPolicy::GiveWay, queued_bytes)
        };
        offered.is_suspended = self.state == ConnectionState::Suspended;
        if is_volatile && offered.is_refused() {
            self.queue.drop_newest();
            offered.outcome = Outcome::Faded;
        }
        if offered.evicted > 0 {
            self.limit_receipts();
        }
        offered
    }
}
