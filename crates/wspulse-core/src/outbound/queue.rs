//! The one queue of a session: the same frames in the same order, connected or suspended.

use std::collections::VecDeque;
use std::mem;

use super::OverflowPolicy;
use crate::encoded::EncodedFrame;

/// Frames accepted and not yet taken by a socket, oldest first.
///
/// A frame is in exactly one place: here, in the [`Batch`] that a writer has taken for the length
/// of one write, or gone (sent, or dropped and counted). Whoever takes a batch
/// [gives it back](Self::give_back): what the socket took whole counts as sent, the rest waits on
/// in front of what has come meanwhile.
#[derive(Debug)]
pub struct OutboundQueue {
    waiting: Backlog,
    /// How many bytes of the oldest waiting frame the current transport has taken. Such a frame is
    /// not dropped for another (its rest must follow) and does not count against the capacity.
    front_bytes_written: usize,
    /// Frames in the batch that a writer holds right now.
    in_flight: usize,
    capacity_frames: usize,
    accepted: u64,
    sent: u64,
    dropped: u64,
}

/// Frames in order; the first lies inline, so that one frame to an idle session allocates nothing.
/// `rest` is empty whenever `first` is.
#[derive(Debug, Default)]
struct Backlog {
    first: Option<EncodedFrame>,
    rest: VecDeque<EncodedFrame>,
}

/// What the second frame makes room for: a burst then allocates once for each member, not at 4, 8
/// and 16 frames; one slot fewer than a power of two, as the first frame lies inline.
const REST_FRAMES_MIN: usize = 15;

/// All that waited, taken out for one write.
#[derive(Debug, Default)]
pub struct Batch {
    frames: Backlog,
    front_bytes_written: usize,
    sent: u64,
}

/// A frame that a transport has taken in part, with the number of bytes it took.
#[derive(Debug, Clone)]
pub struct Remainder {
    frame: EncodedFrame,
    bytes_written: usize,
}

/// What became of an accepted frame's neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// The queue was empty: whoever writes may be asleep.
    pub was_empty: bool,
    /// The frames dropped to make room: 0 or 1.
    pub evicted: usize,
}

/// The queue holds as many frames as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{capacity_frames} frames are waiting already")]
pub struct QueueFull {
    /// The bound, in frames.
    pub capacity_frames: usize,
}

/// An account of a session's outbound frames: `accepted = sent + dropped + pending`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OutboundStats {
    /// Frames that entered the queue.
    pub accepted: u64,
    /// Frames whose last byte a socket has taken.
    pub sent: u64,
    /// Frames dropped after they had entered: for newer ones, or at the session's end.
    pub dropped: u64,
    /// Frames that wait.
    pub pending: u64,
}

impl OutboundQueue {
    /// An empty queue of at most `capacity_frames` frames; it allocates nothing.
    pub const fn new(capacity_frames: usize) -> Self {
        Self {
            waiting: Backlog { first: None, rest: VecDeque::new() },
            front_bytes_written: 0,
            in_flight: 0,
            capacity_frames,
            accepted: 0,
            sent: 0,
            dropped: 0,
        }
    }

    /// Appends a frame; at the bound, `policy` decides.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] if the bound is reached and `policy` refuses new frames.
    pub fn push(
        &mut self,
        frame: EncodedFrame,
        policy: OverflowPolicy,
    ) -> Result<Pushed, QueueFull> {
        let was_empty = self.is_empty();
        let mut evicted = 0;
        match policy {
            OverflowPolicy::RejectNewest => {
                if self.counted() + self.in_flight >= self.capacity_frames {
                    return Err(QueueFull { capacity_frames: self.capacity_frames });
                }
            }
            // What is in flight is left out: most of it is about to be gone, and `give_back`
            // evicts what proves to be too much.
            OverflowPolicy::DropOldest => {
                if self.counted() >= self.capacity_frames {
                    self.evict_oldest();
                    evicted = 1;
                }
            }
        }
        self.waiting.push(frame);
        self.accepted += 1;
        Ok(Pushed { was_empty, evicted })
    }

    /// Takes all that waits, for one write.
    pub fn take(&mut self) -> Batch {
        debug_assert_eq!(self.in_flight, 0, "one writer, one batch");
        self.in_flight = self.waiting.len();
        Batch {
            frames: mem::take(&mut self.waiting),
            front_bytes_written: mem::take(&mut self.front_bytes_written),
            sent: 0,
        }
    }

    /// Takes a batch back after a write and tells how many of its frames had to be dropped, oldest
    /// first, because newer ones came meanwhile.
    pub fn give_back(&mut self, batch: Batch) -> usize {
        self.in_flight = 0;
        self.sent += batch.sent;
        if !batch.frames.is_empty() {
            let newer = mem::replace(&mut self.waiting, batch.frames);
            self.waiting.append(newer);
            self.front_bytes_written = batch.front_bytes_written;
        }
        let excess = self.counted().saturating_sub(self.capacity_frames);
        for _ in 0..excess {
            self.evict_oldest();
        }
        excess
    }

    /// The transport is gone: a frame that it took in part will be written again, whole, to the
    /// next. Returns that frame, for whoever must still finish it on the old one.
    pub fn rewind(&mut self) -> Option<Remainder> {
        let bytes_written = mem::take(&mut self.front_bytes_written);
        let frame = self.waiting.first.clone()?;
        (bytes_written > 0).then_some(Remainder { frame, bytes_written })
    }

    /// Drops all that waits and tells how many frames that were.
    pub fn discard(&mut self) -> usize {
        let frames = mem::take(&mut self.waiting).len();
        self.front_bytes_written = 0;
        self.dropped += frames as u64;
        frames
    }

    /// Whether nothing waits and nothing is being written.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight == 0
    }

    /// The number of frames that wait or are being written.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.in_flight
    }

    /// The bound, in frames.
    pub const fn capacity_frames(&self) -> usize {
        self.capacity_frames
    }

    /// The account of all frames so far.
    pub fn stats(&self) -> OutboundStats {
        OutboundStats {
            accepted: self.accepted,
            sent: self.sent,
            dropped: self.dropped,
            pending: self.len() as u64,
        }
    }

    /// Waiting frames that count against the capacity: all but one that is half written.
    fn counted(&self) -> usize {
        self.waiting.len() - usize::from(self.front_bytes_written > 0)
    }

    fn evict_oldest(&mut self) {
        let evicted = if self.front_bytes_written > 0 {
            self.waiting.rest.pop_front()
        } else {
            self.waiting.pop()
        };
        self.dropped += u64::from(evicted.is_some());
    }
}

impl Backlog {
    fn push(&mut self, frame: EncodedFrame) {
        if self.first.is_none() {
            self.first = Some(frame);
        } else {
            if self.rest.capacity() == 0 {
                self.rest.reserve_exact(REST_FRAMES_MIN);
            }
            self.rest.push_back(frame);
        }
    }

    fn pop(&mut self) -> Option<EncodedFrame> {
        mem::replace(&mut self.first, self.rest.pop_front())
    }

    fn append(&mut self, newer: Self) {
        self.rest.extend(newer.first);
        self.rest.extend(newer.rest);
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn iter(&self) -> impl Iterator<Item = &EncodedFrame> {
        self.first.iter().chain(&self.rest)
    }
}

impl Batch {
    /// Whether all of it is written.
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The number of frames that are not wholly written.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// The frames that are not wholly written, oldest first.
    pub fn frames(&self) -> impl Iterator<Item = &EncodedFrame> {
        self.frames.iter()
    }

    /// The unwritten rest of the first frame, if a part of that frame is written.
    pub fn started(&self) -> Option<&[u8]> {
        (self.front_bytes_written > 0).then(|| self.chunks().next()).flatten()
    }

    /// The bytes to write, a slice a frame.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.front_bytes_written;
        self.frames.iter().map(move |frame| &frame.wire()[mem::take(&mut skip)..])
    }

    /// Takes note that the next `bytes` are written, and shows each frame that is whole by now.
    /// Returns what goes beyond this batch's bytes.
    pub fn advance(&mut self, mut bytes: usize, mut on_sent: impl FnMut(&EncodedFrame)) -> usize {
        while let Some(front) = &self.frames.first {
            let rest = front.wire().len() - self.front_bytes_written;
            if bytes < rest {
                self.front_bytes_written += bytes;
                return 0;
            }
            bytes -= rest;
            on_sent(front);
            self.frames.pop();
            self.front_bytes_written = 0;
            self.sent += 1;
        }
        bytes
    }
}

impl Remainder {
    /// The bytes still to write.
    pub fn bytes(&self) -> &[u8] {
        &self.frame.wire()[self.bytes_written..]
    }
}
