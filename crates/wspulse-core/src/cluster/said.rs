//! A frame as one server says it to others.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::message::{MessageError, take_bytes};
use crate::encoded::{EncodedFrame, EncodedMarks, MessageKind};
use crate::outgoing::Overflow;

/// A frame that was said to a group, with all that its members' queues must know of it.
#[derive(Debug, Clone)]
pub struct Said {
    /// The frame, shared with the queues of the origin's own members.
    pub frame: EncodedFrame,
    /// What becomes of it where a queue is full, if its sender has said so.
    pub overflow: Option<Overflow>,
    /// Who is not to hear it, and what else the servers say of it beside; it means nothing here. Up to
    /// 65,535 bytes.
    pub beside: Bytes,
}

mod flag {
    pub(super) const BINARY: u8 = 1;
    pub(super) const VOLATILE: u8 = 2;
    pub(super) const KEYED: u8 = 4;
    pub(super) const BESIDE: u8 = 8;
    /// Two bits.
    pub(super) const OVERFLOW_SHIFT: u32 = 4;
    pub(super) const UNCOMPRESSED: u8 = 0x40;
    pub(super) const KNOWN: u8 = 0x7f;
}

impl Said {
    /// A frame without anything beside.
    pub const fn new(frame: EncodedFrame) -> Self {
        Self { frame, overflow: None, beside: Bytes::new() }
    }

    /// How many bytes it takes between servers, at the most.
    pub fn bytes(&self) -> usize {
        let key_bytes = self.frame.key().map_or(0, <[u8]>::len);
        8 + key_bytes + self.beside.len() + self.frame.payload_bytes()
    }

    pub(super) fn put(&self, to: &mut BytesMut) {
        let Self { frame, overflow, beside } = self;
        let mut flags = match overflow {
            None => 0,
            Some(Overflow::DropOldest) => 1,
            Some(Overflow::Refuse) => 2,
            Some(Overflow::Disconnect) => 3,
        } << flag::OVERFLOW_SHIFT;
        let mut set = |flag, is_set| flags |= if is_set { flag } else { 0 };
        set(flag::BINARY, frame.kind() == MessageKind::Binary);
        set(flag::VOLATILE, frame.is_volatile());
        set(flag::KEYED, frame.is_keyed());
        set(flag::UNCOMPRESSED, frame.is_uncompressed());
        set(flag::BESIDE, !beside.is_empty());
        to.put_u8(flags);
        if let Some(key) = frame.key() {
            // It is no longer than `KEY_BYTES_MAX`.
            to.put_u8(u8::try_from(key.len()).unwrap_or_default());
            to.put_slice(key);
        }
        if !beside.is_empty() {
            to.put_u16(u16::try_from(beside.len()).unwrap_or_default());
            to.put_slice(beside);
        }
        to.put_u32(u32::try_from(frame.payload_bytes()).unwrap_or_default());
        to.put_slice(frame.payload());
    }

    pub(super) fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        let flags = from.try_get_u8()?;
        if flags & !flag::KNOWN != 0 {
            return Err(MessageError::Invalid { what: "frame's flags" });
        }
        let has = |flag| flags & flag != 0;
        let overflow = match (flags >> flag::OVERFLOW_SHIFT) & 3 {
            0 => None,
            1 => Some(Overflow::DropOldest),
            2 => Some(Overflow::Refuse),
            3.. => Some(Overflow::Disconnect),
        };
        let key = if has(flag::KEYED) {
            let count = usize::from(from.try_get_u8()?);
            Some(take_bytes(from, count)?)
        } else {
            None
        };
        let beside = if has(flag::BESIDE) {
            let count = usize::from(from.try_get_u16()?);
            take_bytes(from, count)?
        } else {
            Bytes::new()
        };
        let count = from.try_get_u32()? as usize;
        let payload = take_bytes(from, count)?;
        let kind = if has(flag::BINARY) { MessageKind::Binary } else { MessageKind::Text };
        // A WebSocket must never carry text that is none (RFC 6455 §8.1).
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(&payload).is_err() {
            return Err(MessageError::Invalid { what: "text" });
        }
        let is_key_text = key.as_ref().is_none_or(|key| simdutf8::basic::from_utf8(key).is_ok());
        if !is_key_text {
            return Err(MessageError::Invalid { what: "key" });
        }
        let marks = EncodedMarks {
            key: key.as_deref(),
            is_volatile: has(flag::VOLATILE),
            is_uncompressed: has(flag::UNCOMPRESSED),
        };
        let frame = EncodedFrame::from_payload_marked(kind, &payload, marks)
            .map_err(|_| MessageError::Invalid { what: "key" })?;
        Ok(Self { frame, overflow, beside })
    }
}

/// Equal if they are the same between servers.
impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        let parts = |it: &Self| {
            let frame = &it.frame;
            let marks = (frame.is_volatile(), frame.is_uncompressed(), it.overflow);
            (frame.kind(), frame.key().map(<[u8]>::to_vec), marks)
        };
        parts(self) == parts(other)
            && self.beside == other.beside
            && self.frame.payload() == other.frame.payload()
    }
}

impl Eq for Said {}
