//! Frames as MessagePack binary messages.

mod error;

use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use rmp::Marker;
use smallvec::SmallVec;

use super::{Codec, DecodeError, EncodeError, IdOnly, InboundMessage, transcode};
use crate::encoded::MessageKind;
use crate::frame::{Frame, PayloadFormat};
pub use error::MessagePackError;

/// How deep arrays and maps may nest: in a message with the map around it, in a payload to encode
/// without. The JSON codec's limit.
const NESTING_MAX: usize = 10_000;

/// One MessagePack map a message, with the keys `id`, `event` and `payload`.
///
/// The rules are those of the [`JsonCodec`](super::JsonCodec). Empty members are left out, so that
/// the empty frame is the empty map. Inbound, other entries are ignored, whatever the type of
/// their key, and `nil` stands for no id and no event; an id or event of another type, or one of
/// the three members twice, makes the message undecodable. Ids and events must be UTF-8.
///
/// The payload is any MessagePack value, kept as the bytes it came in; outbound it must be exactly
/// one value. Its strings are not checked: MessagePack lets them be anything. A payload that is
/// [known](Frame::format) to be in another format is written as MessagePack, if it nests at most 127
/// deep and has a form there: objects keep their order, integers of up to 64 bits stay exact, other
/// numbers of JSON become floats of 64 bits. What is wrong with a frame or a message is told by a
/// [`MessagePackError`].
///
/// ```
/// use wspulse_core::codec::{Codec, InboundMessage, MessagePackCodec};
/// use wspulse_core::{Frame, MessageKind};
///
/// let mut message = Vec::new();
/// let frame = Frame::new("move").msgpack(&[3, 4])?;
/// MessagePackCodec.encode(&frame, &mut message)?;
/// assert_eq!(message, b"\x82\xa5event\xa4move\xa7payload\x92\x03\x04");
///
/// let read = MessagePackCodec.decode(InboundMessage::lent(MessageKind::Binary, &message))?;
/// assert_eq!(read, frame);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MessagePackCodec;

impl Codec for MessagePackCodec {
    fn name(&self) -> Option<&str> {
        Some("msgpack")
    }

    fn payload_format(&self) -> PayloadFormat {
        PayloadFormat::MessagePack
    }

    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Binary
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let translated = translated(frame).map_err(EncodeError::new)?;
        let payload = translated.as_deref().unwrap_or(frame.payload());
        if !payload.is_empty() && translated.is_none() && !frame.is_one_value() {
            check_payload(payload).map_err(EncodeError::new)?;
        }

        let strings = [("id", frame.id()), ("event", frame.event())];
        let empty = strings.iter().filter(|(_, text)| text.is_empty()).count();
        let members = strings.len() - empty + usize::from(!payload.is_empty());
        out.push(Marker::FixMap(members.to_le_bytes()[0]).to_u8());
        for (member, text) in strings {
            if u32::try_from(text.len()).is_err() {
                return Err(EncodeError::new(MessagePackError::TooLong { member }));
            }
            if !text.is_empty() {
                rmp::encode::write_str(out, member).map_err(EncodeError::new)?;
                rmp::encode::write_str(out, text).map_err(EncodeError::new)?;
            }
        }
        if !payload.is_empty() {
            rmp::encode::write_str(out, "payload").map_err(EncodeError::new)?;
            out.extend_from_slice(payload);
        }
        Ok(())
    }

    /// A fourth entry, `room`.
    fn encode_in_room(
        &self,
        frame: &Frame,
        room: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if u32::try_from(room.len()).is_err() {
            return Err(EncodeError::new(MessagePackError::TooLong { member: "room" }));
        }
        let map_at = out.len();
        self.encode(frame, out)?;
        // A map of at most 15 entries has their number in its first byte, and this one had three.
        if let Some(map) = out.get_mut(map_at) {
            *map += 1;
        }
        rmp::encode::write_str(out, "room").map_err(EncodeError::new)?;
        rmp::encode::write_str(out, room).map_err(EncodeError::new)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        let layout = Layout::read(message.as_bytes()).map_err(DecodeError::new)?;
        layout.cut(&message.into_bytes()).map_err(DecodeError::new)
    }

    fn read_id(&self, message: &[u8]) -> Option<ByteString> {
        let is_map = matches!(message.first(), Some(0x80..=0x8f | 0xde | 0xdf));
        is_map.then(|| rmp_serde::from_slice::<IdOnly>(message).ok())??.into_id()
    }
}

/// The payload as MessagePack, if it is known to be something else.
fn translated(frame: &Frame) -> Result<Option<Vec<u8>>, MessagePackError> {
    match frame.format() {
        PayloadFormat::Unknown | PayloadFormat::MessagePack => Ok(None),
        _ if frame.payload().is_empty() => Ok(None),
        PayloadFormat::Json | PayloadFormat::Cbor | PayloadFormat::Bytes => {
            let msgpack = transcode::to_msgpack(frame);
            let untranslatable = MessagePackError::untranslatable;
            msgpack.map(Some).map_err(|error| untranslatable(&*error))
        }
    }
}

/// Refuses bytes that are not exactly one value.
pub(super) fn check_payload(payload: &[u8]) -> Result<(), MessagePackError> {
    let mut reader = Reader::new(payload);
    reader.skip_value(NESTING_MAX)?;
    reader.end()
}

/// Where the members of a frame lie in a message that is known to be one: the contents of the id
/// and the event, the whole of the payload.
///
/// It is made before the message is taken, so that an undecodable one is never copied.
struct Layout {
    id: Range<usize>,
    event: Range<usize>,
    payload: Range<usize>,
}

impl Layout {
    fn read(message: &[u8]) -> Result<Self, MessagePackError> {
        let mut reader = Reader::new(message);
        let Head::Map(entries) = reader.head()? else {
            return Err(MessagePackError::NotAMap);
        };
        let mut members = Members::default();
        for _ in 0..entries {
            let key = reader.skip_value(NESTING_MAX - 1)?;
            let value = reader.skip_value(NESTING_MAX - 1)?;
            if let Some((member, slot)) = members.slot(message, key)
                && slot.replace(value).is_some()
            {
                return Err(MessagePackError::RepeatedMember { member });
            }
        }
        reader.end()?;
        Ok(Self {
            id: text(message, "id", members.id)?,
            event: text(message, "event", members.event)?,
            payload: members.payload.unwrap_or(0..0),
        })
    }

    fn cut(self, message: &Bytes) -> Result<Frame, MessagePackError> {
        let cut = |member, place: Range<usize>| {
            ByteString::try_from(message.slice(place))
                .map_err(|_| MessagePackError::NotUtf8 { member })
        };
        Ok(Frame::default()
            .with_id(cut("id", self.id)?)
            .with_event(cut("event", self.event)?)
            .with_value(message.slice(self.payload), PayloadFormat::MessagePack))
    }
}

/// Where the values of a message's members lie.
#[derive(Default)]
struct Members {
    id: Option<Range<usize>>,
    event: Option<Range<usize>>,
    payload: Option<Range<usize>>,
}

impl Members {
    fn slot(
        &mut self,
        message: &[u8],
        key: Range<usize>,
    ) -> Option<(&'static str, &mut Option<Range<usize>>)> {
        match &message[contents(message, key)?] {
            b"id" => Some(("id", &mut self.id)),
            b"event" => Some(("event", &mut self.event)),
            b"payload" => Some(("payload", &mut self.payload)),
            _ => None,
        }
    }
}

/// The characters of the id or the event; none where it is absent or `nil`.
fn text(
    message: &[u8],
    member: &'static str,
    value: Option<Range<usize>>,
) -> Result<Range<usize>, MessagePackError> {
    let Some(value) = value else {
        return Ok(0..0);
    };
    if message[value.start] == Marker::Null.to_u8() {
        return Ok(0..0);
    }
    let place = contents(message, value).ok_or(MessagePackError::NotAString { member })?;
    simdutf8::basic::from_utf8(&message[place.clone()])
        .map_err(|_| MessagePackError::NotUtf8 { member })?;
    Ok(place)
}

/// What a string value holds; none if the value is something else.
fn contents(message: &[u8], value: Range<usize>) -> Option<Range<usize>> {
    let mut reader = Reader { bytes: message, at: value.start };
    match reader.head() {
        Ok(Head::String(_)) => Some(reader.at..value.end),
        Ok(Head::Other(_) | Head::Array(_) | Head::Map(_)) | Err(_) => None,
    }
}

struct Reader<'m> {
    bytes: &'m [u8],
    at: usize,
}

/// What comes in front of a value's contents. The lengths are the peer's word, no more.
enum Head {
    /// A string of so many bytes.
    String(u64),
    /// So many bytes that hold no further value.
    Other(u64),
    /// So many items.
    Array(u64),
    /// So many pairs of a key and a value.
    Map(u64),
}

impl<'m> Reader<'m> {
    fn new(bytes: &'m [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn end(&self) -> Result<(), MessagePackError> {
        if self.at < self.bytes.len() {
            return Err(MessagePackError::TrailingData);
        }
        Ok(())
    }

    /// Passes one value, however large, and says where it lies.
    fn skip_value(&mut self, nesting_max: usize) -> Result<Range<usize>, MessagePackError> {
        let start = self.at;
        // How many values are still to come at each open level, the outermost being our one value.
        // A level opens with a byte that is there, so announced lengths cost no memory.
        let mut to_come: SmallVec<[u64; 16]> = SmallVec::new();
        to_come.push(1);
        while let Some(left) = to_come.last_mut() {
            if *left == 0 {
                to_come.pop();
                continue;
            }
            *left -= 1;
            let inner = match self.head()? {
                Head::String(len) | Head::Other(len) => {
                    self.take(len)?;
                    continue;
                }
                Head::Array(items) => items,
                Head::Map(entries) => entries * 2,
            };
            if to_come.len() > nesting_max {
                return Err(MessagePackError::TooDeep);
            }
            to_come.push(inner);
        }
        Ok(start..self.at)
    }

    fn head(&mut self) -> Result<Head, MessagePackError> {
        use Marker::{
            Array16, Array32, Bin8, Bin16, Bin32, Ext8, Ext16, Ext32, F32, F64, False, FixArray,
            FixExt1, FixExt2, FixExt4, FixExt8, FixExt16, FixMap, FixNeg, FixPos, FixStr, I8, I16,
            I32, I64, Map16, Map32, Null, Reserved, Str8, Str16, Str32, True, U8, U16, U32, U64,
        };
        let marker = Marker::from_u8(self.take(1)?[0]);
        Ok(match marker {
            Reserved => return Err(MessagePackError::Reserved),
            Null | False | True | FixPos(_) | FixNeg(_) => Head::Other(0),
            U8 | I8 => Head::Other(1),
            // An extension has a byte for its type in front of its contents.
            U16 | I16 | FixExt1 => Head::Other(2),
            FixExt2 => Head::Other(3),
            U32 | I32 | F32 => Head::Other(4),
            U64 | I64 | F64 => Head::Other(8),
            FixExt4 => Head::Other(5),
            FixExt8 => Head::Other(9),
            FixExt16 => Head::Other(17),
            Ext8 => Head::Other(self.announced::<1>()? + 1),
            Ext16 => Head::Other(self.announced::<2>()? + 1),
            Ext32 => Head::Other(self.announced::<4>()? + 1),
            Bin8 => Head::Other(self.announced::<1>()?),
            Bin16 => Head::Other(self.announced::<2>()?),
            Bin32 => Head::Other(self.announced::<4>()?),
            FixStr(len) => Head::String(len.into()),
            Str8 => Head::String(self.announced::<1>()?),
            Str16 => Head::String(self.announced::<2>()?),
            Str32 => Head::String(self.announced::<4>()?),
            FixArray(items) => Head::Array(items.into()),
            Array16 => Head::Array(self.announced::<2>()?),
            Array32 => Head::Array(self.announced::<4>()?),
            FixMap(entries) => Head::Map(entries.into()),
            Map16 => Head::Map(self.announced::<2>()?),
            Map32 => Head::Map(self.announced::<4>()?),
        })
    }

    /// A length or a count in big-endian order, of `WIDTH` bytes.
    fn announced<const WIDTH: usize>(&mut self) -> Result<u64, MessagePackError> {
        let digits = self.take(WIDTH as u64)?;
        Ok(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    }

    fn take(&mut self, len: u64) -> Result<&'m [u8], MessagePackError> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len)
            .ok()
            .and_then(|len| rest.get(..len))
            .ok_or(MessagePackError::Truncated)?;
        self.at += taken.len();
        Ok(taken)
    }
}
