//! A queue on its way to another server.

use std::collections::VecDeque;
use std::mem;

use super::backlog::Backlog;
use super::queue::OutboundQueue;
use super::retained::Doubt;
use crate::encoded::EncodedFrame;

/// All that a queue holds of a session that goes on elsewhere.
#[derive(Debug, Clone, Default)]
pub struct MovedQueue {
    /// How many frames were written whole at least once: the number of the newest of them.
    pub written: u64,
    /// So many of the frames, the oldest, are among those.
    pub replayed: usize,
    /// Whether a transport was lost in the middle of the first frame that none has taken whole: its
    /// client may say that it has it.
    pub is_begun: bool,
    /// Whether frames were taken for arrived that may not have.
    pub is_doubtful: bool,
    /// What was not acknowledged and what waits, oldest first.
    pub frames: Vec<EncodedFrame>,
}

impl OutboundQueue {
    /// Takes all that it holds, after a [`rewind`](Self::rewind). The frames that no transport has
    /// taken whole count as moved.
    pub fn take_moved(&mut self) -> MovedQueue {
        let (replayed, is_begun, is_doubtful) = match self.keeping.kept_mut() {
            None => (0, false, false),
            Some(retained) => {
                let taken =
                    (retained.replaying(), retained.is_begun(), retained.doubt() != Doubt::None);
                retained.discard();
                taken
            }
        };
        let Backlog { first, rest } = mem::take(&mut self.waiting);
        let frames: Vec<_> = first.into_iter().chain(rest).collect();
        self.pending_bytes = 0;
        self.rare.get_or_insert_default().moved += (frames.len() - replayed) as u64;
        MovedQueue { written: self.sent, replayed, is_begun, is_doubtful, frames }
    }

    /// Puts what has come from another server in front of all that waits, and what was lacking behind
    /// that. No transport has been given any of it yet. Tells how many frames had to be dropped, which
    /// happens only where nothing is kept.
    pub fn put_moved(&mut self, moved: MovedQueue, lacking: Vec<EncodedFrame>) -> usize {
        let MovedQueue { written, replayed, is_begun, is_doubtful, mut frames } = moved;
        let mut replayed = replayed.min(frames.len());
        self.sent = written;
        if let Some(retained) = self.keeping.make() {
            let bytes = frames[..replayed].iter().map(EncodedFrame::wire_bytes).sum();
            retained.restore(written, (replayed, bytes), is_begun, is_doubtful);
        } else {
            // What was written is not written again here.
            frames.drain(..mem::take(&mut replayed));
        }
        frames.extend(lacking);
        let live = mem::take(&mut self.waiting);
        for frame in &frames {
            self.pending_bytes += frame.wire_bytes();
            if frame.is_keyed() || frame.is_volatile() {
                let rare = self.rare.get_or_insert_default();
                rare.keyed_max += usize::from(frame.is_keyed());
                rare.volatile_max += usize::from(frame.is_volatile());
            }
        }
        self.waiting = Backlog::from(VecDeque::from(frames));
        self.waiting.append(live);
        let fits = self.waiting.len() <= self.capacity_frames()
            && self.pending_bytes <= self.capacity_bytes()
            || self.keeps();
        if fits { 0 } else { self.evict_excess() as usize }
    }
}
