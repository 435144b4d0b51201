//! Frames that are not like the others: a newer one takes their place, or they make room for any.

use std::collections::BTreeSet;

use super::OverflowPolicy;
use super::backlog::Backlog;
use super::queue::{OutboundQueue, Pushed, PushedMarked, QueueFull, Writing};
use super::room::Load;
use crate::encoded::EncodedFrame;

/// What few queues have: lost frames, and frames that are marked.
#[derive(Debug, Default)]
pub(super) struct Rare {
    pub(super) dropped: u64,
    pub(super) conflated: u64,
    /// Frames that go on elsewhere.
    pub(super) moved: u64,
    /// At the most so many frames with a key are pending: a look for one stops there, so that a
    /// queue without any is not searched. Frames that are sent do not lower it; the next look that
    /// sees all of them does.
    pub(super) keyed_max: usize,
    /// The same of volatile ones.
    pub(super) volatile_max: usize,
}

/// An older frame with the key of a newer one.
#[derive(Debug, Clone, Copy)]
struct Older {
    place: usize,
    bytes: usize,
    is_volatile: bool,
    /// A frame without a key waits behind it, which no newer frame may overtake.
    is_passed: bool,
}

/// What marks add.
impl OutboundQueue {
    /// As [`push`](Self::push), for a frame that has a key or is volatile. If an older frame with
    /// its key waits, it takes that one's place, or the end if a frame without a key waits between
    /// the two, and the older one is gone. What is being written, or to be written again, stays.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] if a bound is reached and `policy` refuses new frames. Then an older frame with
    /// its key waits on.
    pub fn push_marked(
        &mut self,
        frame: EncodedFrame,
        policy: OverflowPolicy,
    ) -> Result<PushedMarked, QueueFull> {
        let older = if frame.is_keyed() { self.find_older(&frame) } else { None };
        let Some(older) = older else {
            let Pushed { evicted, .. } = self.push_beside(frame, policy)?;
            return Ok(PushedMarked { evicted, conflated: false });
        };
        let fades_anew = frame.is_volatile() && !older.is_volatile;
        let pushed = self.conflate(older, frame, policy)?;
        self.rare.get_or_insert_default().volatile_max += usize::from(fades_anew);
        Ok(pushed)
    }

    /// As [`push`](Self::push), for a frame that may be marked and takes no other's place, since
    /// those that wait may be newer. A newer one takes its own.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] if a bound is reached and `policy` refuses new frames.
    pub fn push_beside(
        &mut self,
        frame: EncodedFrame,
        policy: OverflowPolicy,
    ) -> Result<Pushed, QueueFull> {
        let (is_keyed, is_volatile) = (frame.is_keyed(), frame.is_volatile());
        let pushed = self.push(frame, policy)?;
        if is_keyed || is_volatile {
            let rare = self.rare.get_or_insert_default();
            rare.keyed_max += usize::from(is_keyed);
            rare.volatile_max += usize::from(is_volatile);
        }
        Ok(pushed)
    }

    /// How many bytes a frame would free by taking an older one's place; `None` if none waits, or
    /// if the newer one is so much longer that there is no room for it.
    pub fn conflatable_bytes(
        &mut self,
        frame: &EncodedFrame,
        policy: OverflowPolicy,
    ) -> Option<usize> {
        let older = self.find_older(frame)?;
        self.fits_in_place_of(older, frame, policy).then_some(older.bytes)
    }

    /// Drops all volatile frames that wait and tells how many they are. One that a transport has
    /// taken, or that the client may say it has, is not volatile any more.
    pub fn drop_volatile(&mut self) -> usize {
        if self.volatile_max() == 0 {
            return 0;
        }
        let mut dropped = 0;
        for place in (self.settled_in_front()..self.waiting.len()).rev() {
            if self.waiting.get(place).is_some_and(EncodedFrame::is_volatile) {
                self.remove_waiting(place);
                dropped += 1;
            }
        }
        self.limit_volatile(0);
        self.count_dropped(dropped);
        dropped
    }

    pub(super) fn count_dropped(&mut self, frames: usize) {
        if frames > 0 {
            self.rare.get_or_insert_default().dropped += frames as u64;
        }
    }

    /// Drops volatile frames, oldest first, to make room for another, and tells how many: none if
    /// the other is refused nevertheless.
    pub(super) fn shed_volatile(&mut self, frame_bytes: usize, policy: OverflowPolicy) -> usize {
        if self.giving_way(frame_bytes, policy).frames == 0 {
            return 0;
        }
        let mut shed = 0;
        while !self.has_room_beside(self.load_under(policy), frame_bytes)
            && self.evict_volatile().is_some()
        {
            shed += 1;
        }
        shed
    }

    /// How many bytes [`evict_volatile`](Self::evict_volatile) can free for a frame: none if that
    /// would be refused here nevertheless.
    pub fn bytes_giving_way(&mut self, frame_bytes: usize, policy: OverflowPolicy) -> usize {
        self.giving_way(frame_bytes, policy).bytes
    }

    fn giving_way(&mut self, frame_bytes: usize, policy: OverflowPolicy) -> Load {
        if self.volatile_max() == 0 {
            return Load::NONE;
        }
        match policy {
            OverflowPolicy::GiveWay => Load::NONE,
            OverflowPolicy::DropOldest => self.volatile_load(),
            OverflowPolicy::RejectNewest | OverflowPolicy::RejectBeyondWaiting => {
                let (load, volatile) = (self.load_under(policy), self.volatile_load());
                let (frames, bytes) = (load.frames - volatile.frames, load.bytes - volatile.bytes);
                let has_room = self.has_room_beside(Load { frames, bytes }, frame_bytes);
                if has_room { volatile } else { Load::NONE }
            }
        }
    }

    /// Drops the oldest volatile frame that waits, and tells how many bytes it had; `None` if there
    /// is no such frame.
    pub fn evict_volatile(&mut self) -> Option<usize> {
        if self.volatile_max() == 0 {
            return None;
        }
        let mut places = self.settled_in_front()..self.waiting.len();
        let oldest =
            places.find(|place| self.waiting.get(*place).is_some_and(EncodedFrame::is_volatile));
        let bytes = self.remove_waiting(oldest?)?.wire_bytes();
        self.count_dropped(1);
        Some(bytes)
    }

    /// The frames of a batch that has come back meet those that have come meanwhile: where the two
    /// have a key in common, the newer frame stays. Tells how many went.
    pub(super) fn conflate_returned(&mut self, older: usize) -> u32 {
        let newest_places = older..self.waiting.len();
        if self.keyed_max() == 0 || newest_places.is_empty() {
            return 0;
        }
        // One look-up for each frame: a long batch may meet as many new ones.
        let newest = newest_places.filter_map(|place| self.waiting.get(place)?.key());
        let newest: BTreeSet<&[u8]> = newest.collect();
        let outdated = |place: &usize| {
            let key = self.waiting.get(*place).and_then(EncodedFrame::key);
            key.is_some_and(|key| newest.contains(key))
        };
        // From behind, so that the places of the others stay what they are.
        let places: Vec<usize> = (self.settled_in_front()..older).rev().filter(outdated).collect();
        for place in &places {
            self.remove_waiting(*place);
        }
        // No queue is as long as 2^32 pointers.
        let conflated = u32::try_from(places.len()).unwrap_or(u32::MAX);
        self.rare.get_or_insert_default().conflated += u64::from(conflated);
        conflated
    }

    fn conflate(
        &mut self,
        older: Older,
        frame: EncodedFrame,
        policy: OverflowPolicy,
    ) -> Result<PushedMarked, QueueFull> {
        let mut evicted = 0;
        if !self.fits_in_place_of(older, &frame, policy) {
            match policy {
                OverflowPolicy::RejectNewest
                | OverflowPolicy::RejectBeyondWaiting
                | OverflowPolicy::GiveWay => {
                    let capacity_bytes = self.capacity_bytes();
                    return Err(QueueFull::Bytes { capacity_bytes });
                }
                OverflowPolicy::DropOldest => {
                    self.remove_waiting(older.place);
                    evicted = self.push(frame, policy)?.evicted;
                }
            }
        } else if older.is_passed {
            self.remove_waiting(older.place);
            self.pending_bytes += frame.wire_bytes();
            // Apart from `push`, which is inlined where it is called once.
            self.waiting.append(Backlog::of(frame));
        } else {
            self.pending_bytes = self.pending_bytes - older.bytes + frame.wire_bytes();
            self.forget_losses_of(older.place);
            self.waiting.replace(older.place, frame);
        }
        self.rare.get_or_insert_default().conflated += 1;
        Ok(PushedMarked { evicted, conflated: true })
    }

    fn fits_in_place_of(&self, older: Older, frame: &EncodedFrame, policy: OverflowPolicy) -> bool {
        let Load { frames, bytes } = self.load_under(policy);
        let bytes = (bytes - older.bytes).saturating_add(frame.wire_bytes());
        !self.is_too_long(Load { frames, bytes })
    }

    /// The newest frame that waits and has this one's key.
    fn find_older(&mut self, newer: &EncodedFrame) -> Option<Older> {
        let (mut keyed, keyed_max) = (0, self.keyed_max());
        let mut is_passed = false;
        for place in (self.settled_in_front()..self.waiting.len()).rev() {
            if keyed == keyed_max {
                return None;
            }
            let frame = self.waiting.get(place)?;
            if frame.has_key_of(newer) {
                let (bytes, is_volatile) = (frame.wire_bytes(), frame.is_volatile());
                return Some(Older { place, bytes, is_volatile, is_passed });
            }
            keyed += usize::from(frame.is_keyed());
            is_passed |= !frame.is_keyed();
        }
        self.limit_keyed(keyed);
        None
    }

    /// How many frames in front are not to be touched: those that are to be written again, and one
    /// that is half written. Of one in whose middle the last transport was lost the client may say
    /// that it has it.
    fn settled_in_front(&self) -> usize {
        let is_begun = match (&self.writing, self.keeping.kept()) {
            (Writing::Between { front_bytes_written: 0, .. }, Some(retained)) => {
                retained.is_begun()
            }
            (Writing::Between { .. } | Writing::InFlight { .. }, _) => false,
        };
        self.held_in_front().frames + usize::from(is_begun)
    }

    /// What of the waiting frames is volatile.
    fn volatile_load(&mut self) -> Load {
        let places = self.settled_in_front()..self.waiting.len();
        let frames = places.filter_map(|place| self.waiting.get(place));
        let volatile = frames.filter(|frame| frame.is_volatile());
        let load = volatile.fold(Load::NONE, |load, frame| load.and(frame.wire_bytes()));
        self.limit_volatile(load.frames);
        load
    }

    fn keyed_max(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.keyed_max)
    }

    fn volatile_max(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.volatile_max)
    }

    /// A look at all that waits has seen so many. It has not seen what is settled, nor what a batch
    /// may bring back.
    fn limit_keyed(&mut self, seen: usize) {
        let settled = self.settled_in_front();
        if let (Writing::Between { .. }, Some(rare)) = (self.writing, &mut self.rare) {
            rare.keyed_max = seen + settled;
        }
    }

    fn limit_volatile(&mut self, seen: usize) {
        let settled = self.settled_in_front();
        if let (Writing::Between { .. }, Some(rare)) = (self.writing, &mut self.rare) {
            rare.volatile_max = seen + settled;
        }
    }
}
