//! Frames as JSON text messages: the default codec.

mod error;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::text::Text;
use super::{Codec, DecodeError, EncodeError, IdOnly, InboundMessage, transcode};
use crate::encoded::MessageKind;
use crate::frame::{Frame, PayloadFormat};
pub use error::JsonError;

/// How deep arrays and objects may nest: in a message with the object around it, in a payload to
/// encode without. Far beyond what people write, and short of what overflows the stack of a
/// client's recursive parser.
const NESTING_MAX: usize = 10_000;

/// One JSON object a message: `{"id":…,"event":…,"payload":…}`.
///
/// Empty members are left out, so that the empty frame is `{}`. Inbound, other members are
/// ignored, and `null` stands for no id and no event; a numeric id, or one of the three members
/// twice, makes the message undecodable. A lone surrogate in an id or event (`"\ud800"`) reads as
/// U+FFFD.
///
/// The payload is any JSON value, kept as the bytes it came in: numbers keep their spelling and
/// objects their order, in both directions. Outbound it must be exactly one value in valid UTF-8.
/// A payload that is [known](Frame::format) to be MessagePack or CBOR is written as JSON, with the
/// feature of that codec and if it nests at most 127 deep: keys must be strings, and there is no JSON
/// for binary data, extensions, tags, and numbers that are not finite.
/// What is wrong with a frame or a message is told by a [`JsonError`].
///
/// ```
/// use wspulse_core::codec::{Codec, InboundMessage, JsonCodec};
/// use wspulse_core::{Frame, MessageKind};
///
/// let mut message = Vec::new();
/// let frame = Frame::new("chat.message").with_id("7").with_payload("[1.50]");
/// JsonCodec.encode(&frame, &mut message)?;
/// assert_eq!(message, br#"{"id":"7","event":"chat.message","payload":[1.50]}"#);
///
/// let read = JsonCodec.decode(InboundMessage::lent(MessageKind::Text, &message))?;
/// assert_eq!(read, frame);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonCodec;

impl Codec for JsonCodec {
    fn name(&self) -> Option<&str> {
        Some("json")
    }

    fn payload_format(&self) -> PayloadFormat {
        PayloadFormat::Json
    }

    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Text
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let translated = translated(frame).map_err(EncodeError::new)?;
        let payload = translated.as_deref().unwrap_or(frame.payload());
        if !payload.is_empty() && translated.is_none() {
            check_payload(frame).map_err(EncodeError::new)?;
        }

        out.push(b'{');
        let members_at = out.len();
        for (name, text) in [("id", frame.id()), ("event", frame.event())] {
            if !text.is_empty() {
                begin_member(out, members_at, name);
                serde_json::to_writer(&mut *out, text).map_err(EncodeError::new)?;
            }
        }
        if !payload.is_empty() {
            begin_member(out, members_at, "payload");
            out.extend_from_slice(payload);
        }
        out.push(b'}');
        Ok(())
    }

    /// A fourth member, `room`.
    fn encode_in_room(
        &self,
        frame: &Frame,
        room: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let members_at = out.len() + 1;
        self.encode(frame, out)?;
        out.pop();
        begin_member(out, members_at, "room");
        serde_json::to_writer(&mut *out, room).map_err(EncodeError::new)?;
        out.push(b'}');
        Ok(())
    }

    fn decode(&self, message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        let layout = Layout::read(message.as_bytes()).map_err(DecodeError::new)?;
        layout.cut(&message.into_bytes()).map_err(DecodeError::new)
    }

    fn read_id(&self, message: &[u8]) -> Option<ByteString> {
        let is_object = message.trim_ascii_start().first() == Some(&b'{');
        is_object.then(|| serde_json::from_slice::<IdOnly>(message).ok())??.into_id()
    }
}

/// The payload as JSON, if it is known to be something else.
#[inline]
fn translated(frame: &Frame) -> Result<Option<Vec<u8>>, JsonError> {
    match frame.format() {
        PayloadFormat::Unknown | PayloadFormat::Json => Ok(None),
        _ if frame.payload().is_empty() => Ok(None),
        PayloadFormat::MessagePack | PayloadFormat::Cbor | PayloadFormat::Bytes => {
            transcode::to_json(frame).map(Some).map_err(JsonError::Untranslatable)
        }
    }
}

/// Whether a payload is one value that may be written.
pub(super) fn check_payload(frame: &Frame) -> Result<(), JsonError> {
    let payload = frame.payload();
    if !frame.is_one_value() {
        return one_value::<IgnoredAny>(payload).map(|_| ());
    }
    if nests_too_deep(payload) { Err(JsonError::TooDeep) } else { Ok(()) }
}

/// Refuses bytes that are not exactly one value.
#[cfg(feature = "protobuf")]
pub(super) fn check_value(value: &[u8]) -> Result<(), JsonError> {
    one_value::<IgnoredAny>(value).map(|_| ())
}

fn begin_member(out: &mut Vec<u8>, members_at: usize, name: &str) {
    if out.len() > members_at {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Reads `bytes` as exactly one JSON value, with whitespace around it or not.
///
/// The parser neither recurses nor validates more than syntax where `T` takes values as
/// [`RawValue`] or [`IgnoredAny`], so that the one limit on depth is ours.
fn one_value<'t, T: Deserialize<'t>>(bytes: &'t [u8]) -> Result<T, JsonError> {
    let text = simdutf8::basic::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    if text.trim_ascii().is_empty() {
        return Err(JsonError::Empty);
    }
    if nests_too_deep(bytes) {
        return Err(JsonError::TooDeep);
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(&mut parser).map_err(JsonError::from_parser)?;
    parser.end().map_err(|_| JsonError::TrailingData)?;
    Ok(value)
}

/// Whether JSON nests deeper than the limit. The answer for what is not JSON means nothing.
///
/// It goes before the parser, which keeps a byte for every open level.
fn nests_too_deep(json: &[u8]) -> bool {
    // Almost every message ends here: each level takes an opening bracket.
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    if json.len() <= NESTING_MAX || json.iter().filter(|byte| opens(byte)).count() <= NESTING_MAX {
        return false;
    }

    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' if depth == NESTING_MAX => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    false
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
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
    fn read(message: &[u8]) -> Result<Self, JsonError> {
        let members: Members<'_> = one_value(message)?;
        if let Some(member) = members.repeated {
            return Err(JsonError::RepeatedMember { member });
        }
        let id = string("id", members.id)?;
        let event = string("event", members.event)?;
        Ok(Self {
            id: text(message, id)?,
            event: text(message, event)?,
            payload: members.payload.map_or(0..0, |raw| place(message, raw)),
        })
    }

    fn cut(self, message: &Bytes) -> Result<Frame, JsonError> {
        let not_utf8 = |_| JsonError::NotUtf8;
        Ok(Frame::default()
            .with_id(self.id.cut(message).map_err(not_utf8)?)
            .with_event(self.event.cut(message).map_err(not_utf8)?)
            .with_value(message.slice(self.payload), PayloadFormat::Json))
    }
}

fn text(message: &[u8], quoted: Option<&str>) -> Result<Text, JsonError> {
    let Some(quoted) = quoted else {
        return Ok(Text::EMPTY);
    };
    if has_escapes(quoted) {
        return Ok(Text::Rewritten(unescape(quoted)?));
    }
    let place = place(message, quoted);
    Ok(Text::Verbatim(place.start + 1..place.end - 1))
}

/// The string of a member, in its quotes; none where the member is absent or `null`.
fn string<'m>(member: &'static str, raw: Option<&'m str>) -> Result<Option<&'m str>, JsonError> {
    match raw {
        None | Some("null") => Ok(None),
        Some(quoted) if quoted.starts_with('"') => Ok(Some(quoted)),
        Some(_) => Err(JsonError::NotAString { member }),
    }
}

/// Where `part`, which the parser lent from `message`, lies in it.
fn place(message: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - message.as_ptr().addr();
    start..start + part.len()
}

/// The members of a message as the source text of their values.
#[derive(Default)]
struct Members<'m> {
    id: Option<&'m str>,
    event: Option<&'m str>,
    payload: Option<&'m str>,
    repeated: Option<&'static str>,
}

impl<'m> Members<'m> {
    fn slot(&mut self, name: &str) -> Option<(&'static str, &mut Option<&'m str>)> {
        match name {
            "id" => Some(("id", &mut self.id)),
            "event" => Some(("event", &mut self.event)),
            "payload" => Some(("payload", &mut self.payload)),
            _ => None,
        }
    }
}

// Not derived: a derived one accepts arrays, takes a `null` payload for an absent one and refuses
// unknown names with a lone surrogate.
impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(quoted) = map.next_key::<&RawValue>()? {
            let unescaped;
            let quoted = quoted.get();
            let name = if may_be_known(quoted) {
                unescaped = unescape(quoted).map_err(de::Error::custom)?;
                &unescaped
            } else {
                &quoted[1..quoted.len() - 1]
            };
            let Some((member, value)) = members.slot(name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            // The rest is read all the same: a message that is not JSON is reported as such.
            if value.replace(map.next_value::<&RawValue>()?.get()).is_some() {
                members.repeated.get_or_insert(member);
            }
        }
        Ok(members)
    }
}

/// Names are short: to look at all their bytes at once takes less than to stop at the first.
fn has_escapes(quoted: &str) -> bool {
    quoted.bytes().filter(|byte| *byte == b'\\').count() > 0
}

/// Whether an unknown name could be a known one in disguise: `"\u0069d"` is `id`.
///
/// `payload` with every letter escaped is the longest; beyond that, nothing is allocated.
fn may_be_known(quoted: &str) -> bool {
    quoted.len() <= "\"\"".len() + "payload".len() * "\\u0000".len() && has_escapes(quoted)
}

/// The characters of a string that is known to be valid JSON.
fn unescape(quoted: &str) -> Result<String, JsonError> {
    let Unescaped(text) = serde_json::from_str(quoted).map_err(JsonError::from_parser)?;
    Ok(text)
}

struct Unescaped(String);

impl<'de> Deserialize<'de> for Unescaped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, because the parser refuses lone surrogates in strings.
        deserializer.deserialize_bytes(UnescapedVisitor)
    }
}

struct UnescapedVisitor;

impl Visitor<'_> for UnescapedVisitor {
    type Value = Unescaped;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Unescaped, E> {
        let mut wtf8 = bytes.to_vec();
        // A surrogate takes three bytes that start like this and nothing else does; so does U+FFFD.
        for at in 0..wtf8.len() {
            if let [0xed, 0xa0..=0xbf, _, ..] = wtf8[at..] {
                wtf8[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
            }
        }
        String::from_utf8(wtf8).map(Unescaped).map_err(E::custom)
    }
}
