//! The plain model of a session's outbound frames: a list, and the fate of each frame.

use std::collections::VecDeque;

use wspulse_core::OutboundStats;
use wspulse_core::outbound::{FRAME_LOSSES_MAX, OverflowPolicy, Window};

use crate::kept::Kept;
use crate::marks::Marks;
use crate::socket::Heard;

pub(crate) struct Ledger {
    pub(crate) capacity: Capacity,
    /// By number: every frame has one fate, once.
    fates: Vec<Fate>,
    /// The frames that have no fate yet, in the order of their acceptance.
    pub(crate) pending: VecDeque<Pending>,
    /// By number: where a frame stands among all that the client may get. Without a promise that is
    /// its place in the queue, with one how many were written before it.
    places: Vec<u32>,
    /// So many places were given away, without a promise.
    places_given: u32,
    /// With one: the numbers of the frames that were written whole, in that order.
    written: Vec<u32>,
    /// The peer has a part of the oldest pending frame.
    begun: bool,
    /// How many transports were lost in the middle of the oldest pending frame.
    pub(crate) losses: u8,
    /// During a write, how many of the oldest pending frames are the writer's.
    pub(crate) in_write: Option<usize>,
    sent: u64,
    dropped: u64,
    conflated: u64,
    /// What is written and may not have arrived, under a promise.
    pub(crate) kept: Option<Kept>,
}

/// How much may wait; one frame may be longer if it waits alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    number: u32,
    pub(crate) bytes: usize,
    pub(crate) marks: Marks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pending,
    Sent,
    Dropped,
    Conflated,
}

impl Ledger {
    pub(crate) fn new(capacity: Capacity, window: Option<Window>) -> Self {
        Self {
            capacity,
            fates: Vec::new(),
            pending: VecDeque::new(),
            places: Vec::new(),
            places_given: 0,
            written: Vec::new(),
            begun: false,
            losses: 0,
            in_write: None,
            sent: 0,
            dropped: 0,
            conflated: 0,
            kept: window.map(Kept::new),
        }
    }

    pub(crate) fn next_number(&self) -> u32 {
        u32::try_from(self.fates.len()).unwrap()
    }

    /// Whether a frame of so many bytes would be refused, and whether that is for its bytes.
    pub(crate) fn refuses(&self, policy: OverflowPolicy, bytes: usize) -> (bool, bool) {
        let (frames, waiting) = self.load_under(policy);
        let by_frames = frames >= self.capacity.frames;
        let by_bytes = !by_frames && frames > 0 && waiting + bytes > self.capacity.bytes;
        let refuses = policy != OverflowPolicy::DropOldest && (by_frames || by_bytes);
        (refuses, by_bytes)
    }

    /// What counts against the capacity.
    pub(crate) fn load_under(&self, policy: OverflowPolicy) -> (usize, usize) {
        let held = match policy {
            // What is being written cannot make room, but it takes some.
            OverflowPolicy::RejectNewest | OverflowPolicy::GiveWay if self.in_write.is_some() => 0,
            OverflowPolicy::RejectNewest
            | OverflowPolicy::GiveWay
            | OverflowPolicy::RejectBeyondWaiting
            | OverflowPolicy::DropOldest => self.held(),
        };
        self.load(held)
    }

    /// The next number is accepted.
    pub(crate) fn accept(&mut self, bytes: usize, marks: Marks) {
        self.pending.push_back(Pending { number: self.next_number(), bytes, marks });
        self.fates.push(Fate::Pending);
        self.places.push(self.places_given);
        self.places_given += 1;
    }

    /// The next number is accepted, in the place of a frame that is gone for it.
    pub(crate) fn accept_in_place(&mut self, index: usize, bytes: usize) {
        let number = self.next_number();
        let older = std::mem::replace(&mut self.pending[index].number, number);
        self.pending[index].bytes = bytes;
        self.fates.push(Fate::Pending);
        self.places.push(self.places[older as usize]);
        self.settle(older, Fate::Conflated);
    }

    /// Takes a frame out of those that wait.
    pub(crate) fn remove(&mut self, index: usize, fate: Fate) {
        if index == 0 && self.in_write.is_none() {
            self.losses = 0;
        }
        let frame = self.pending.remove(index).unwrap();
        self.settle(frame.number, fate);
    }

    /// A frame that was heard, by its place instead of its number.
    pub(crate) fn placed(&self, heard: Heard) -> Heard {
        match heard {
            Heard::Data(number) => Heard::Data(self.places[number as usize]),
            heard @ (Heard::Control(_) | Heard::Ping(_)) => heard,
        }
    }

    /// Under a promise: this is the next frame that is written, if it is written.
    fn place_next(&mut self, number: u32) {
        if self.kept.is_some() {
            self.places[number as usize] = u32::try_from(self.sent).unwrap();
        }
    }

    /// The next number is accepted and dropped at once.
    pub(crate) fn accept_and_drop(&mut self) {
        self.fates.push(Fate::Dropped);
        self.places.push(0);
        self.dropped += 1;
    }

    /// Makes room for a frame of so many bytes and tells how many frames that costs.
    pub(crate) fn make_room(&mut self, bytes: usize) -> usize {
        let mut evicted = 0;
        loop {
            let (frames, waiting) = self.load(self.held());
            // One for one: what was half written once may lie above the bound in frames.
            let is_full = evicted == 0 && frames >= self.capacity.frames;
            let is_too_long = frames > 0 && waiting + bytes > self.capacity.bytes;
            if !is_full && !is_too_long {
                return evicted;
            }
            self.drop_oldest();
            evicted += 1;
        }
    }

    /// A writer takes so many frames.
    pub(crate) fn begin_write(&mut self, frames: usize) {
        let new = frames - self.replaying();
        assert!(new == self.pending.len() || self.kept.is_some(), "all that waits");
        self.in_write = Some(new);
    }

    pub(crate) fn replaying(&self) -> usize {
        self.kept.as_ref().map_or(0, Kept::replaying)
    }

    /// The socket has this frame whole.
    pub(crate) fn arrived(&mut self, number: u32) {
        if let Some(kept) = &mut self.kept
            && kept.replaying() > 0
        {
            return kept.written_again(self.places[number as usize]);
        }
        let next = self.pending.pop_front().expect("only what was accepted is written");
        assert_eq!(next.number, number, "in the order of their acceptance, each once");
        self.place_next(number);
        if let Some(kept) = &mut self.kept {
            kept.written(self.places[number as usize], next.bytes);
            self.written.push(number);
        }
        if let Some(frames) = &mut self.in_write {
            *frames -= 1;
        }
        self.settle(number, Fate::Sent);
        self.begun = false;
        self.losses = 0;
    }

    /// The write is over; tells how many frames must go because newer ones came meanwhile, and how
    /// many have made way for newer ones of their keys.
    pub(crate) fn end_write(&mut self, begun: bool) -> (usize, usize) {
        let returned = self.in_write.take().unwrap_or_default();
        self.begun = begun;
        let conflated = self.conflate_returned(returned);
        (self.evict_excess(), conflated)
    }

    fn evict_excess(&mut self) -> usize {
        if self.kept.is_some() {
            // What came meanwhile was let in knowing this.
            return 0;
        }
        let mut evicted = 0;
        loop {
            let (frames, bytes) = self.load(self.held());
            let too_long = frames > 1 && bytes > self.capacity.bytes;
            if frames <= self.capacity.frames && !too_long {
                return evicted;
            }
            match self.oldest_volatile() {
                Some(index) => self.remove(index, Fate::Dropped),
                None => self.drop_oldest(),
            }
            evicted += 1;
        }
    }

    /// The transport is lost; tells the frame that it has a part of, and whether that was once too
    /// often.
    pub(crate) fn rewind(&mut self) -> Option<(u32, bool)> {
        let begun = std::mem::take(&mut self.begun);
        let again = self.kept.as_ref().filter(|kept| kept.replaying() > 0);
        let half_written = match again.map(Kept::written_to_transport) {
            _ if !begun => None,
            // Some transport has taken it before.
            Some(place) => Some((self.written[usize::try_from(place).unwrap()], false)),
            None => {
                self.losses += 1;
                let is_dropped = self.losses == FRAME_LOSSES_MAX;
                let number = self.pending.front().unwrap().number;
                self.place_next(number);
                if is_dropped {
                    self.drop_oldest();
                }
                Some((number, is_dropped))
            }
        };
        if let Some(kept) = &mut self.kept {
            kept.begun_at_loss &= half_written.is_none_or(|(_, is_dropped)| !is_dropped);
            kept.rewind(half_written.is_some_and(|(_, is_dropped)| !is_dropped));
        }
        half_written
    }

    /// The client goes on behind so many frames. Tells whether that is possible; if it is, what the
    /// last transport had begun may prove to be whole.
    pub(crate) fn resume_at(&mut self, number: u64) -> bool {
        let kept = self.kept.as_mut().expect("a promise");
        if !kept.may_resume_at(number, self.sent) {
            return false;
        }
        kept.resume_at(number);
        if number > self.sent {
            kept.begun_at_loss = false;
            let finished = self.pending.pop_front().unwrap();
            self.written.push(finished.number);
            self.settle(finished.number, Fate::Sent);
            self.losses = 0;
        }
        true
    }

    pub(crate) fn discard(&mut self) -> usize {
        if let Some(kept) = &mut self.kept {
            kept.discard();
        }
        self.drop_pending()
    }

    /// Tells how many frames that are.
    pub(crate) fn drop_pending(&mut self) -> usize {
        let dropped = std::mem::take(&mut self.pending);
        for frame in &dropped {
            self.settle(frame.number, Fate::Dropped);
        }
        self.begun = false;
        self.losses = 0;
        dropped.len()
    }

    /// Whether all that was accepted is written, to the current transport if there is one.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.replaying() == 0
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_begun(&self) -> bool {
        self.begun
    }

    /// Compares the queue's account with the list.
    pub(crate) fn check(&self, stats: OutboundStats) {
        assert_eq!(stats.accepted, self.fates.len() as u64, "accepted");
        assert_eq!(stats.pending, self.pending.len() as u64, "pending");
        let kept_bytes = self.kept.as_ref().map_or(0, Kept::bytes);
        assert_eq!(stats.held_bytes, (self.load(0).1 + kept_bytes) as u64, "held bytes");
        assert_eq!(stats.sent, self.sent, "sent");
        assert_eq!(stats.dropped, self.dropped, "dropped");
        assert_eq!(stats.conflated, self.conflated, "conflated");
        let gone = stats.sent + stats.dropped + stats.conflated;
        assert_eq!(stats.accepted, gone + stats.pending);
        if let Some(kept) = &self.kept {
            kept.check(stats);
            // So many may come while as many as the window lets through are being written.
            let frames_max = self.capacity.frames + kept.window_frames() + 1;
            assert!(self.pending.len() <= frames_max, "bound");
        } else if self.in_write.is_none() {
            // The oldest may have been half written, and so beyond the bounds.
            let (frames, bytes) = self.load(self.pending.len().min(1));
            assert!(frames <= self.capacity.frames, "bound");
            assert!(bytes <= self.capacity.bytes || frames == 1, "bound in bytes");
        }
    }

    /// How many of the oldest pending frames cannot be dropped for others.
    pub(crate) fn held(&self) -> usize {
        self.in_write.unwrap_or(usize::from(self.begun && self.replaying() == 0))
    }

    /// Frames and their bytes, so many of the oldest left out.
    fn load(&self, held: usize) -> (usize, usize) {
        let counted = self.pending.iter().skip(held);
        (self.pending.len() - held, counted.map(|frame| frame.bytes).sum())
    }

    fn drop_oldest(&mut self) {
        let held = self.held();
        if held == 0 {
            self.losses = 0;
        }
        let frame = self.pending.remove(held).unwrap();
        self.settle(frame.number, Fate::Dropped);
    }

    fn settle(&mut self, number: u32, fate: Fate) {
        let known = &mut self.fates[number as usize];
        assert_eq!(*known, Fate::Pending, "frame {number} has one fate");
        *known = fate;
        match fate {
            Fate::Pending => unreachable!("no fate is pending"),
            Fate::Sent => self.sent += 1,
            Fate::Dropped => self.dropped += 1,
            Fate::Conflated => self.conflated += 1,
        }
    }
}
