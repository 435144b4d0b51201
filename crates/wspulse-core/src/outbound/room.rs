//! Whether there is room for one more frame, and how some is made.

use super::OverflowPolicy;
use super::queue::{OutboundQueue, QueueFull, Writing};

/// Frames that wait or are being written, and their bytes on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl OutboundQueue {
    /// Looks closely at a push for which there may be no room, and tells how many frames it took to
    /// make some.
    #[cold]
    pub(super) fn make_room(
        &mut self,
        frame_bytes: usize,
        policy: OverflowPolicy,
    ) -> Result<usize, QueueFull> {
        let shed = match policy {
            OverflowPolicy::GiveWay => 0,
            OverflowPolicy::DropOldest
            | OverflowPolicy::RejectNewest
            | OverflowPolicy::RejectBeyondWaiting => self.shed_volatile(frame_bytes, policy),
        };
        self.make_room_among_equals(frame_bytes, policy).map(|evicted| shed + evicted)
    }

    fn make_room_among_equals(
        &mut self,
        frame_bytes: usize,
        policy: OverflowPolicy,
    ) -> Result<usize, QueueFull> {
        match policy {
            OverflowPolicy::RejectNewest
            | OverflowPolicy::GiveWay
            | OverflowPolicy::RejectBeyondWaiting => {
                self.check_room(frame_bytes, self.load_under(policy)).map(|()| 0)
            }
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
    pub(super) fn evict_excess(&mut self) -> u32 {
        let mut evicted = 0;
        while self.exceeds(self.waiting_load())
            && self.evict_volatile().or_else(|| self.evict_oldest()).is_some()
        {
            evicted += 1;
        }
        evicted
    }

    /// What waits and counts against the capacity: all but what is held in front.
    pub(super) fn waiting_load(&self) -> Load {
        let held = self.held_in_front();
        Load {
            frames: self.waiting.len() - held.frames,
            bytes: self.pending_bytes - self.in_flight().bytes - held.bytes,
        }
    }

    /// What is never dropped for newer frames: those that are to be written again, or one that is
    /// half written.
    pub(super) fn held_in_front(&self) -> Load {
        let again = self.replaying();
        match (&self.writing, &self.waiting.first) {
            (Writing::Between { .. }, _) if again.frames > 0 => again,
            (Writing::Between { front_bytes_written: 1.., .. }, Some(front)) => {
                Load { frames: 1, bytes: front.wire_bytes() }
            }
            // What there may be is in the batch.
            (Writing::Between { .. } | Writing::InFlight { .. }, _) => Load::NONE,
        }
    }

    /// Frames of the batch that were written to an earlier transport.
    const fn in_flight_again(&self) -> Load {
        match self.writing {
            Writing::Between { .. } => Load::NONE,
            Writing::InFlight { .. } => self.replaying(),
        }
    }

    pub(super) const fn replaying(&self) -> Load {
        match self.keeping.kept() {
            Some(retained) => {
                Load { frames: retained.replaying(), bytes: retained.replaying_bytes() }
            }
            None => Load::NONE,
        }
    }

    pub(super) const fn in_flight(&self) -> Load {
        match self.writing {
            Writing::Between { .. } => Load::NONE,
            Writing::InFlight { frames, bytes, .. } => Load { frames: frames as usize, bytes },
        }
    }

    /// Whether this is more than may wait. A single frame may be of any length.
    const fn exceeds(&self, load: Load) -> bool {
        load.frames > self.capacity_frames() || self.is_too_long(load)
    }

    pub(super) const fn is_too_long(&self, load: Load) -> bool {
        load.bytes > self.capacity_bytes() && load.frames > 1
    }

    /// What counts against the capacity under a policy.
    pub(super) fn load_under(&self, policy: OverflowPolicy) -> Load {
        match policy {
            OverflowPolicy::RejectNewest | OverflowPolicy::GiveWay => {
                self.load_beside(self.in_flight())
            }
            OverflowPolicy::RejectBeyondWaiting => self.load_beside(self.in_flight_again()),
            OverflowPolicy::DropOldest => self.waiting_load(),
        }
    }

    /// What waits, and so much of what is in flight.
    fn load_beside(&self, in_flight: Load) -> Load {
        let (waiting, again) = (self.waiting_load(), self.in_flight_again());
        Load {
            frames: waiting.frames + in_flight.frames - again.frames,
            bytes: waiting.bytes + in_flight.bytes - again.bytes,
        }
    }

    /// Whether there is room beside so much.
    fn check_room(&self, frame_bytes: usize, load: Load) -> Result<(), QueueFull> {
        if load.frames >= self.capacity_frames() {
            Err(QueueFull::Frames { capacity_frames: self.capacity_frames() })
        } else if self.exceeds(load.and(frame_bytes)) {
            Err(QueueFull::Bytes { capacity_bytes: self.capacity_bytes() })
        } else {
            Ok(())
        }
    }

    /// Whether there is room for a frame beside so much.
    pub(super) fn has_room_beside(&self, load: Load, frame_bytes: usize) -> bool {
        self.check_room(frame_bytes, load).is_ok()
    }
}

impl Load {
    pub(super) const NONE: Self = Self { frames: 0, bytes: 0 };

    /// With one more frame.
    pub(super) const fn and(self, frame_bytes: usize) -> Self {
        Self { frames: self.frames + 1, bytes: self.bytes.saturating_add(frame_bytes) }
    }
}
