//! Members that follow a room's log instead of having its frames in their queues.

use std::sync::Arc;

use wspulse_core::outbound::OverflowPolicy;

use super::lending::Loan;
use super::{Attention, Inner, Mailbox};
use crate::ground::sync::MutexGuard;
use crate::membership::log::{Log, Offset, Segment};

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
        let is_idle = inner.is_asleep()
            && inner.transport.is_some()
            && inner.mail.is_none()
            && inner.queue.is_empty()
            && !inner.has_gap
            && !self.is_tapped();
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
        let is_asleep = inner.is_asleep();
        let Some(following) = &mut inner.following else { return Visit::Apart };
        // All that this group had for who follows another one has reached it before that.
        if !Arc::ptr_eq(&following.log, log) || !segment.begin_at(following.offset, log) {
            return Visit::HasAll;
        }
        if is_asleep
            && let Some(transport) = inner.transport.take_if(|transport| transport.owes_nothing())
        {
            if let Some(batch) = inner.queue.take_run(segment.run()) {
                following.offset = segment.end();
                inner.attention = Attention::Lent { was_missed: false };
                let batch = batch.in_form(transport.form);
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

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::task::{Poll, Waker};

    use tokio::io::duplex;
    use wspulse_core::codec::JsonCodec;
    use wspulse_core::outbound::{OutboundQueue, WrittenBeside};
    use wspulse_core::websocket::Decoder;
    use wspulse_core::{EncodedFrame, Frame};

    use super::super::Found;
    use super::*;
    use crate::ground::begun::Begun;
    use crate::ground::runtimes::Home;
    use crate::membership::log::NotAppended;
    use crate::settings::codecs::CodecId;
    use crate::settings::compression::Agreed;
    use crate::wire::transport::{Transport, Upgradable};

    fn frame() -> EncodedFrame {
        EncodedFrame::encode(&JsonCodec, &Frame::new("n")).unwrap()
    }

    /// That of a connection whose task sleeps.
    fn sleeping(capacity_frames: usize) -> Mailbox {
        let queue = OutboundQueue::new(capacity_frames);
        let mailbox = Mailbox::new(queue, None, Begun::EARLIEST, CodecId::DEFAULT);
        let stream = Upgradable::new(duplex(1).0, &[]);
        let transport =
            Transport::new(stream, (Decoder::new(1), Agreed::default()), Home::current());
        let found = Found {
            is_writable: true,
            awaits: false,
            written_beside_max: WrittenBeside::default(),
            pinged_at: None,
        };
        assert!(mailbox.sleep(Waker::noop(), found, &mut Some(Box::new(transport))));
        mailbox
    }

    #[test]
    fn who_has_something_left_to_write_does_not_follow() {
        const CAPACITY: usize = 2;
        let mailbox = sleeping(CAPACITY);
        let log = Arc::new(Log::new(CAPACITY, usize::MAX));
        assert!(mailbox.follow(&log, 0));
        for _ in 0..CAPACITY {
            assert!(matches!(log.append(&frame()), Ok(1)));
        }
        let mut segment = Segment::new(&log);
        let Visit::Lent(mut loan) = mailbox.visit(&log, &mut segment) else {
            panic!("it lacks what was said")
        };
        loan.batch.fill(segment.run());
        mailbox.end_loan(loan, Poll::Pending, WrittenBeside::default(), None);
        // Its task has not had its turn when the log has room for as much again.
        log.forget_before(log.end());
        let appended = log.append(&frame());
        assert!(matches!(appended, Err(NotAppended::Stopped(places)) if places == [0]));
        let stats = mailbox.stats();
        assert_eq!((stats.accepted, stats.pending, stats.dropped), (2, 2, 0));
    }
}
