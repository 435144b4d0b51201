//! Offering a frame to a connection's queue, within what all queues together may hold.

use wspulse_core::EncodedFrame;
use wspulse_core::outbound::{OutboundQueue, OverflowPolicy, Pushed, PushedMarked, QueueFull};

use crate::ground::queued_bytes::QueuedBytes;
use crate::settings::error::BufferLimit;

/// What became of a frame that was offered, and of those before it.
#[derive(Clone, Copy)]
pub(crate) struct Offered {
    /// How many older frames of the queue were dropped for it.
    pub(crate) evicted: usize,
    /// How many it has replaced: none, or the one of its key.
    pub(crate) conflated: usize,
    pub(crate) outcome: Outcome,
    /// Whether the connection waits for its client.
    pub(crate) is_suspended: bool,
    /// Nobody was told of it, or is going to look: who queued it in a turn is to write it.
    pub(crate) is_left: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Queued,
    /// It is queued, but all queues together had no room until older frames were dropped.
    QueuedAtServerLimit,
    Refused(BufferLimit),
    /// There was no room, and the connection is to end for that.
    TooSlow(BufferLimit),
    /// It is volatile, and there was no room, or there is no client.
    Faded,
}

impl Offered {
    pub(crate) const fn is_refused(&self) -> bool {
        match self.outcome {
            Outcome::Refused(_) | Outcome::TooSlow(_) | Outcome::Faded => true,
            Outcome::Queued | Outcome::QueuedAtServerLimit => false,
        }
    }

    /// Whether there is something to count.
    pub(crate) const fn has_overflowed(&self) -> bool {
        self.evicted > 0 || self.conflated > 0 || !matches!(self.outcome, Outcome::Queued)
    }
}

#[inline]
pub(super) fn offer(
    queue: &mut OutboundQueue,
    frame: EncodedFrame,
    policy: OverflowPolicy,
    queued_bytes: Option<&QueuedBytes>,
) -> Offered {
    match queued_bytes {
        None => push(queue, frame, policy),
        Some(queued_bytes) => offer_within(queue, frame, policy, queued_bytes),
    }
}

/// As [`offer`], for a frame that is marked.
pub(super) fn offer_marked(
    queue: &mut OutboundQueue,
    frame: EncodedFrame,
    policy: OverflowPolicy,
    queued_bytes: Option<&QueuedBytes>,
) -> Offered {
    match queued_bytes {
        None => push_marked(queue, frame, policy),
        Some(queued_bytes) => offer_within(queue, frame, policy, queued_bytes),
    }
}

#[inline]
fn push(queue: &mut OutboundQueue, frame: EncodedFrame, policy: OverflowPolicy) -> Offered {
    match queue.push(frame, policy) {
        Ok(Pushed { evicted, .. }) => queued(evicted, 0, Outcome::Queued),
        Err(full) => refused(full),
    }
}

fn push_marked(queue: &mut OutboundQueue, frame: EncodedFrame, policy: OverflowPolicy) -> Offered {
    match queue.push_marked(frame, policy) {
        Ok(PushedMarked { evicted, conflated }) => {
            queued(evicted, usize::from(conflated), Outcome::Queued)
        }
        Err(full) => refused(full),
    }
}

/// Whoever knows the connection's state adds it.
#[inline]
pub(super) const fn queued(evicted: usize, conflated: usize, outcome: Outcome) -> Offered {
    Offered { evicted, conflated, outcome, is_suspended: false, is_left: false }
}

fn refused(full: QueueFull) -> Offered {
    queued(0, 0, Outcome::Refused(full.into()))
}

fn offer_within(
    queue: &mut OutboundQueue,
    frame: EncodedFrame,
    policy: OverflowPolicy,
    queued_bytes: &QueuedBytes,
) -> Offered {
    let frame_bytes = frame.wire_bytes();
    // One that takes another's place needs no room for both.
    if frame.is_keyed()
        && let Some(freed_bytes) = queue.conflatable_bytes(&frame, policy)
        && queued_bytes.try_exchange(freed_bytes, frame_bytes).is_ok()
    {
        return push_marked(queue, frame, policy);
    }
    let made_room = make_room(queue, frame_bytes, policy, queued_bytes);
    if matches!(made_room.outcome, Outcome::Refused(_)) {
        return made_room;
    }
    let charged_bytes = queue.held_bytes() + frame_bytes;
    let pushed = if frame.is_keyed() || frame.is_volatile() {
        push_marked(queue, frame, policy)
    } else {
        push(queue, frame, policy)
    };
    // What was evicted, or the frame itself if this queue is full.
    queued_bytes.release(charged_bytes - queue.held_bytes());
    let outcome = match pushed.outcome {
        Outcome::Queued => made_room.outcome,
        outcome @ (Outcome::QueuedAtServerLimit
        | Outcome::Refused(_)
        | Outcome::TooSlow(_)
        | Outcome::Faded) => outcome,
    };
    Offered { evicted: made_room.evicted + pushed.evicted, outcome, ..pushed }
}

/// Charges a frame to what all queues hold, and drops this queue's volatile frames for it, then its
/// oldest, where they may go and that is enough.
fn make_room(
    queue: &mut OutboundQueue,
    frame_bytes: usize,
    policy: OverflowPolicy,
    queued_bytes: &QueuedBytes,
) -> Offered {
    let (mut evicted, mut freed_bytes) = (0, 0);
    while let Err(missing) = queued_bytes.try_exchange(freed_bytes, frame_bytes) {
        let evictable_bytes = match policy {
            OverflowPolicy::RejectNewest
            | OverflowPolicy::RejectBeyondWaiting
            | OverflowPolicy::GiveWay => queue.bytes_giving_way(frame_bytes, policy),
            OverflowPolicy::DropOldest => queue.evictable_bytes(),
        };
        if missing.bytes > evictable_bytes {
            queued_bytes.release(freed_bytes);
            let capacity_bytes = queued_bytes.capacity_bytes();
            let outcome = Outcome::Refused(BufferLimit::ServerBytes { capacity_bytes });
            return queued(evicted, 0, outcome);
        }
        let evicted_bytes = queue.evict_volatile().or_else(|| queue.evict_oldest());
        freed_bytes += evicted_bytes.unwrap_or_default();
        evicted += 1;
    }
    let outcome = if evicted == 0 { Outcome::Queued } else { Outcome::QueuedAtServerLimit };
    queued(evicted, 0, outcome)
}

impl From<QueueFull> for BufferLimit {
    fn from(full: QueueFull) -> Self {
        match full {
            QueueFull::Frames { capacity_frames } => Self::Frames { capacity_frames },
            QueueFull::Bytes { capacity_bytes } => Self::Bytes { capacity_bytes },
        }
    }
}
