//! A frame ready for the wire: WebSocket header and payload in one shared, immutable buffer.

#[cfg(feature = "deflate")]
mod deflated;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "deflate")]
use self::deflated::DeflatedForms;
use crate::codec::{Codec, EncodeError};
use crate::frame::Frame;
use crate::outbound::Form;
use crate::outgoing::{KEY_BYTES_MAX, KeyTooLong, Marks};

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
    /// Where the header starts in `buffer`: it is written against the payload, from the right.
    header_at: u16,
    payload_at: u16,
    /// Most keys that differ are told apart by this, without a look at their text.
    key_hash: u16,
    is_keyed: bool,
    is_volatile: bool,
    is_uncompressed: bool,
    /// Made as a transport asks for it, once for each window.
    #[cfg(feature = "deflate")]
    deflated: DeflatedForms,
    /// The key, room for the longest header, the payload. A key costs no allocation of its own, and
    /// a frame without one not a byte.
    buffer: Box<[u8]>,
}

/// With what a frame is marked whose bytes are already encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodedMarks<'a> {
    /// By what a newer frame takes its place.
    pub key: Option<&'a [u8]>,
    /// Whether it is worth sending at once or not at all.
    pub is_volatile: bool,
    /// Whether it goes as it is where other frames are compressed.
    pub is_uncompressed: bool,
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
        let mut buffer = Vec::with_capacity(HEADER_BYTES_MAX + estimated_bytes(frame));
        buffer.extend_from_slice(&[0; HEADER_BYTES_MAX]);
        codec.encode(frame, &mut buffer)?;
        Ok(Self::seal(codec.kind(frame), buffer))
    }

    /// Encodes `frame` with the marks of an [`Outgoing`](crate::Outgoing), which are not written to
    /// the wire, but for the name of its room.
    ///
    /// # Errors
    ///
    /// The codec's own error, unchanged; [`KeyTooLong`](crate::KeyTooLong) if there is a key
    /// of more than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX) bytes.
    pub fn encode_marked(
        codec: &dyn Codec,
        frame: &Frame,
        marks: &Marks,
    ) -> Result<Self, EncodeError> {
        let key = marks.checked_key().map_err(EncodeError::new)?;
        let payload_at = key.len() + HEADER_BYTES_MAX;
        let mut buffer = Vec::with_capacity(payload_at + estimated_bytes(frame));
        buffer.extend_from_slice(key.as_bytes());
        buffer.extend_from_slice(&[0; HEADER_BYTES_MAX]);
        match &marks.room {
            None => codec.encode(frame, &mut buffer)?,
            Some(room) => codec.encode_in_room(frame, room, &mut buffer)?,
        }
        let is_keyed = marks.key.is_some();
        Ok(Self(Arc::new(Encoded {
            key_hash: hash(key.as_bytes()),
            is_keyed,
            is_volatile: marks.is_volatile,
            is_uncompressed: marks.is_uncompressed,
            ..Encoded::seal(codec.kind(frame), buffer, payload_at)
        })))
    }

    /// Frames a message whose bytes are already encoded.
    pub fn from_payload(kind: MessageKind, payload: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(HEADER_BYTES_MAX + payload.len());
        buffer.extend_from_slice(&[0; HEADER_BYTES_MAX]);
        buffer.extend_from_slice(payload);
        Self::seal(kind, buffer)
    }

    /// As [`from_payload`](Self::from_payload), of a frame that was marked.
    ///
    /// # Errors
    ///
    /// [`KeyTooLong`] if there is a key of more than [`KEY_BYTES_MAX`](crate::KEY_BYTES_MAX) bytes.
    pub fn from_payload_marked(
        kind: MessageKind,
        payload: &[u8],
        marks: EncodedMarks<'_>,
    ) -> Result<Self, KeyTooLong> {
        let EncodedMarks { key, is_volatile, is_uncompressed } = marks;
        let (is_keyed, key) = (key.is_some(), key.unwrap_or_default());
        if key.len() > KEY_BYTES_MAX {
            return Err(KeyTooLong { bytes: key.len() });
        }
        let payload_at = key.len() + HEADER_BYTES_MAX;
        let mut buffer = Vec::with_capacity(payload_at + payload.len());
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(&[0; HEADER_BYTES_MAX]);
        buffer.extend_from_slice(payload);
        Ok(Self(Arc::new(Encoded {
            key_hash: hash(key),
            is_keyed,
            is_volatile,
            is_uncompressed,
            ..Encoded::seal(kind, buffer, payload_at)
        })))
    }

    fn seal(kind: MessageKind, buffer: Vec<u8>) -> Self {
        Self(Arc::new(Encoded::seal(kind, buffer, HEADER_BYTES_MAX)))
    }

    /// The bytes to write: header and payload.
    pub fn wire(&self) -> &[u8] {
        &self.0.buffer[usize::from(self.0.header_at)..]
    }

    /// The bytes to write in this form.
    #[inline]
    pub fn wire_in(&self, form: Form) -> &[u8] {
        match form {
            Form::Plain => self.wire(),
            #[cfg(feature = "deflate")]
            Form::Deflated(how) => self.deflated(how).unwrap_or_else(|| self.wire()),
        }
    }

    /// Whether it goes as it is over every transport.
    pub fn is_uncompressed(&self) -> bool {
        self.0.is_uncompressed
    }

    /// The number of bytes to write as it is.
    #[inline]
    pub fn wire_bytes(&self) -> usize {
        // The header begins within the buffer.
        self.0.buffer.len() - usize::from(self.0.header_at)
    }

    /// The number of bytes of the message's payload.
    #[inline]
    pub fn payload_bytes(&self) -> usize {
        // As the payload does.
        self.0.buffer.len() - usize::from(self.0.payload_at)
    }

    /// Whether both share one buffer, as clones do.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether it is text or binary.
    pub fn kind(&self) -> MessageKind {
        // Only data messages are sealed.
        if self.wire()[0] & 0xf == 0x1 { MessageKind::Text } else { MessageKind::Binary }
    }

    /// The message's payload without its header.
    pub fn payload(&self) -> &[u8] {
        &self.0.buffer[usize::from(self.0.payload_at)..]
    }

    /// By what a newer frame takes this one's place while it waits, if by anything.
    pub fn key(&self) -> Option<&[u8]> {
        let key_bytes = usize::from(self.0.payload_at) - HEADER_BYTES_MAX;
        self.0.is_keyed.then(|| &self.0.buffer[..key_bytes])
    }

    /// Whether the two have the same key.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.0.key_hash == other.0.key_hash && self.0.is_keyed && self.key() == other.key()
    }

    /// Whether it has a key.
    pub fn is_keyed(&self) -> bool {
        self.0.is_keyed
    }

    /// Whether it is worth sending at once or not at all.
    pub fn is_volatile(&self) -> bool {
        self.0.is_volatile
    }
}

impl Encoded {
    /// Writes the header in front of the payload, which ends the buffer.
    fn seal(kind: MessageKind, mut buffer: Vec<u8>, payload_at: usize) -> Self {
        let payload_len = buffer.len() - payload_at;
        let (header, header_len) = header(FINAL | opcode(kind), payload_len);
        let header_at = payload_at - header_len;
        buffer[header_at..payload_at].copy_from_slice(&header[..header_len]);
        Self {
            // No key is as long as that.
            header_at: u16::try_from(header_at).unwrap_or_default(),
            payload_at: u16::try_from(payload_at).unwrap_or_default(),
            key_hash: 0,
            is_keyed: false,
            is_volatile: false,
            is_uncompressed: false,
            #[cfg(feature = "deflate")]
            deflated: DeflatedForms::default(),
            buffer: buffer.into_boxed_slice(),
        }
    }
}

/// The first bit of a frame that is a message's last (RFC 6455 §5.2).
pub(crate) const FINAL: u8 = 0x80;

/// A message's opcode (RFC 6455 §5.6).
#[inline]
pub(crate) const fn opcode(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Text => 0x1,
        MessageKind::Binary => 0x2,
    }
}

/// The header of an unmasked frame, and its length.
#[inline]
pub(crate) fn header(first: u8, payload_len: usize) -> ([u8; HEADER_BYTES_MAX], usize) {
    let mut header = [0; HEADER_BYTES_MAX];
    header[0] = first;
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
    (header, header_len)
}

/// How many bytes the header takes with which an unmasked frame begins.
#[cfg(feature = "deflate")]
fn header_bytes(wire: &[u8]) -> usize {
    match wire.get(1) {
        Some(126) => 4,
        Some(127) => HEADER_BYTES_MAX,
        Some(_) | None => 2,
    }
}

/// What to reserve for a frame.
fn estimated_bytes(frame: &Frame) -> usize {
    // What the JSON codec writes around members that need no escapes, braces and commas included. If
    // it is exact, the buffer need not shrink.
    let around =
        |text: &[u8], name_bytes| if text.is_empty() { 0 } else { text.len() + name_bytes };
    let members = around(frame.id().as_bytes(), r#","id":"""#.len())
        + around(frame.event().as_bytes(), r#","event":"""#.len())
        + around(frame.payload(), r#","payload":"#.len());
    // The first has a brace in place of its comma.
    members.max(1) + 1
}

/// FNV-1a, folded. It need not withstand anybody: keys that collide are compared by their text.
fn hash(key: &[u8]) -> u16 {
    let hash = key
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_le_bytes();
    u16::from_le_bytes([a ^ c, b ^ d])
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
