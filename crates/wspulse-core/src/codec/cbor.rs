//! Frames as CBOR binary messages.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "tokens are another crate's, which may add some"
)]

use std::borrow::Cow;
use std::convert::Infallible;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use minicbor::data::Token;
use minicbor::encode::{self, Encoder};

use super::text::Text;
use super::{Codec, DecodeError, EncodeError, IdOnly, InboundMessage, transcode};
use crate::cbor::{CborError, Kind, Reader, joined, plain};
use crate::encoded::MessageKind;
use crate::frame::{Frame, PayloadFormat};

/// How deep arrays, maps and tags may nest: in a message with the map around it, in a payload to
/// encode without. The JSON codec's limit.
const NESTING_MAX: usize = 10_000;

/// One map of CBOR ([RFC 8949](https://www.rfc-editor.org/rfc/rfc8949)) a message, with the keys
/// `id`, `event` and `payload`.
///
/// The rules are those of the [`JsonCodec`](super::JsonCodec). Empty members are left out, so that
/// the empty frame is the empty map. Inbound, other entries are ignored, whatever the type of
/// their key, and `null` and `undefined` stand for no id and no event; an id or event of another type,
/// or one of the three members twice, makes the message undecodable. So does whatever is not
/// well-formed, and text that is not UTF-8, wherever it is. Maps and strings may be of indefinite
/// length. No tag may be in front of the map, the id or the event.
///
/// The payload is any value of CBOR, kept as the bytes it came in; outbound it must be exactly one
/// value. A payload that is [known](Frame::format) to be in another format is written as CBOR, if it
/// nests at most 127 deep. What is wrong with a frame or a message is told by a [`CborError`].
///
/// ```
/// use wspulse_core::codec::{CborCodec, Codec, InboundMessage};
/// use wspulse_core::{Frame, MessageKind};
///
/// let mut message = Vec::new();
/// let frame = Frame::new("move").cbor(&[3, 4])?;
/// CborCodec.encode(&frame, &mut message)?;
/// assert_eq!(message, b"\xa2\x65event\x64move\x67payload\x82\x03\x04");
///
/// let read = CborCodec.decode(InboundMessage::lent(MessageKind::Binary, &message))?;
/// assert_eq!(read, frame);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct CborCodec;

impl Codec for CborCodec {
    fn name(&self) -> Option<&str> {
        Some("cbor")
    }

    fn payload_format(&self) -> PayloadFormat {
        PayloadFormat::Cbor
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
        write_members(frame, payload, out).map_err(EncodeError::new)
    }

    /// A fourth entry, `room`.
    fn encode_in_room(
        &self,
        frame: &Frame,
        room: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let map_at = out.len();
        self.encode(frame, out)?;
        // A map of at most 23 entries has their number in its first byte, and this one had three.
        if let Some(map) = out.get_mut(map_at) {
            *map += 1;
        }
        let mut encoder = Encoder::new(out);
        encoder.str("room").and_then(|encoder| encoder.str(room)).map_err(EncodeError::new)?;
        Ok(())
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        let layout = Layout::read(message.as_bytes()).map_err(DecodeError::new)?;
        layout.cut(&message.into_bytes()).map_err(DecodeError::new)
    }

    fn read_id(&self, message: &[u8]) -> Option<ByteString> {
        let is_map = matches!(message.first(), Some(0xa0..=0xbf));
        is_map.then(|| minicbor_serde::from_slice::<IdOnly>(message).ok())??.into_id()
    }
}

fn write_members(
    frame: &Frame,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), encode::Error<Infallible>> {
    let strings = [("id", frame.id()), ("event", frame.event())];
    let empty = strings.iter().filter(|(_, text)| text.is_empty()).count();
    let members = strings.len() - empty + usize::from(!payload.is_empty());
    let mut encoder = Encoder::new(&mut *out);
    encoder.map(members as u64)?;
    for (member, text) in strings {
        if !text.is_empty() {
            encoder.str(member)?.str(text)?;
        }
    }
    if !payload.is_empty() {
        encoder.str("payload")?;
        out.extend_from_slice(payload);
    }
    Ok(())
}

/// The payload as CBOR, if it is known to be something else.
fn translated(frame: &Frame) -> Result<Option<Vec<u8>>, CborError> {
    match frame.format() {
        PayloadFormat::Unknown | PayloadFormat::Cbor => Ok(None),
        _ if frame.payload().is_empty() => Ok(None),
        PayloadFormat::Json | PayloadFormat::MessagePack | PayloadFormat::Bytes => {
            let cbor = transcode::to_cbor(frame)
                .map_err(|error| CborError::Untranslatable { cause: error.to_string() })?;
            plain(&cbor).map(Some)
        }
    }
}

fn check_payload(payload: &[u8]) -> Result<(), CborError> {
    let mut reader = Reader::new(payload);
    reader.skip_value(NESTING_MAX)?;
    end(&reader)
}

fn end(reader: &Reader<'_>) -> Result<(), CborError> {
    if reader.is_at_end() { Ok(()) } else { Err(CborError::TrailingData) }
}

/// Where the members of a frame lie in a message that is known to be one.
///
/// It is made before the message is taken, so that an undecodable one is never copied.
struct Layout {
    id: Text,
    event: Text,
    payload: Range<usize>,
}

impl Layout {
    fn read(message: &[u8]) -> Result<Self, CborError> {
        let mut reader = Reader::new(message);
        let mut members = Members::default();
        match reader.token()? {
            Token::Map(entries) => {
                for _ in 0..entries {
                    members.take_entry(message, &mut reader)?;
                }
            }
            Token::BeginMap => {
                while !reader.pass_break()? {
                    members.take_entry(message, &mut reader)?;
                }
            }
            _ => return Err(CborError::NotAMap),
        }
        end(&reader)?;
        Ok(Self {
            id: text(message, "id", members.id)?,
            event: text(message, "event", members.event)?,
            payload: members.payload.unwrap_or(0..0),
        })
    }

    fn cut(self, message: &Bytes) -> Result<Frame, CborError> {
        let not_utf8 = |_| CborError::NotUtf8 { at: 0 };
        Ok(Frame::default()
            .with_id(self.id.cut(message).map_err(not_utf8)?)
            .with_event(self.event.cut(message).map_err(not_utf8)?)
            .with_value(message.slice(self.payload), PayloadFormat::Cbor))
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
    fn take_entry(&mut self, message: &[u8], reader: &mut Reader<'_>) -> Result<(), CborError> {
        // One level less: the message's own map is around it.
        let below = |error| match error {
            CborError::TooDeep { .. } => CborError::TooDeep { levels_max: NESTING_MAX },
            other => other,
        };
        let key = reader.skip_value(NESTING_MAX - 1).map_err(below)?;
        let value = reader.skip_value(NESTING_MAX - 1).map_err(below)?;
        let (member, slot) = match &*name(message, &key)? {
            b"id" => ("id", &mut self.id),
            b"event" => ("event", &mut self.event),
            b"payload" => ("payload", &mut self.payload),
            _ => return Ok(()),
        };
        if slot.replace(value).is_some() {
            return Err(CborError::RepeatedMember { member });
        }
        Ok(())
    }
}

/// What a key says; nothing if it is no text.
fn name<'m>(message: &'m [u8], key: &Range<usize>) -> Result<Cow<'m, [u8]>, CborError> {
    let mut reader = Reader::at(message, key.start);
    Ok(match reader.token()? {
        Token::String(name) => name.as_bytes().into(),
        // In whichever pieces it comes, it is the same key.
        Token::BeginString => joined(&mut reader, Kind::Text)?.into(),
        _ => Cow::default(),
    })
}

/// The characters of the id or the event; none where it is absent, `null` or `undefined`.
fn text(
    message: &[u8],
    member: &'static str,
    value: Option<Range<usize>>,
) -> Result<Text, CborError> {
    let Some(value) = value else {
        return Ok(Text::EMPTY);
    };
    let mut reader = Reader::at(message, value.start);
    match reader.token()? {
        Token::String(text) => Ok(Text::Verbatim(value.end - text.len()..value.end)),
        Token::BeginString => {
            let text = joined(&mut reader, Kind::Text)?;
            let not_utf8 = |_| CborError::NotUtf8 { at: value.start };
            String::from_utf8(text).map(Text::Rewritten).map_err(not_utf8)
        }
        Token::Null | Token::Undefined => Ok(Text::EMPTY),
        _ => Err(CborError::NotAString { member }),
    }
}
