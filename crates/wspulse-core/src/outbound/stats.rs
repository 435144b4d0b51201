//! What became of the frames that a queue has accepted.

use super::queue::OutboundQueue;
use super::retained::Retained;

/// An account of a session's outbound frames: `accepted = sent + dropped +
/// conflated + moved + pending`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OutboundStats {
    /// Frames that entered the queue.
    pub accepted: u64,
    /// Frames whose last byte a socket has taken.
    pub sent: u64,
    /// Of these, frames that are known to have arrived. Without a promise of delivery that is not
    /// asked, and this is 0.
    pub acknowledged: u64,
    /// Of the sent ones, those that are kept, as nobody knows yet whether they have arrived.
    pub unacknowledged: u64,
    /// Frames dropped after they had entered: for newer ones, or at the session's end.
    pub dropped: u64,
    /// Frames that a newer one with the same key has replaced while they waited.
    pub conflated: u64,
    /// Frames that had not been written when the session went over to another server of the cluster.
    pub moved: u64,
    /// Frames that wait.
    pub pending: u64,
    /// The bytes on the wire of the frames that are pending or unacknowledged: each counts whole,
    /// although a broadcast's are shared by all to whom it goes.
    pub held_bytes: u64,
    /// Of these, the bytes of the frames that are unacknowledged.
    pub unacknowledged_bytes: u64,
}

impl OutboundQueue {
    /// The account of all frames so far.
    pub fn stats(&self) -> OutboundStats {
        let pending = self.len() as u64;
        let retained = self.keeping.kept();
        let unacknowledged_bytes =
            retained.map_or(0, |retained| retained.bytes() + retained.replaying_bytes());
        let (dropped, conflated, moved) =
            self.rare.as_ref().map_or((0, 0, 0), |rare| (rare.dropped, rare.conflated, rare.moved));
        OutboundStats {
            accepted: self.sent + dropped + conflated + moved + pending,
            sent: self.sent,
            acknowledged: retained.map_or(0, Retained::acknowledged),
            unacknowledged: retained.map_or(0, |retained| retained.unacknowledged() as u64),
            dropped,
            conflated,
            moved,
            pending,
            held_bytes: self.held_bytes() as u64,
            unacknowledged_bytes: unacknowledged_bytes as u64,
        }
    }
}
