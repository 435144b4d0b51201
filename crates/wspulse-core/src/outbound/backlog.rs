//! Frames in the order in which they came.

use std::collections::VecDeque;
use std::mem;

use crate::encoded::EncodedFrame;

/// Frames in order; the first lies inline, so that one frame to an idle session allocates nothing.
/// `rest` is empty whenever `first` is.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) first: Option<EncodedFrame>,
    pub(super) rest: VecDeque<EncodedFrame>,
}

/// What the second frame makes room for: a burst then allocates once for each member, not at 4, 8
/// and 16 frames; one slot fewer than a power of two, as the first frame lies inline.
const REST_FRAMES_MIN: usize = 15;

impl Backlog {
    /// A single frame.
    pub(super) const fn of(frame: EncodedFrame) -> Self {
        Self { first: Some(frame), rest: VecDeque::new() }
    }

    pub(super) fn push(&mut self, frame: EncodedFrame) {
        if self.first.is_none() {
            self.first = Some(frame);
        } else {
            if self.rest.capacity() == 0 {
                self.rest.reserve_exact(REST_FRAMES_MIN);
            }
            self.rest.push_back(frame);
        }
    }

    pub(super) fn pop(&mut self) -> Option<EncodedFrame> {
        mem::replace(&mut self.first, self.rest.pop_front())
    }

    /// Drops so many of the oldest frames; there must be as many.
    pub(super) fn drop_front(&mut self, frames: usize) {
        if frames > 0 {
            self.rest.drain(..frames - 1);
            self.first = self.rest.pop_front();
        }
    }

    /// Takes the frame at this place out.
    pub(super) fn remove(&mut self, place: usize) -> Option<EncodedFrame> {
        match place.checked_sub(1) {
            None => self.pop(),
            Some(place) => self.rest.remove(place),
        }
    }

    pub(super) fn get(&self, place: usize) -> Option<&EncodedFrame> {
        match place.checked_sub(1) {
            None => self.first.as_ref(),
            Some(place) => self.rest.get(place),
        }
    }

    /// Puts a frame in the place of another, which there must be.
    pub(super) fn replace(&mut self, place: usize, frame: EncodedFrame) {
        let slot = match place.checked_sub(1) {
            None => self.first.as_mut(),
            Some(place) => self.rest.get_mut(place),
        };
        if let Some(slot) = slot {
            *slot = frame;
        }
    }

    /// Leaves so many frames here and returns those behind them.
    pub(super) fn split_off(&mut self, frames: usize) -> Self {
        match frames.checked_sub(1) {
            None => mem::take(self),
            Some(rest) if rest < self.rest.len() => Self::from(self.rest.split_off(rest)),
            Some(_) => Self::default(),
        }
    }

    pub(super) fn append(&mut self, newer: Self) {
        if self.is_empty() {
            *self = newer;
            return;
        }
        self.rest.extend(newer.first);
        self.rest.extend(newer.rest);
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &EncodedFrame> {
        self.first.iter().chain(&self.rest)
    }
}

impl From<VecDeque<EncodedFrame>> for Backlog {
    fn from(mut frames: VecDeque<EncodedFrame>) -> Self {
        Self { first: frames.pop_front(), rest: frames }
    }
}
