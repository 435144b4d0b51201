//! The one queue of a session: the same frames in the same order, connected or suspended.

use std::mem;

use super::OverflowPolicy;
use super::backlog::Backlog;
use super::batch::{Batch, Remainder};
use super::stats::OutboundStats;
use crate::encoded::EncodedFrame;

/// How many transports may be lost in the middle of one frame before it is dropped: enough for a
/// network that breaks off again and again, and an end to a frame that no transport is long enough
/// for.
pub const FRAME_LOSSES_MAX: u8 = 5;

/// Frames accepted and not yet taken by a socket, oldest first.
///
/// A frame is in exactly one place: here, in the [`Batch`] that a writer has taken for the length
/// of one write, or gone (sent, or dropped and counted). Whoever takes a batch
/// [gives it back](Self::give_back): what the socket took whole counts as sent, the rest waits on
/// in front of what has come meanwhile.
#[derive(Debug)]
pub struct OutboundQueue {
    waiting: Backlog,
    writing: Writing,
    capacity: Capacity,
    sent: u64,
    dropped: u64,
    /// What waits or is being written, in bytes on the wire; a frame counts whole until its last
    /// byte is taken.
    pending_bytes: usize,
}

/// How much may wait; in as few bytes as there are many queues.
#[derive(Debug, Clone, Copy)]
struct Capacity {
    frames: u32,
    bytes: u32,
}

/// Frames that wait or are being written, and their bytes on the wire.
#[derive(Debug, Clone, Copy)]
struct Load {
    frames: usize,
    bytes: usize,
}

/// How far a writer has got.
#[derive(Debug, Clone, Copy)]
enum Writing {
    /// No batch is out. The current transport has taken so many bytes of the oldest waiting frame.
    /// If that is any, the frame is not dropped for another (its rest must follow) and does not
    /// count against the capacity. So many transports before were lost in the middle of it.
    Between { front_bytes_written: usize, front_losses: u8 },
    /// A writer holds a batch.
    InFlight { frames: u32, bytes: usize, front_losses: u8 },
}

/// What became of an accepted frame's neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// The queue was empty: whoever writes may be asleep.
    pub was_empty: bool,
    /// The frames dropped to make room: at most 1, unless the new one is longer than those.
    pub evicted: usize,
}

/// The queue holds as much as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    /// So many frames wait.
    #[error("{capacity_frames} frames are waiting already")]
    Frames {
        /// The bound, in frames.
        capacity_frames: usize,
    },
    /// With one more frame it would be more bytes than this.
    #[error("with this frame, more than {capacity_bytes} bytes would be waiting")]
    Bytes {
        /// The bound, in bytes on the wire.
        capacity_bytes: usize,
    },
}

impl OutboundQueue {
    /// An empty queue of at most `capacity_frames` frames, of any length; it allocates nothing.
    /// What is above 2^32 - 1 counts as that.
    pub fn new(capacity_frames: usize) -> Self {
        let frames = u32::try_from(capacity_frames).unwrap_or(u32::MAX);
        Self {
            waiting: Backlog::default(),
            writing: Writing::BETWEEN_FRAMES,
            capacity: Capacity { frames, bytes: u32::MAX },
            sent: 0,
            dropped: 0,
            pending_bytes: 0,
        }
    }

    /// Lets no more than so many bytes wait, as they are on the wire; one longer frame may, if
    /// nothing else does. What is above 4 GiB - 1 counts as that.
    #[must_use]
    pub fn with_capacity_bytes(mut self, bytes: usize) -> Self {
        self.capacity.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self
    }

    /// Appends a frame; at a bound, `policy` decides.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] if a bound is reached and `policy` refuses new frames.
    pub fn push(
        &mut self,
        frame: EncodedFrame,
        policy: OverflowPolicy,
    ) -> Result<Pushed, QueueFull> {
        let was_empty = self.is_empty();
        let frame_bytes = frame.wire_bytes();
        let frames = match policy {
            OverflowPolicy::RejectNewest => self.len(),
            OverflowPolicy::DropOldest => self.waiting.len(),
        };
        // What is in flight or half written counts here, though it may not have to: nearly always
        // there is room even so.
        let fits = frames < self.capacity_frames()
            && self.pending_bytes + frame_bytes <= self.capacity_bytes();
        let evicted = if fits { 0 } else { self.make_room(frame_bytes, policy)? };
        self.waiting.push(frame);
        self.pending_bytes += frame_bytes;
        Ok(Pushed { was_empty, evicted })
    }

    /// Counts a frame as accepted and dropped at once: one that was not to be refused, and for
    /// which no room could be made outside of this queue.
    pub const fn drop_newest(&mut self) {
        self.dropped += 1;
    }

    /// Takes all that waits, for one write.
    pub fn take(&mut self) -> Batch {
        debug_assert!(matches!(self.writing, Writing::Between { .. }), "one writer, one batch");
        let front_bytes_written = self.writing.front_bytes_written();
        // No queue is as long as 2^32 pointers.
        let frames = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        // An empty batch need not be given back.
        if frames > 0 {
            let front_losses = self.writing.front_losses();
            self.writing = Writing::InFlight { frames, bytes: self.pending_bytes, front_losses };
        }
        Batch { frames: mem::take(&mut self.waiting), front_bytes_written, sent: 0, sent_bytes: 0 }
    }

    /// Takes a batch back after a write and tells how many of its frames had to be dropped, oldest
    /// first, because newer ones came meanwhile.
    pub fn give_back(&mut self, batch: Batch) -> usize {
        self.sent += batch.sent;
        self.pending_bytes -= batch.sent_bytes;
        let front_losses = if batch.sent == 0 { self.writing.front_losses() } else { 0 };
        self.writing = Writing::BETWEEN_FRAMES;
        if !batch.frames.is_empty() {
            let newer = mem::replace(&mut self.waiting, batch.frames);
            self.waiting.append(newer);
            let front_bytes_written = batch.front_bytes_written;
            self.writing = Writing::Between { front_bytes_written, front_losses };
        }
        let fits = self.waiting.len() <= self.capacity_frames()
            && self.pending_bytes <= self.capacity_bytes();
        if fits { 0 } else { self.evict_excess() }
    }

    /// Drops the oldest frame that waits and is not written in part, and tells how many bytes it
    /// had; `None` if there is no such frame.
    pub fn evict_oldest(&mut self) -> Option<usize> {
        let evicted = if self.writing.front_bytes_written() > 0 {
            self.waiting.rest.pop_front()
        } else {
            if let Writing::Between { front_losses, .. } = &mut self.writing {
                *front_losses = 0;
            }
            self.waiting.pop()
        };
        let bytes = evicted?.wire_bytes();
        self.dropped += 1;
        self.pending_bytes -= bytes;
        Some(bytes)
    }

    /// How many bytes [`evict_oldest`](Self::evict_oldest) can free.
    pub fn evictable_bytes(&self) -> usize {
        self.waiting_load().bytes
    }

    /// The transport is gone: a frame that it took in part will be written again, whole, to the
    /// next. Returns that frame, for whoever must still finish it on the old one.
    ///
    /// If it is the [`FRAME_LOSSES_MAX`]th in the middle of that frame, the frame is dropped
    /// instead: no transport may be long enough for it, and all that is behind it would wait for
    /// ever.
    pub fn rewind(&mut self) -> Option<Remainder> {
        let Writing::Between { front_bytes_written, front_losses } = &mut self.writing else {
            return None;
        };
        let bytes_written = mem::take(front_bytes_written);
        if bytes_written == 0 {
            return None;
        }
        *front_losses += 1;
        let is_dropped = *front_losses == FRAME_LOSSES_MAX;
        let frame = self.waiting.first.clone()?;
        if is_dropped {
            self.evict_oldest();
        }
        Some(Remainder { frame, bytes_written, is_dropped })
    }

    /// Drops all that waits and tells how many frames that were, those included of a batch whose
    /// writer has not given it back and never will.
    pub fn discard(&mut self) -> usize {
        let frames = self.len();
        self.waiting = Backlog::default();
        self.writing = Writing::BETWEEN_FRAMES;
        self.pending_bytes = 0;
        self.dropped += frames as u64;
        frames
    }

    /// Whether nothing waits and nothing is being written.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight().frames == 0
    }

    /// The number of frames that wait or are being written.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.in_flight().frames
    }

    /// The bytes on the wire of the frames that wait or are being written.
    pub const fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// The bound, in frames.
    pub const fn capacity_frames(&self) -> usize {
        self.capacity.frames as usize
    }

    /// The bound, in bytes on the wire.
    pub const fn capacity_bytes(&self) -> usize {
        self.capacity.bytes as usize
    }

    /// The account of all frames so far.
    pub fn stats(&self) -> OutboundStats {
        let pending = self.len() as u64;
        OutboundStats {
            accepted: self.sent + self.dropped + pending,
            sent: self.sent,
            dropped: self.dropped,
            pending,
            pending_bytes: self.pending_bytes as u64,
        }
    }

    /// Looks closely at a push for which there may be no room, and tells how many frames it took to
    /// make some.
    #[cold]
    fn make_room(
        &mut self,
        frame_bytes: usize,
        policy: OverflowPolicy,
    ) -> Result<usize, QueueFull> {
        match policy {
            OverflowPolicy::RejectNewest => self.check_room(frame_bytes).map(|()| 0),
            // What is in flight is left out: most of it is about to be gone, and `give_back`
            // evicts what proves to be too much.
            OverflowPolicy::DropOldest => {
                // One for one: a frame that was half written when its transport was lost keeps its
                // place above the bound.
                let is_full = self.waiting_load().frames >= self.capacity_frames();
                let mut evicted = usize::from(is_full && self.evict_oldest().is_some());
                while self.is_too_long(self.waiting_load().and(frame_bytes))
                    && self.evict_oldest().is_some()
                {
                    evicted += 1;
                }
                Ok(evicted)
            }
        }
    }

    #[cold]
    fn evict_excess(&mut self) -> usize {
        let mut evicted = 0;
        while self.exceeds(self.waiting_load()) && self.evict_oldest().is_some() {
            evicted += 1;
        }
        evicted
    }

    /// What waits and counts against the capacity: all but a frame that is half written.
    fn waiting_load(&self) -> Load {
        let half_written = self.half_written();
        Load {
            frames: self.waiting.len() - half_written.frames,
            bytes: self.pending_bytes - self.in_flight().bytes - half_written.bytes,
        }
    }

    fn half_written(&self) -> Load {
        match &self.waiting.first {
            Some(front) if self.writing.front_bytes_written() > 0 => {
                Load { frames: 1, bytes: front.wire_bytes() }
            }
            Some(_) | None => Load::NONE,
        }
    }

    const fn in_flight(&self) -> Load {
        match self.writing {
            Writing::Between { .. } => Load::NONE,
            Writing::InFlight { frames, bytes, .. } => Load { frames: frames as usize, bytes },
        }
    }

    /// Whether this is more than may wait. A single frame may be of any length.
    const fn exceeds(&self, load: Load) -> bool {
        load.frames > self.capacity_frames() || self.is_too_long(load)
    }

    const fn is_too_long(&self, load: Load) -> bool {
        load.bytes > self.capacity_bytes() && load.frames > 1
    }

    fn check_room(&self, frame_bytes: usize) -> Result<(), QueueFull> {
        let (waiting, in_flight) = (self.waiting_load(), self.in_flight());
        let frames = waiting.frames + in_flight.frames;
        let load = Load { frames, bytes: waiting.bytes + in_flight.bytes }.and(frame_bytes);
        if frames >= self.capacity_frames() {
            Err(QueueFull::Frames { capacity_frames: self.capacity_frames() })
        } else if self.exceeds(load) {
            Err(QueueFull::Bytes { capacity_bytes: self.capacity_bytes() })
        } else {
            Ok(())
        }
    }
}

impl Writing {
    const BETWEEN_FRAMES: Self = Self::Between { front_bytes_written: 0, front_losses: 0 };

    const fn front_losses(self) -> u8 {
        match self {
            Self::Between { front_losses, .. } | Self::InFlight { front_losses, .. } => {
                front_losses
            }
        }
    }

    /// How much of the oldest waiting frame is written; that of a batch is its writer's affair.
    const fn front_bytes_written(self) -> usize {
        match self {
            Self::Between { front_bytes_written, .. } => front_bytes_written,
            Self::InFlight { .. } => 0,
        }
    }
}

impl Load {
    const NONE: Self = Self { frames: 0, bytes: 0 };

    /// With one more frame.
    const fn and(self, frame_bytes: usize) -> Self {
        Self { frames: self.frames + 1, bytes: self.bytes.saturating_add(frame_bytes) }
    }
}
