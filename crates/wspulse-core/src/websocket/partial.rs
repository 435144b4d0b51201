//! What the decoder keeps while something is incomplete.

use std::fmt;

use bytes::Bytes;

use super::control::Control;
use super::error::ProtocolError;
use super::header::{Header, HeaderStart};
use super::inflate;
use super::input::Input;
use super::mask;
use super::utf8::Utf8Progress;
use crate::codec::InboundMessage;
use crate::encoded::MessageKind;

/// Where the bytes received so far end, if not between two messages.
#[derive(Debug)]
pub(super) enum Partial {
    /// Within a header, or between two frames of a message.
    Header { message: Option<Assembly>, header: HeaderStart },
    /// Within the payload of a data frame.
    Data { message: Assembly, frame: OpenFrame },
    /// Within the payload of a control frame, which may come inside a message.
    Control { message: Option<Assembly>, control: Control, frame: OpenFrame, payload: Vec<u8> },
}

/// A frame whose header has been read, but not its payload, or not all of it.
#[derive(Debug)]
pub(super) struct OpenFrame {
    pub(super) is_final: bool,
    remaining_bytes: u64,
    /// Starts with the byte that is due for the next byte of the payload.
    mask: [u8; 4],
}

impl OpenFrame {
    #[inline]
    pub(super) const fn new(header: &Header) -> Self {
        Self { is_final: header.is_final, remaining_bytes: header.payload_bytes, mask: header.mask }
    }

    pub(super) const fn remaining_bytes(&self) -> u64 {
        self.remaining_bytes
    }

    /// Takes the payload's rest if `input` has all of it, else nothing.
    #[inline]
    pub(super) fn take_whole<'a>(&mut self, input: &'a mut Input<'_>) -> Option<&'a [u8]> {
        let payload = input.take_whole(self.remaining_bytes)?;
        mask::unmask(payload, self.mask);
        self.remaining_bytes = 0;
        Some(payload)
    }

    /// Takes as much of the payload as `input` has.
    pub(super) fn take<'a>(&mut self, input: &'a mut Input<'_>) -> &'a [u8] {
        let piece = input.take(self.remaining_bytes);
        mask::unmask(piece, self.mask);
        self.mask = mask::advanced(self.mask, piece.len());
        self.remaining_bytes -= piece.len() as u64;
        piece
    }
}

/// A message that is put together from frames, or pieces of them.
pub(super) struct Assembly {
    kind: MessageKind,
    is_compressed: bool,
    /// The payload lengths of all frames whose header was read, added up.
    announced_bytes: usize,
    /// Frames whose header was read.
    fragments: u32,
    received: Vec<u8>,
    /// Stays at the start if the message is binary or compressed.
    utf8: Utf8Progress,
}

impl Assembly {
    pub(super) const fn new(
        kind: MessageKind,
        is_compressed: bool,
        announced_bytes: usize,
    ) -> Self {
        Self {
            kind,
            is_compressed,
            announced_bytes,
            fragments: 1,
            received: Vec::new(),
            utf8: Utf8Progress::new(),
        }
    }

    pub(super) const fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    pub(super) const fn announced_bytes(&self) -> usize {
        self.announced_bytes
    }

    /// How many frames it has so far.
    pub(super) const fn frames(&self) -> usize {
        self.fragments as usize
    }

    /// Says how long the message is, another frame's announced length included.
    pub(super) const fn announce(&mut self, announced_bytes: usize) {
        self.announced_bytes = announced_bytes;
    }

    /// Another frame of this message has begun; refuses one more than `fragments_max`.
    pub(super) const fn count_fragment(&mut self, fragments_max: u32) -> Result<(), ProtocolError> {
        if self.fragments >= fragments_max {
            return Err(ProtocolError::TooManyFragments { limit: fragments_max as usize });
        }
        self.fragments += 1;
        Ok(())
    }

    /// Appends an unmasked piece. The buffer doubles, as a vector does, but not beyond
    /// `capacity_max`, the most that the message can come to.
    pub(super) fn append(
        &mut self,
        piece: &[u8],
        capacity_max: usize,
    ) -> Result<(), ProtocolError> {
        let needed = self.received.len() + piece.len();
        if needed > self.received.capacity() {
            let doubled = self.received.capacity().saturating_mul(2);
            let capacity = doubled.min(capacity_max).max(needed);
            self.received.reserve_exact(capacity - self.received.len());
        }
        self.received.extend_from_slice(piece);
        match self.kind {
            MessageKind::Text if !self.is_compressed => self.utf8.advance(&self.received),
            MessageKind::Text | MessageKind::Binary => Ok(()),
        }
    }

    /// The message, now that its last frame is complete; it has up to so many bytes if it is inflated.
    pub(super) fn finish(
        self,
        message_bytes_max: usize,
    ) -> Result<InboundMessage<'static>, ProtocolError> {
        if self.is_compressed {
            let mut inflated = Vec::new();
            inflate::message(self.kind, &self.received, message_bytes_max, &mut inflated)?;
            // There was room for more than comes of most: whoever keeps the message keeps no more than it.
            if inflated.capacity() > 2 * inflated.len() {
                inflated.shrink_to_fit();
            }
            return Ok(InboundMessage::owned(self.kind, Bytes::from(inflated)));
        }
        match self.kind {
            MessageKind::Text => self.utf8.finish(&self.received)?,
            MessageKind::Binary => {}
        }
        Ok(InboundMessage::owned(self.kind, Bytes::from(self.received)))
    }
}

// Without the payload: it may be long, and it is not for logs.
impl fmt::Debug for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembly")
            .field("kind", &self.kind)
            .field("is_compressed", &self.is_compressed)
            .field("announced_bytes", &self.announced_bytes)
            .field("fragments", &self.fragments)
            .field("received_bytes", &self.received.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_grows_with_what_arrives_not_with_what_is_announced() {
        let mut message = Assembly::new(MessageKind::Binary, false, 1_000_000);
        for received in 1..=1_000 {
            message.append(b"x", 1_000_000).unwrap();
            assert!(message.received.capacity() <= 2 * received);
        }
    }

    #[test]
    fn the_buffer_is_moved_only_when_it_doubles() {
        let mut message = Assembly::new(MessageKind::Binary, false, 100_000);
        let mut capacities = vec![0];
        for _ in 0..100_000 {
            message.append(b"x", 100_000).unwrap();
            capacities.push(message.received.capacity());
        }
        capacities.dedup();
        assert!(capacities.len() < 20, "{capacities:?}");
    }

    #[test]
    fn a_buffer_that_is_full_has_no_spare_capacity() {
        let mut message = Assembly::new(MessageKind::Binary, false, 1_001);
        for _ in 0..1_001 {
            message.append(b"x", 1_001).unwrap();
        }
        assert_eq!(message.received.capacity(), 1_001);
    }

    #[test]
    fn empty_fragments_take_no_memory() {
        let mut message = Assembly::new(MessageKind::Text, false, 0);
        for _ in 0..1_000 {
            message.append(b"", 1_000).unwrap();
        }
        assert_eq!(message.received.capacity(), 0);
    }
}
