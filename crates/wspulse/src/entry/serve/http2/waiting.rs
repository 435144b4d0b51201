//! Data that waits in front of h2: the bytes themselves, and no frames.

use std::collections::VecDeque;

use bytes::{Buf as _, BytesMut};

use super::frames::{Header, PAYLOAD_BYTES_MAX, flag, kind};

/// What a frame may have around its data (RFC 9113 §6.1): its padding, and the length of that.
const AROUND_BYTES_MAX: usize = 256;

/// Data of one stream.
#[derive(Default)]
pub(super) struct Waiting {
    bytes: BytesMut,
    /// What goes in one frame each. Two that follow each other are more than one could hold.
    pieces: VecDeque<Piece>,
    /// Padding included.
    flow_bytes: usize,
}

struct Piece {
    data_bytes: usize,
    around_bytes: usize,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How much of its stream's window waits here.
    pub(super) const fn flow_bytes(&self) -> usize {
        self.flow_bytes
    }

    /// Takes the data of a frame, and notes how many bytes were around it: the peer has counted them.
    pub(super) fn push(&mut self, data: &[u8], around_bytes: usize) {
        self.bytes.extend_from_slice(data);
        self.flow_bytes += data.len() + around_bytes;
        if let Some(last) = self.pieces.back_mut()
            && last.around_bytes + around_bytes <= AROUND_BYTES_MAX
            && last.bytes() + data.len() + around_bytes <= PAYLOAD_BYTES_MAX
        {
            last.data_bytes += data.len();
            last.around_bytes += around_bytes;
            return;
        }
        self.pieces.push_back(Piece { data_bytes: data.len(), around_bytes });
    }

    /// Writes the first frame of it, the last one with the end of the stream if that `ends`: how much
    /// data it has, and how much around.
    pub(super) fn pop(
        &mut self,
        stream: u32,
        ends: bool,
        out: &mut Vec<u8>,
    ) -> Option<(usize, usize)> {
        let piece = self.pieces.pop_front()?;
        let end = if ends && self.pieces.is_empty() { flag::END_STREAM } else { 0 };
        let padding = piece.around_bytes.checked_sub(1);
        let padded = if padding.is_some() { flag::PADDED } else { 0 };
        let flags = end | padded;
        Header { payload_bytes: piece.bytes(), kind: kind::DATA, flags, stream }.write(out);
        out.extend(padding.and_then(|padding| u8::try_from(padding).ok()));
        out.extend_from_slice(&self.bytes[..piece.data_bytes]);
        out.extend(std::iter::repeat_n(0, padding.unwrap_or_default()));
        self.bytes.advance(piece.data_bytes);
        self.flow_bytes -= piece.bytes();
        if self.pieces.is_empty() {
            // Nothing is kept of its room.
            *self = Self::default();
        }
        Some((piece.data_bytes, piece.around_bytes))
    }
}

impl Piece {
    const fn bytes(&self) -> usize {
        self.data_bytes + self.around_bytes
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    /// All that comes out: the flags and payload of each frame.
    fn popped(waiting: &mut Waiting, ends: bool) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            let mut out = Vec::new();
            if waiting.pop(1, ends, &mut out).is_none() {
                assert_eq!(waiting.flow_bytes(), 0);
                return frames;
            }
            let (header, payload) = out.split_first_chunk().expect("a header");
            let header = Header::read(header);
            assert_eq!((header.payload_bytes, header.stream), (payload.len(), 1));
            frames.push((header.flags, payload.to_vec()));
        }
    }

    #[test]
    fn small_frames_come_out_as_one() {
        let mut waiting = Waiting::default();
        for byte in b'a'..=b'e' {
            waiting.push(&[byte], 0);
        }
        assert_eq!(waiting.flow_bytes(), 5);
        assert_eq!(popped(&mut waiting, true), [(flag::END_STREAM, b"abcde".to_vec())]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn frames_come_out_no_longer_than_they_may_be() {
        let mut waiting = Waiting::default();
        let come = vec![7; 10_000];
        for _ in 0..3 {
            waiting.push(&come, 0);
        }
        let frames = popped(&mut waiting, true);
        let ends: Vec<_> = frames.iter().map(|(flags, payload)| (*flags, payload.len())).collect();
        assert_eq!(ends, [(0, 10_000), (0, 10_000), (flag::END_STREAM, 10_000)]);
    }

    #[test]
    fn padding_that_was_counted_is_counted_again() {
        let mut waiting = Waiting::default();
        for _ in 0..3 {
            waiting.push(b"a", 100);
        }
        assert_eq!(waiting.flow_bytes(), 303);
        let first = [&[199][..], b"aa", &[0; 199]].concat();
        let second = [&[99][..], b"a", &[0; 99]].concat();
        assert_eq!(popped(&mut waiting, false), [(flag::PADDED, first), (flag::PADDED, second)]);
    }
}
