//! What has come for one stream and was not read of it yet.

use std::collections::VecDeque;

use super::unsure::Piece;
use super::waiting::Waiting;

/// What has come for one stream.
pub(super) struct Inbound {
    pub(super) read_by: ReadBy,
    /// The frames that h2 has got, as far as they may be unread.
    pub(super) frames: VecDeque<Passed>,
    /// Of frames that h2 has got, and that it gives back as if they were read.
    pub(super) padding_bytes: usize,
    pub(super) waiting: Waiting,
    /// The peer has said all that it says.
    pub(super) is_ended: bool,
    /// So has this side.
    pub(super) is_answered: bool,
}

/// A frame that h2 has got.
pub(super) struct Passed {
    /// What may be unread of it.
    pub(super) data_bytes: usize,
    pub(super) piece: Piece,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadBy {
    /// Who reads it does not tell: a request's body, or a stream that is not known to be a WebSocket.
    Somebody,
    WebSocket,
    /// h2 throws it away.
    Nobody,
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self {
            read_by: ReadBy::Somebody,
            frames: VecDeque::new(),
            padding_bytes: 0,
            waiting: Waiting::default(),
            is_ended: false,
            is_answered: false,
        }
    }

    /// So many bytes of it were read: the pieces of the frames that are read by that.
    pub(super) fn read(&mut self, mut bytes: usize) -> impl Iterator<Item = Piece> {
        let mut read = 0;
        for frame in &mut self.frames {
            if frame.data_bytes > bytes {
                frame.data_bytes -= bytes;
                break;
            }
            bytes -= frame.data_bytes;
            read += 1;
        }
        self.frames.drain(..read).map(|frame| frame.piece)
    }
}
