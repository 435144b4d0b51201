//! Frames as Protobuf binary messages.

mod error;

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use super::json;
use super::text::Text;
use super::{Codec, DecodeError, EncodeError, InboundMessage, transcode};
use crate::encoded::MessageKind;
use crate::frame::{Frame, PayloadFormat};
pub use error::ProtobufError;

// The numbers of the fields in proto/wspulse/v1/frame.proto.
const ID: usize = 1;
const EVENT: usize = 2;
const DATA: usize = 3;
const JSON: usize = 4;
const ROOM: usize = 5;

/// The wire type of strings and bytes, the only ones that a frame has.
const LEN: usize = 2;

/// One `wspulse.v1.Frame` of Protobuf a message, by the schema `proto/wspulse/v1/frame.proto`.
///
/// The rules are those of the [`JsonCodec`](super::JsonCodec). Empty members are left out, so that
/// the empty frame is the empty message. Inbound, other fields are ignored; a member of another type,
/// or twice, makes the message undecodable, where other readers of Protobuf would take the last one.
/// So does a group, which proto3 does not have. Nothing else nests.
///
/// The payload is one of two: `data`, bytes that only the application reads, as
/// [`Frame::protobuf`](crate::Frame::protobuf) makes of a message of its own, or `json`, any value as
/// JSON. Outbound, a payload of which nobody has said in which [format](Frame::format) it is goes out as
/// `data`; one that is MessagePack or CBOR goes out as `data` if it is binary data as a whole, and else
/// as `json`, if it has a form in JSON. What is wrong with a frame or a message is told by a
/// [`ProtobufError`].
///
/// ```
/// use wspulse_core::codec::{Codec, InboundMessage, ProtobufCodec};
/// use wspulse_core::{Frame, MessageKind};
///
/// let mut message = Vec::new();
/// let frame = Frame::new("move").json(&[3, 4])?;
/// ProtobufCodec.encode(&frame, &mut message)?;
/// assert_eq!(message, b"\x12\x04move\x22\x05[3,4]");
///
/// let read = ProtobufCodec.decode(InboundMessage::lent(MessageKind::Binary, &message))?;
/// assert_eq!(read, frame);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ProtobufCodec;

impl Codec for ProtobufCodec {
    fn name(&self) -> Option<&str> {
        Some("protobuf")
    }

    fn payload_format(&self) -> PayloadFormat {
        PayloadFormat::Bytes
    }

    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Binary
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let payload = payload_field(frame).map_err(EncodeError::new)?;
        for (number, text) in [(ID, frame.id()), (EVENT, frame.event())] {
            if !text.is_empty() {
                write_field(number, text.as_bytes(), out)?;
            }
        }
        if let Some((number, value)) = payload {
            write_field(number, &value, out)?;
        }
        Ok(())
    }

    /// The field `room`.
    fn encode_in_room(
        &self,
        frame: &Frame,
        room: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.encode(frame, out)?;
        write_field(ROOM, room.as_bytes(), out)
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        let layout = Layout::read(message.as_bytes()).map_err(DecodeError::new)?;
        layout.cut(&message.into_bytes()).map_err(DecodeError::new)
    }

    fn read_id(&self, message: &[u8]) -> Option<ByteString> {
        let mut reader = Reader::new(message);
        let mut found = None;
        // Of what is behind a fault nothing is known, so the id must be in front of it.
        while let Ok(Some(field)) = reader.field() {
            if field.number == ID && found.replace(field.contents?).is_some() {
                return None;
            }
        }
        let id = str::from_utf8(&message[found?]).ok().filter(|id| !id.is_empty())?;
        Some(id.into())
    }
}

/// The number of a field, and its contents.
type PayloadField<'f> = (usize, Cow<'f, [u8]>);

/// In which field the payload goes out, and as what; none if it is absent.
fn payload_field(frame: &Frame) -> Result<Option<PayloadField<'_>>, ProtobufError> {
    let payload = &frame.payload()[..];
    if payload.is_empty() {
        return Ok(None);
    }
    Ok(Some(match frame.format() {
        PayloadFormat::Unknown | PayloadFormat::Bytes => (DATA, payload.into()),
        PayloadFormat::Json => {
            json::check_payload(frame).map_err(ProtobufError::NotJson)?;
            (JSON, payload.into())
        }
        PayloadFormat::MessagePack | PayloadFormat::Cbor => {
            let untranslatable = ProtobufError::Untranslatable;
            if let Some(bytes) = frame.binary().map_err(untranslatable)? {
                (DATA, bytes.into())
            } else {
                (JSON, transcode::to_json(frame).map_err(untranslatable)?.into())
            }
        }
    }))
}

fn write_field(number: usize, contents: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    // A length is a varint, and so is the head of a field.
    prost::encode_length_delimiter(number << 3 | LEN, out).map_err(EncodeError::new)?;
    prost::encode_length_delimiter(contents.len(), out).map_err(EncodeError::new)?;
    out.extend_from_slice(contents);
    Ok(())
}

/// Where the members of a frame lie in a message that is known to be one.
///
/// It is made before the message is taken, so that an undecodable one is never copied.
struct Layout {
    id: Text,
    event: Text,
    payload: Range<usize>,
    format: PayloadFormat,
}

impl Layout {
    fn read(message: &[u8]) -> Result<Self, ProtobufError> {
        let (mut id, mut event, mut payload) = (None, None, None);
        let mut format = PayloadFormat::Bytes;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.field()? {
            let (member, slot) = match field.number {
                ID => ("id", &mut id),
                EVENT => ("event", &mut event),
                DATA => ("payload", &mut payload),
                JSON => {
                    format = PayloadFormat::Json;
                    ("payload", &mut payload)
                }
                _ => continue,
            };
            let contents = field.contents.ok_or(ProtobufError::WrongType { member })?;
            if slot.replace(contents).is_some() {
                return Err(ProtobufError::RepeatedMember { member });
            }
        }
        let payload = payload.unwrap_or(0..0);
        if format == PayloadFormat::Json {
            json::check_value(&message[payload.clone()]).map_err(ProtobufError::NotJson)?;
        }
        Ok(Self {
            id: text(message, "id", id)?,
            event: text(message, "event", event)?,
            payload,
            format,
        })
    }

    fn cut(self, message: &Bytes) -> Result<Frame, ProtobufError> {
        let not_utf8 = |member| move |_| ProtobufError::NotUtf8 { member };
        Ok(Frame::default()
            .with_id(self.id.cut(message).map_err(not_utf8("id"))?)
            .with_event(self.event.cut(message).map_err(not_utf8("event"))?)
            .with_value(message.slice(self.payload), self.format))
    }
}

fn text(
    message: &[u8],
    member: &'static str,
    place: Option<Range<usize>>,
) -> Result<Text, ProtobufError> {
    let place = place.unwrap_or(0..0);
    simdutf8::basic::from_utf8(&message[place.clone()])
        .map_err(|_| ProtobufError::NotUtf8 { member })?;
    Ok(Text::Verbatim(place))
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

/// A field of a message.
struct Field {
    number: usize,
    /// Where its contents lie, if it is a string or bytes.
    contents: Option<Range<usize>>,
}

impl<'m> Reader<'m> {
    const fn new(message: &'m [u8]) -> Self {
        Self { message, at: 0 }
    }

    /// The next field; none at the end.
    fn field(&mut self) -> Result<Option<Field>, ProtobufError> {
        const NUMBER_MAX: usize = (1 << 29) - 1;
        if self.at == self.message.len() {
            return Ok(None);
        }
        let malformed = ProtobufError::Malformed { at: self.at };
        let head = self.varint()?;
        let number = head >> 3;
        if !(1..=NUMBER_MAX).contains(&number) {
            return Err(malformed);
        }
        let contents = match head & 0b111 {
            0 => {
                self.varint()?;
                None
            }
            1 => {
                self.take(8)?;
                None
            }
            LEN => {
                let len = self.varint()?;
                Some(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                None
            }
            _ => return Err(malformed),
        };
        Ok(Some(Field { number, contents }))
    }

    fn varint(&mut self) -> Result<usize, ProtobufError> {
        let mut rest = &self.message[self.at..];
        let malformed = ProtobufError::Malformed { at: self.at };
        // It ends with a byte that says so, of ten at most.
        if rest.iter().take(10).all(|byte| byte & 0x80 != 0) && rest.len() < 10 {
            return Err(ProtobufError::Truncated);
        }
        let number = prost::decode_length_delimiter(&mut rest).map_err(|_| malformed)?;
        self.at = self.message.len() - rest.remaining();
        Ok(number)
    }

    fn take(&mut self, len: usize) -> Result<Range<usize>, ProtobufError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.message.len());
        let place = self.at..end.ok_or(ProtobufError::Truncated)?;
        self.at = place.end;
        Ok(place)
    }
}
