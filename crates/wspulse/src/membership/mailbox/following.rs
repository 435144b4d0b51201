//! Members that follow a room's log instead of having its frames in their queues.

use std::sync::Arc;

use wspulse_core::outbound::OverflowPolicy;

use super::lending::Loan;
use super::{Attention, Inner, Mailbox};
use crate::ground::sync::MutexGuard;
use crate::membership::log::{Log, Offset, Segment};
use crate::membership::shared::ConnectionState;

/// How far a member has got in the log that it follows.
pub(super) struct Following {
    log: Arc<Log>,
    offset: Offset,
    /// Its place in the list of the log's group.
    place: u32,
}

/// What there is to do for a member, as it follows a log.
pub(crate) enum Visit {
    /// Nothing.
    HasAll,
    /// A segment is to be written. [`end_loan`](Mailbox::end_loan) must follow.
    Lent(Loan),
    /// It does not follow.
    Apart,
}

impl Mailbox {
    /// For all who look at the queue, or change it: what the member lacks of the log that it follows
    /// is in there then.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock();
        inner.stop_following();
        inner
    }

    /// From now on the group tells it by itself, if it has not done so before.
    pub(crate) fn stop_following(&self) {
        drop(self.lock());
    }

    /// Follows this log from now on, if the task sleeps and there is nothing to write. To be called
    /// under the group's lock. Tells whether it does.
    pub(crate) fn follow(&self, log: &Arc<Log>, place: usize) -> bool {
        let inner = &mut *self.inner.lock();
        // Its transport is there: it sleeps, and has nothing to do.
        let is_idle = inner.attention == Attention::MailAndFrames
            && inner.state == ConnectionState::Connected
            && inner.transport.is_some()
            && inner.mail.is_none()
            && inner.queue.is_empty()
            && !inner.has_gap;
        let Ok(place) = u32::try_from(place) else { return false };
        if !is_idle || inner.following.is_some() {
            return false;
        }
        let Some(offset) = log.follow(place) else { return false };
        inner.following = Some(Following { log: Arc::clone(log), offset, place });
        true
    }

    /// Borrows the transport for the segment that the member lacks, if it follows this log.
    pub(crate) fn visit(&self, log: &Arc<Log>, segment: &mut Segment) -> Visit {
        let inner = &mut *self.inner.lock();
        let Some(following) = &mut inner.following else { return Visit::Apart };
        // All that this group had for who follows another one has reached it before that.
        if !Arc::ptr_eq(&following.log, log) || !segment.begin_at(following.offset, log) {
            return Visit::HasAll;
        }
        let is_free = inner.attention == Attention::MailAndFrames
            && inner.state == ConnectionState::Connected;
        if is_free
            && let Some(transport) = inner.transport.take_if(|transport| transport.owes_nothing())
        {
            if let Some(batch) = inner.queue.take_run(segment.run()) {
                following.offset = segment.end();
                inner.attention = Attention::Lent { was_missed: false };
                return Visit::Lent(Loan { transport, batch });
            }
            inner.transport = Some(transport);
        }
        inner.stop_following();
        Visit::Apart
    }
}

impl Inner {
    /// What it lacks is in its queue from now on.
    #[inline]
    pub(super) fn stop_following(&mut self) {
        if self.following.is_some() {
            self.move_lacking();
        }
    }

    #[cold]
    fn move_lacking(&mut self) {
        let Some(Following { log, offset, place }) = self.following.take() else { return };
        let queue = &mut self.queue;
        let policy = if queue.keeps() {
            OverflowPolicy::RejectBeyondWaiting
        } else {
            OverflowPolicy::DropOldest
        };
        log.stop(offset, place, |frame| {
            // A log holds no more than a queue, which was empty.
            let pushed = queue.push(frame.clone(), policy);
            debug_assert!(pushed.is_ok_and(|pushed| pushed.evicted == 0), "there is room for it");
        });
    }
}
