//! Frames that were written, in order, until it is known that they have arrived.

use std::collections::VecDeque;

use super::run::Run;
use crate::encoded::EncodedFrame;

/// Frames in the order in which they were written.
///
/// What many members of a room have written alike is here as [`Run`]s. A list of its own for each
/// member is what a fan-out cannot afford: 1,000 members with 256 frames each have 2 MiB of
/// pointers, which leave the caches before they are looked at again. A run that has arrived in part
/// counts as that, and holds its frames until it has arrived whole: no more than one write of them.
#[derive(Debug, Default)]
pub(super) struct WrittenFrames {
    /// Those that are in no run.
    single: VecDeque<EncodedFrame>,
    runs: VecDeque<Placed>,
    /// The place of the oldest frame, counted from the first that was ever here. It may be in the
    /// middle of a run.
    begin: u64,
    /// The place behind the newest one.
    end: u64,
    bytes: usize,
}

/// A run, and the place of its first frame.
#[derive(Debug)]
struct Placed {
    begin: u64,
    run: Run,
}

impl WrittenFrames {
    pub(super) fn len(&self) -> usize {
        Self::frames_between(self.begin, self.end)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// On the wire.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, frame: EncodedFrame) {
        self.end += 1;
        self.bytes += frame.wire_bytes();
        self.single.push_back(frame);
    }

    pub(super) fn push_run(&mut self, run: Run) {
        let begin = self.end;
        self.end += run.len() as u64;
        self.bytes += run.wire_bytes();
        self.runs.push_back(Placed { begin, run });
    }

    /// Takes over all of another, of which nothing was dropped.
    pub(super) fn append(&mut self, newer: Self) {
        debug_assert_eq!(newer.begin, 0, "nothing was dropped of it");
        let end = self.end;
        let placed = newer.runs.into_iter();
        self.single.extend(newer.single);
        self.runs.extend(placed.map(|Placed { begin, run }| Placed { begin: end + begin, run }));
        self.end += newer.end;
        self.bytes += newer.bytes;
    }

    /// Drops so many of the oldest frames, or all, and tells how many bytes they had on the wire.
    pub(super) fn drop_oldest(&mut self, frames: usize) -> usize {
        let bytes_before = self.bytes;
        let mut left = frames.min(self.len());
        while left > 0 {
            let Some(bytes) = self.drop_part(&mut left) else { break };
            self.bytes -= bytes;
        }
        bytes_before - self.bytes
    }

    /// Drops the oldest frame, or as much of the run as it is the first of.
    fn drop_part(&mut self, left: &mut usize) -> Option<usize> {
        let Some(Placed { begin, run }) = self.runs.front().filter(|run| run.begin <= self.begin)
        else {
            let frame = self.single.pop_front()?;
            self.begin += 1;
            *left -= 1;
            return Some(frame.wire_bytes());
        };
        let rest = &run.frames()[Self::frames_between(*begin, self.begin)..];
        let dropped = rest.len().min(*left);
        let bytes = if dropped == run.len() {
            run.wire_bytes()
        } else {
            rest[..dropped].iter().map(EncodedFrame::wire_bytes).sum()
        };
        let is_whole = dropped == rest.len();
        self.begin += dropped as u64;
        *left -= dropped;
        if is_whole {
            self.runs.pop_front();
        }
        Some(bytes)
    }

    /// The bytes on the wire of so many of the oldest frames.
    pub(super) fn bytes_of_oldest(&self, frames: usize) -> usize {
        self.iter().take(frames).map(EncodedFrame::wire_bytes).sum()
    }

    /// All frames one by one.
    pub(super) fn into_frames(self) -> VecDeque<EncodedFrame> {
        if self.runs.is_empty() { self.single } else { self.iter().cloned().collect() }
    }

    /// Oldest first.
    fn iter(&self) -> impl Iterator<Item = &EncodedFrame> {
        let (mut place, mut singles) = (self.begin, 0);
        let parts = self.runs.iter().map(Some).chain([None]);
        parts.flat_map(move |placed| {
            let (begin, run) = match placed {
                Some(Placed { begin, run }) => (*begin, run.frames()),
                None => (self.end, [].as_slice()),
            };
            let before = Self::frames_between(place, begin);
            let single = self.single.range(singles..singles + before);
            let rest = &run[Self::frames_between(begin, place)..];
            singles += before;
            place = begin + run.len() as u64;
            single.chain(rest)
        })
    }

    fn frames_between(place: u64, later: u64) -> usize {
        // As many as there are pointers to them.
        usize::try_from(later.saturating_sub(place)).unwrap_or(usize::MAX)
    }
}
