//! The one queue of a session: the same frames in the same order, connected or suspended.

use std::mem;

use super::OverflowPolicy;
use super::backlog::Backlog;
use super::batch::{Batch, Remainder};
use super::form::Form;
use super::keeping::Keeping;
use super::kept::Kept;
use super::marked::Rare;
use super::retained::Retained;
use super::room::Load;
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
    pub(super) waiting: Backlog,
    pub(super) writing: Writing,
    capacity: Capacity,
    pub(super) sent: u64,
    /// Boxed, since most queues lose no frame and get none that is marked.
    pub(super) rare: Option<Box<Rare>>,
    /// What waits or is being written, in bytes on the wire; a frame counts whole until its last
    /// byte is taken.
    pub(super) pending_bytes: usize,
    /// What is written and may not have arrived, if that is kept.
    pub(super) keeping: Keeping,
}

/// How much may wait; in as few bytes as there are many queues.
#[derive(Debug, Clone, Copy)]
struct Capacity {
    frames: u32,
    bytes: u32,
}

/// How far a writer has got.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writing {
    /// No batch is out. The current transport has taken so many bytes of the oldest waiting frame.
    /// If that is any, the frame is not dropped for another (its rest must follow) and does not
    /// count against the capacity. So many transports before were lost in the middle of the oldest
    /// frame that none has taken whole.
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

/// What became of a marked frame's neighbours. Not a part of [`Pushed`], which fits into registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedMarked {
    /// The frames dropped to make room.
    pub evicted: usize,
    /// It has taken the place of an older one.
    pub conflated: bool,
}

/// What a batch has come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Returned {
    /// The frames dropped because newer ones came meanwhile. No queue is as long as 2^32 pointers.
    pub evicted: u32,
    /// Those that came back although a newer one with the same key had come meanwhile.
    pub conflated: u32,
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
            rare: None,
            pending_bytes: 0,
            keeping: Keeping::Nothing,
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
            OverflowPolicy::RejectNewest | OverflowPolicy::GiveWay => self.len(),
            OverflowPolicy::DropOldest | OverflowPolicy::RejectBeyondWaiting => self.waiting.len(),
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
    pub fn drop_newest(&mut self) {
        self.count_dropped(1);
    }

    /// Takes all that waits, for one write.
    #[inline]
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
        let mut batch = Batch {
            frames: mem::take(&mut self.waiting),
            front_bytes_written,
            sent: 0,
            sent_bytes: 0,
            kept: None,
            form: Form::Plain,
        };
        if frames > 0 && self.keeping.is_something() {
            self.keep_to_window(&mut batch);
        }
        batch
    }

    /// Leaves in the queue what goes beyond the window.
    #[inline(never)]
    fn keep_to_window(&mut self, batch: &mut Batch) {
        let Some(retained) = self.keeping.make() else { return };
        let load = Load { frames: batch.len(), bytes: self.pending_bytes };
        let admitted = if retained.admits_all(load) {
            load.frames
        } else {
            retained.admits(&batch.frames, batch.front_bytes_written > 0)
        };
        if admitted < batch.len() {
            self.waiting = batch.frames.split_off(admitted);
            let left_bytes: usize = self.waiting.iter().map(EncodedFrame::wire_bytes).sum();
            self.writing = match self.writing {
                Writing::InFlight { bytes, front_losses, .. } if admitted > 0 => {
                    // As many as before at most.
                    let frames = u32::try_from(admitted).unwrap_or(u32::MAX);
                    Writing::InFlight { frames, bytes: bytes - left_bytes, front_losses }
                }
                Writing::InFlight { front_losses, .. } | Writing::Between { front_losses, .. } => {
                    Writing::Between { front_bytes_written: 0, front_losses }
                }
            };
        }
        batch.kept = Some(Kept::Nothing);
    }

    /// Takes a batch back after a write and tells how many of its frames had to be dropped, oldest
    /// first, because newer ones came meanwhile, or have made way for newer ones of their keys.
    pub fn give_back(&mut self, batch: Batch) -> Returned {
        self.pending_bytes -= batch.sent_bytes;
        let new = match batch.kept {
            None => batch.sent,
            Some(kept) => self.keep(kept),
        };
        self.sent += new;
        let front_losses = if new == 0 { self.writing.front_losses() } else { 0 };
        self.writing = Writing::BETWEEN_FRAMES;
        let mut returned = Returned::default();
        if !batch.frames.is_empty() {
            let older = batch.frames.len();
            let newer = mem::replace(&mut self.waiting, batch.frames);
            self.waiting.append(newer);
            let front_bytes_written = batch.front_bytes_written;
            self.writing = Writing::Between { front_bytes_written, front_losses };
            if self.rare.is_some() {
                returned.conflated = self.conflate_returned(older);
            }
        }
        // Where all is kept, what came meanwhile was let in knowing this.
        let fits = self.waiting.len() <= self.capacity_frames()
            && self.pending_bytes <= self.capacity_bytes()
            || self.keeping.is_something();
        if !fits {
            returned.evicted = self.evict_excess();
        }
        returned
    }

    /// Drops the oldest frame that waits and is not written in part, and tells how many bytes it
    /// had; `None` if there is no such frame.
    pub fn evict_oldest(&mut self) -> Option<usize> {
        let bytes = self.remove_waiting(self.held_in_front().frames)?.wire_bytes();
        self.count_dropped(1);
        Some(bytes)
    }

    /// Takes a frame that is not written in part out of those that wait, uncounted.
    pub(super) fn remove_waiting(&mut self, place: usize) -> Option<EncodedFrame> {
        let removed = self.waiting.remove(place)?;
        self.forget_losses_of(place);
        self.pending_bytes -= removed.wire_bytes();
        Some(removed)
    }

    /// If the frame at this place is the one in whose middle transports were lost, the next is not.
    pub(super) const fn forget_losses_of(&mut self, place: usize) {
        if let (true, Writing::Between { front_losses, .. }) =
            (place == self.replaying().frames, &mut self.writing)
        {
            *front_losses = 0;
        }
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
    ///
    /// What it took whole and the peer has not acknowledged will be written again as well, if it
    /// is kept.
    pub fn rewind(&mut self) -> Option<Remainder> {
        let remainder = self.rewind_front();
        if let Some(retained) = self.keeping.kept_mut() {
            let is_begun = remainder.as_ref().is_some_and(|begun| !begun.is_dropped());
            if remainder.as_ref().is_some_and(Remainder::is_dropped) {
                retained.forget_begun();
            }
            let (frames, bytes) = retained.rewind(is_begun);
            let newer = mem::replace(&mut self.waiting, frames);
            self.waiting.append(newer);
            self.pending_bytes += bytes;
        }
        remainder
    }

    fn rewind_front(&mut self) -> Option<Remainder> {
        let is_replayed = self.keeping.kept().is_some_and(|kept| kept.replaying() > 0);
        let Writing::Between { front_bytes_written, front_losses } = &mut self.writing else {
            return None;
        };
        let bytes_written = mem::take(front_bytes_written);
        if bytes_written == 0 {
            return None;
        }
        // One that is written again has been taken by some transport: there are some that are long
        // enough for it.
        *front_losses += u8::from(!is_replayed);
        let is_dropped = !is_replayed && *front_losses == FRAME_LOSSES_MAX;
        let frame = self.waiting.first.clone()?;
        if is_dropped {
            self.evict_oldest();
        }
        Some(Remainder { frame, bytes_written, form: Form::Plain, is_dropped })
    }

    /// Drops all that waits and tells how many frames that were, those included of a batch whose
    /// writer has not given it back and never will.
    pub fn discard(&mut self) -> usize {
        let frames = self.len();
        self.waiting = Backlog::default();
        self.writing = Writing::BETWEEN_FRAMES;
        self.pending_bytes = 0;
        if let Some(retained) = self.keeping.kept_mut() {
            retained.discard();
        }
        self.count_dropped(frames);
        frames
    }

    /// Whether there is a frame that may be written now, or that nobody has tried to.
    #[inline]
    pub fn is_writable(&self) -> bool {
        match (&self.waiting.first, self.keeping.kept()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(next), Some(retained)) => {
                !retained.is_stalled()
                    || retained.has_room_for(next)
                    || self.writing.front_bytes_written() > 0
            }
        }
    }

    /// Whether nothing waits and nothing is being written.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight().frames == 0
    }

    /// The number of frames that wait for their first transport or are being written.
    pub fn len(&self) -> usize {
        let replaying = self.keeping.kept().map_or(0, Retained::replaying);
        self.waiting.len() + self.in_flight().frames - replaying
    }

    /// The bytes on the wire of all frames that are held: they wait, are being written, or may have
    /// to be written again.
    pub fn held_bytes(&self) -> usize {
        self.pending_bytes + self.keeping.kept().map_or(0, Retained::bytes)
    }

    /// The bound, in frames.
    pub const fn capacity_frames(&self) -> usize {
        self.capacity.frames as usize
    }

    /// The bound, in bytes on the wire.
    pub const fn capacity_bytes(&self) -> usize {
        self.capacity.bytes as usize
    }
}

impl Writing {
    pub(super) const BETWEEN_FRAMES: Self =
        Self::Between { front_bytes_written: 0, front_losses: 0 };

    const fn front_losses(self) -> u8 {
        match self {
            Self::Between { front_losses, .. } | Self::InFlight { front_losses, .. } => {
                front_losses
            }
        }
    }

    /// How much of the oldest waiting frame is written; that of a batch is its writer's affair.
    pub(super) const fn front_bytes_written(self) -> usize {
        match self {
            Self::Between { front_bytes_written, .. } => front_bytes_written,
            Self::InFlight { .. } => 0,
        }
    }
}
