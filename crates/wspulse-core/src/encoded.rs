//! A frame ready for the wire: WebSocket header and payload in one shared, immutable buffer.

use std::fmt;
use std::sync::Arc;

use crate::codec::{Codec, EncodeError};
use crate::frame::Frame;

/// The opcode of a data message: text or binary (RFC 6455 §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Opcode 1; the payload is valid UTF-8.
    Text,
    /// Opcode 2.
    Binary,
}

/// An encoded frame with the WebSocket header already in front.
///
/// Server frames are not masked (RFC 6455 §5.1), so the same bytes serve every recipient: cloning
/// copies a pointer, and a queue of a thousand members holds one buffer.
#[derive(Clone)]
pub struct EncodedFrame(Arc<Encoded>);

// One pointer thin on purpose: a queue slot is 8 bytes, so that 10,000 suspended members with 256
// queued broadcasts each cost 20 MiB.
struct Encoded {
    /// Where the header starts in `wire`: it is written against the payload, from the right.
    header_at: u8,
    wire: Box<[u8]>,
}

/// The longest header of an unmasked frame: two bytes and a 64-bit length (RFC 6455 §5.2).
const HEADER_BYTES_MAX: usize = 10;

impl EncodedFrame {
    /// Encodes `frame` with `codec`, once, for any number of recipients.
    ///
    /// # Errors
    ///
    /// The codec's own error, unchanged.
    pub fn encode(codec: &dyn Codec, frame: &Frame) -> Result<Self, EncodeError> {
        // The three member names, quotes and braces of the JSON codec take 29 bytes.
        let estimate = frame.id().len() + frame.event().len() + frame.payload().len() + 32;
        let mut wire = Vec::with_capacity(HEADER_BYTES_MAX + estimate);
        wire.extend_from_slice(&[0; HEADER_BYTES_MAX]);
        codec.encode(frame, &mut wire)?;
        Ok(Self::seal(codec.kind(frame), wire))
    }

    /// As [`encode`](Self::encode), with the name of the room that the frame is of, if the codec has
    /// [a place for it](Codec::encode_in_room).
    ///
    /// # Errors
    ///
    /// The codec's own error, unchanged.
    pub fn encode_in_room(
        codec: &dyn Codec,
        frame: &Frame,
        room: &str,
    ) -> Result<Self, EncodeError> {
        let mut wire = vec![0; HEADER_BYTES_MAX];
        codec.encode_in_room(frame, room, &mut wire)?;
        Ok(Self::seal(codec.kind(frame), wire))
    }

    /// Frames a message whose bytes are already encoded.
    pub fn from_payload(kind: MessageKind, payload: &[u8]) -> Self {
        let mut wire = Vec::with_capacity(HEADER_BYTES_MAX + payload.len());
        wire.extend_from_slice(&[0; HEADER_BYTES_MAX]);
        wire.extend_from_slice(payload);
        Self::seal(kind, wire)
    }

    fn seal(kind: MessageKind, mut wire: Vec<u8>) -> Self {
        let payload_len = wire.len() - HEADER_BYTES_MAX;
        let opcode = match kind {
            MessageKind::Text => 0x1,
            MessageKind::Binary => 0x2,
        };
        let mut header = [0; HEADER_BYTES_MAX];
        header[0] = 0x80 | opcode;
        let header_len = if payload_len < 126 {
            header[1] = payload_len.to_le_bytes()[0];
            2
        } else if let Ok(len) = u16::try_from(payload_len) {
            header[1] = 126;
            header[2..4].copy_from_slice(&len.to_be_bytes());
            4
        } else {
            header[1] = 127;
            header[2..10].copy_from_slice(&(payload_len as u64).to_be_bytes());
            10
        };
        let header_at = HEADER_BYTES_MAX - header_len;
        wire[header_at..HEADER_BYTES_MAX].copy_from_slice(&header[..header_len]);
        Self(Arc::new(Encoded {
            header_at: header_at.to_le_bytes()[0],
            wire: wire.into_boxed_slice(),
        }))
    }

    /// The bytes to write: header and payload.
    pub fn wire(&self) -> &[u8] {
        &self.0.wire[usize::from(self.0.header_at)..]
    }

    /// The number of bytes to write.
    #[inline]
    pub fn wire_bytes(&self) -> usize {
        // The header begins within the buffer.
        self.0.wire.len() - usize::from(self.0.header_at)
    }

    /// Whether both share one buffer, as clones do.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The message's payload without its header.
    pub fn payload(&self) -> &[u8] {
        &self.0.wire[HEADER_BYTES_MAX..]
    }
}

impl fmt::Debug for EncodedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedFrame").field("payload_bytes", &self.payload().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_takes_the_shortest_length_form() {
        for (len, header) in [
            (0, vec![0x82, 0]),
            (125, vec![0x82, 125]),
            (126, vec![0x82, 126, 0, 126]),
            (65_535, vec![0x82, 126, 0xff, 0xff]),
            (65_536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = EncodedFrame::from_payload(MessageKind::Binary, &vec![7; len]);
            assert_eq!(frame.wire()[..header.len()], header);
            assert_eq!(frame.wire().len(), header.len() + len);
            assert_eq!(frame.payload(), vec![7; len]);
        }
    }

    #[test]
    fn text_and_binary_carry_their_opcode() {
        assert_eq!(EncodedFrame::from_payload(MessageKind::Text, b"x").wire(), b"\x81\x01x");
        assert_eq!(EncodedFrame::from_payload(MessageKind::Binary, b"x").wire(), b"\x82\x01x");
    }

    #[test]
    fn a_clone_shares_the_buffer() {
        let frame = EncodedFrame::from_payload(MessageKind::Text, b"shared");
        assert_eq!(frame.clone().wire().as_ptr(), frame.wire().as_ptr());
    }
}
