//! Queueing what a room was told before a connection joined it.

use wspulse_core::EncodedFrame;
use wspulse_core::outbound::{OutboundQueue, OverflowPolicy};

use super::{ConnectionState, Mailbox};
use crate::ground::queued_bytes::QueuedBytes;

impl Mailbox {
    /// Queues as many of the newest frames as there is room for, and these `marks` around them,
    /// without anything in between. Nothing that waits is dropped for them, and they are nothing if
    /// all queues together have no room.
    pub(crate) fn give_history(
        &self,
        frames: &[&EncodedFrame],
        marks: Option<[EncodedFrame; 2]>,
        queued_bytes: Option<&QueuedBytes>,
    ) {
        let inner = &mut *self.lock();
        if inner.state == ConnectionState::Closed || inner.has_gap {
            return;
        }
        let queue = &mut inner.queue;
        let mut room = Room::of(queue);
        if !marks.iter().flatten().all(|mark| room.take(mark)) {
            return;
        }
        let fitting = frames.iter().rev().take_while(|frame| room.take(frame)).count();
        if queued_bytes.is_some_and(|all| all.try_exchange(0, room.taken_bytes).is_err()) {
            return;
        }
        let (before, behind) = match marks {
            Some([before, behind]) => (Some(before), Some(behind)),
            None => (None, None),
        };
        let given = frames[frames.len() - fitting..].iter().map(|frame| (*frame).clone());
        for frame in before.into_iter().chain(given).chain(behind) {
            let pushed = queue.push_beside(frame, OverflowPolicy::RejectNewest);
            debug_assert!(pushed.is_ok(), "there is room for it");
        }
        inner.wake_for_frames();
    }
}

/// What a queue has room for.
struct Room {
    frames: usize,
    bytes: usize,
    taken_bytes: usize,
}

impl Room {
    fn of(queue: &OutboundQueue) -> Self {
        Self {
            frames: queue.capacity_frames().saturating_sub(queue.len()),
            bytes: queue.capacity_bytes().saturating_sub(queue.held_bytes()),
            taken_bytes: 0,
        }
    }

    /// Takes the room that a frame needs, if it is there.
    fn take(&mut self, frame: &EncodedFrame) -> bool {
        let needed = frame.wire_bytes();
        let fits = self.frames > 0 && needed <= self.bytes;
        if fits {
            self.frames -= 1;
            self.bytes -= needed;
            self.taken_bytes += needed;
        }
        fits
    }
}
