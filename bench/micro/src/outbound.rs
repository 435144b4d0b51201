//! The outbound queue and its batches.

use std::hint::black_box;

use wspulse_core::EncodedFrame;
use wspulse_core::outbound::{Batch, JoinedFrames, OutboundQueue, OverflowPolicy};

use crate::codec::encoded;

const FRAMES: usize = 16;
/// The default of the server's option `send_buffer_size`.
const CAPACITY_FRAMES: usize = 256;
/// More than all frames of a batch have.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// An operation is one frame; a round is a burst of 16, which goes out in one write.
pub(crate) fn queue_push_take(rounds: usize) -> usize {
    let frame = encoded();
    let mut queue = OutboundQueue::new(CAPACITY_FRAMES);
    let mut sent = 0;
    for _ in 0..rounds {
        push_burst(&mut queue, &frame);
        let mut batch = black_box(queue.take());
        batch.advance(black_box(FRAMES * frame.wire().len()), |_| sent += 1);
        queue.give_back(batch);
    }
    assert_eq!(sent, rounds * FRAMES, "{:?}", queue.stats());
    sent
}

/// An operation is one batch, of 16 frames that the session before had as well.
pub(crate) fn joined(rounds: usize) -> usize {
    let frame = encoded();
    let batch = burst(&frame);
    let mut joined = JoinedFrames::default();
    assert_eq!(joined.join(&batch, JOINED_BYTES_MAX), None, "the first to have it joins nothing");
    for _ in 0..rounds {
        let bytes = joined.join(black_box(&batch), JOINED_BYTES_MAX);
        assert_eq!(black_box(bytes).map(<[u8]>::len), Some(FRAMES * frame.wire().len()));
    }
    rounds
}

fn burst(frame: &EncodedFrame) -> Batch {
    let mut queue = OutboundQueue::new(CAPACITY_FRAMES);
    push_burst(&mut queue, frame);
    queue.take()
}

fn push_burst(queue: &mut OutboundQueue, frame: &EncodedFrame) {
    for _ in 0..FRAMES {
        let pushed = queue.push(black_box(frame).clone(), OverflowPolicy::DropOldest);
        pushed.expect("a broadcast is never refused");
    }
}
