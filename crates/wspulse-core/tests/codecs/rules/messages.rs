//! One message in the words of each codec.

use wspulse_core::codec::{
    CborCodec, Codec, DecodeError, InboundMessage, JsonCodec, MessagePackCodec, ProtobufCodec,
};
use wspulse_core::{Frame, MessageKind};

/// Each of the codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Json,
    MessagePack,
    Cbor,
    Protobuf,
}

pub(super) const ALL: [Words; 4] = [Words::Json, Words::MessagePack, Words::Cbor, Words::Protobuf];

/// A member's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Text(&'static [u8]),
    Seven,
    Null,
    /// Arrays in arrays, so many.
    Nested(usize),
}

pub(super) use Value::{Nested, Null, Seven, Text};

impl Words {
    pub(super) fn codec(self) -> &'static dyn Codec {
        match self {
            Self::Json => &JsonCodec,
            Self::MessagePack => &MessagePackCodec,
            Self::Cbor => &CborCodec,
            Self::Protobuf => &ProtobufCodec,
        }
    }

    /// A message with these members, few and with short names.
    pub(super) fn message(self, members: &[(&str, Value)]) -> Vec<u8> {
        let count = u8::try_from(members.len()).unwrap();
        let members = members.iter().map(|(name, value)| self.member(name, *value));
        match self {
            Self::Json => [b"{", &members.collect::<Vec<_>>().join(&b","[..])[..], b"}"].concat(),
            Self::MessagePack => {
                [vec![0x80 | count], members.collect::<Vec<_>>().concat()].concat()
            }
            Self::Cbor => [vec![0xa0 | count], members.collect::<Vec<_>>().concat()].concat(),
            Self::Protobuf => members.collect::<Vec<_>>().concat(),
        }
    }

    fn member(self, name: &str, value: Value) -> Vec<u8> {
        match self {
            Self::Json => [b"\"", name.as_bytes(), b"\":", &self.value(value)[..]].concat(),
            Self::MessagePack | Self::Cbor => {
                [self.text(name.as_bytes()), self.value(value)].concat()
            }
            Self::Protobuf => protobuf_field(name, value),
        }
    }

    /// A value by itself; with Protobuf as JSON, which its payloads are.
    pub(super) fn value(self, value: Value) -> Vec<u8> {
        match (self, value) {
            (_, Text(text)) => self.text(text),
            (Self::Json | Self::Protobuf, Seven) => b"7".to_vec(),
            (Self::MessagePack | Self::Cbor, Seven) => b"\x07".to_vec(),
            (Self::Json | Self::Protobuf, Null) => b"null".to_vec(),
            (Self::MessagePack, Null) => b"\xc0".to_vec(),
            (Self::Cbor, Null) => b"\xf6".to_vec(),
            (Self::Json | Self::Protobuf, Nested(levels)) => {
                ["[".repeat(levels), "]".repeat(levels)].concat().into_bytes()
            }
            (Self::MessagePack, Nested(levels)) => nested(levels, 0x91, 0x90),
            (Self::Cbor, Nested(levels)) => nested(levels, 0x81, 0x80),
        }
    }

    fn text(self, text: &[u8]) -> Vec<u8> {
        let head = |kind: u8| vec![kind | u8::try_from(text.len()).unwrap()];
        match self {
            Self::Json | Self::Protobuf => [b"\"", text, b"\""].concat(),
            Self::MessagePack => [head(0xa0), text.to_vec()].concat(),
            Self::Cbor => [head(0x60), text.to_vec()].concat(),
        }
    }

    pub(super) fn decode(self, message: &[u8]) -> Result<Frame, DecodeError> {
        let kind = self.codec().kind(&Frame::default());
        self.codec().decode(InboundMessage::lent(kind, message))
    }

    pub(super) fn refuses(self, message: &[u8]) -> String {
        match self.decode(message) {
            Ok(frame) => panic!("{self:?} takes {message:x?} for {frame:?}"),
            Err(error) => error.get_ref().to_string(),
        }
    }

    pub(super) fn encode(self, frame: &Frame) -> Vec<u8> {
        self.try_encode(frame).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    pub(super) fn try_encode(self, frame: &Frame) -> Result<Vec<u8>, String> {
        let mut message = Vec::new();
        match self.codec().encode(frame, &mut message) {
            Ok(()) => Ok(message),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The frame as one with this codec gets it.
    pub(super) fn told(self, frame: &Frame) -> Result<Frame, String> {
        let message = self.try_encode(frame)?;
        Ok(self.decode(&message).expect("what was encoded can be decoded"))
    }
}

fn nested(levels: usize, outer: u8, inner: u8) -> Vec<u8> {
    let mut value = vec![outer; levels - 1];
    value.push(inner);
    value
}

fn protobuf_field(name: &str, value: Value) -> Vec<u8> {
    let number: u8 = match name {
        "id" => 1,
        "event" => 2,
        "payload" => 4,
        _ => 15,
    };
    let contents = match (name, value) {
        ("payload", value) => Words::Protobuf.value(value),
        (_, Text(text)) => text.to_vec(),
        (_, Seven) => return vec![number << 3, 7],
        (_, Null | Nested(_)) => panic!("there is no such field"),
    };
    let mut field = vec![number << 3 | 2];
    prost::encode_length_delimiter(contents.len(), &mut field).unwrap();
    field.extend(contents);
    field
}

/// Every frame that has some of the members.
pub(super) fn frames(words: Words) -> Vec<(Frame, Vec<(&'static str, Value)>)> {
    let payload = words.value(Seven);
    let mut frames = Vec::new();
    for present in 0..8 {
        let (mut frame, mut members) = (Frame::default(), Vec::new());
        if present & 1 != 0 {
            frame = frame.with_id("1");
            members.push(("id", Text(b"1")));
        }
        if present & 2 != 0 {
            frame = frame.with_event("é");
            members.push(("event", Text("é".as_bytes())));
        }
        if present & 4 != 0 {
            let format = match words {
                Words::Protobuf => wspulse_core::PayloadFormat::Json,
                Words::Json | Words::MessagePack | Words::Cbor => words.codec().payload_format(),
            };
            frame = frame.with_payload(payload.clone()).with_format(format);
            members.push(("payload", Seven));
        }
        frames.push((frame, members));
    }
    frames
}

pub(super) const KINDS: [MessageKind; 2] = [MessageKind::Text, MessageKind::Binary];
