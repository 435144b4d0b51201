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

    pub(super) fn append(&mut self, newer: Self) {
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
