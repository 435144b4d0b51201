//! How much h2 has that may be unread, for all that is known.
//!
//! What is read of a body, or of another library's WebSocket, is told by this side's `WINDOW_UPDATE` alone,
//! when it is a third of the window. Until then it is not known whether h2 keeps a frame, and with it the
//! piece of its read buffer that the frame came in.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

/// So many frames h2 may have without more ado, beside one of each stream. It takes twice as many unread ones,
const FRAMES_FREE: usize = 16 * 1024;
/// in so many pieces of its read buffer, which is 16 MiB.
const PIECES_FREE: usize = 2048;
/// How long a piece is.
const PIECE_BYTES: u64 = 8 * 1024;
/// Beyond that a stream waits so long, and then gets what has come meanwhile in one frame: whoever reads it
/// may have read all that is there, and be waited for by the peer.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);
/// No more goes on so if h2 has as many pieces, which takes 24 minutes of it. 60 streams come to that if all of
/// them are read, and say 20 bytes at a time.
const PIECES_MAX: usize = 16 * 1024;
/// After so many times in a row the connection ends.
const WAITS_MAX: u32 = 100;

#[derive(Default)]
pub(super) struct Unsure {
    frames: usize,
    /// How many of these are in each piece.
    by_piece: BTreeMap<u64, usize>,
    /// How often in a row nothing could go on of what waits.
    waits: u32,
    /// What h2 has got in all.
    passed_bytes: u64,
}

/// Too many frames were not read for too long.
#[derive(Debug, thiserror::Error)]
#[error("too many small HTTP/2 frames that nobody reads")]
pub(super) struct TooMuchUnread;

/// The number of a piece.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece(u64);

impl Unsure {
    /// h2 gets so many bytes more.
    pub(super) const fn pass(&mut self, bytes: usize) {
        self.passed_bytes += bytes as u64;
    }

    /// Where the frame is that h2 has got last.
    pub(super) const fn piece(&self) -> Piece {
        Piece(self.passed_bytes / PIECE_BYTES)
    }

    pub(super) fn add(&mut self, Piece(piece): Piece) {
        self.frames += 1;
        *self.by_piece.entry(piece).or_default() += 1;
    }

    /// Frames in these pieces are read, or it is known from now on when they are.
    pub(super) fn remove(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        for Piece(piece) in pieces {
            self.frames -= 1;
            if let Entry::Occupied(mut frames) = self.by_piece.entry(piece) {
                *frames.get_mut() -= 1;
                if *frames.get() == 0 {
                    frames.remove();
                }
            }
        }
    }

    /// Whether h2 may have more without more ado.
    pub(super) fn is_free(&self) -> bool {
        self.frames < FRAMES_FREE && self.by_piece.len() < PIECES_FREE
    }

    /// Whether h2 may have more of what has waited long.
    ///
    /// # Errors
    ///
    /// It must not, for too long.
    pub(super) fn may_go_on(&mut self) -> Result<bool, TooMuchUnread> {
        if self.by_piece.len() < PIECES_MAX {
            self.waits = 0;
            return Ok(true);
        }
        self.waits += 1;
        if self.waits < WAITS_MAX { Ok(false) } else { Err(TooMuchUnread) }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn frames_are_free_up_to_a_number_and_up_to_a_number_of_pieces() {
        let mut unsure = Unsure::default();
        let here = unsure.piece();
        (0..FRAMES_FREE).for_each(|_| unsure.add(here));
        assert!(!unsure.is_free());
        unsure.remove([here]);
        assert!(unsure.is_free());
        unsure.remove(vec![here; FRAMES_FREE - 1]);
        for _ in 0..PIECES_FREE {
            assert!(unsure.is_free());
            unsure.pass(8 * 1024);
            unsure.add(unsure.piece());
        }
        assert!(!unsure.is_free());
        unsure.remove([unsure.piece()]);
        assert!(unsure.is_free());
    }

    #[test]
    fn what_may_not_go_on_for_ten_seconds_is_too_much() {
        let mut unsure = Unsure::default();
        for _ in 0..PIECES_MAX {
            assert!(unsure.may_go_on().expect("little"));
            unsure.pass(8 * 1024);
            unsure.add(unsure.piece());
        }
        for _ in 1..WAITS_MAX {
            assert!(!unsure.may_go_on().expect("not for long"));
        }
        assert!(unsure.may_go_on().is_err());
    }
}
