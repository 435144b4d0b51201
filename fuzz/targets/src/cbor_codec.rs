//! The CBOR codec beside ciborium's values.

use std::io::Cursor;

use bytes::Bytes;
use ciborium::Value;
use wspulse_core::codec::{CborCodec, CborError, Codec, DecodeError, EncodeError, InboundMessage};
use wspulse_core::{Frame, MessageKind};

use crate::other_codecs::write_in_each;

/// Decodes a message, which must give what ciborium gives, encodes what came out of it, which must
/// decode to the same, writes it in the other formats, which must be those if it can be written, and
/// takes the message for a payload, which must be one value then.
///
/// # Panics
///
/// If the library has a fault.
pub fn cbor_codec(message: &[u8]) {
    let decoded = CborCodec.decode(InboundMessage::lent(MessageKind::Binary, message));
    let owned = InboundMessage::owned(MessageKind::Binary, Bytes::copy_from_slice(message));
    let owned = CborCodec.decode(owned);
    assert_eq!(owned.as_ref().ok(), decoded.as_ref().ok(), "whoever holds the message");

    compare(&decoded, message);
    match decoded {
        Ok(frame) => {
            let again = encoded(&frame).expect("what was decoded can be encoded");
            let again = CborCodec.decode(InboundMessage::lent(MessageKind::Binary, &again));
            assert_eq!(again.expect("what was encoded can be decoded"), frame);
            write_in_each(&frame);
        }
        // Whatever it finds, it must come back.
        Err(_) => drop(CborCodec.read_id(message)),
    }
    encode_as_payload(message);
}

/// An id, an event and the bytes of a payload.
type Members = (String, String, Option<Vec<u8>>);

fn compare(decoded: &Result<Frame, DecodeError>, message: &[u8]) {
    match value_in(message) {
        Reference::Value(value) => {
            let members = decoded.as_ref().ok().map(members_of);
            if !is_stricter(decoded.as_ref().err().map(DecodeError::get_ref)) {
                assert_eq!(members, reference(value));
            }
        }
        Reference::Continued => assert!(decoded.is_err(), "more than one value"),
        // It has no form for simple values, is strict about tags, and nests less deep.
        Reference::Unknown => {}
    }
}

type Cause = dyn std::error::Error + Send + Sync;

/// Whether RFC 8949 says that it is not well-formed, where ciborium does not look.
fn is_stricter(error: Option<&Cause>) -> bool {
    let error = error.and_then(|error| error.downcast_ref());
    matches!(error, Some(CborError::Malformed { .. } | CborError::NotUtf8 { .. }))
}

/// What ciborium reads in some bytes.
enum Reference {
    /// One value.
    Value(Value),
    /// A value, and more behind it.
    Continued,
    /// None, or none that it has a form for.
    Unknown,
}

fn value_in(message: &[u8]) -> Reference {
    let mut rest = Cursor::new(message);
    let Ok(value) = ciborium::from_reader(&mut rest) else {
        return Reference::Unknown;
    };
    if rest.position() == message.len() as u64 {
        Reference::Value(value)
    } else {
        Reference::Continued
    }
}

/// What the codec should read in a value; none if it should refuse.
fn reference(value: Value) -> Option<Members> {
    let Value::Map(entries) = value else {
        return None;
    };
    let mut found = [None, None, None];
    for (key, value) in entries {
        let Value::Text(key) = key else {
            continue;
        };
        for (slot, known) in found.iter_mut().zip(["id", "event", "payload"]) {
            if key == known && slot.replace(value.clone()).is_some() {
                return None;
            }
        }
    }
    let [id, event, payload] = found;
    Some((text(id)?, text(event)?, payload.as_ref().map(canonical)))
}

fn text(value: Option<Value>) -> Option<String> {
    match value {
        None | Some(Value::Null) => Some(String::new()),
        Some(Value::Text(text)) => Some(text),
        Some(_) => None,
    }
}

/// A value as ciborium writes it, which tells values apart that do not compare, such as NaN.
fn canonical(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("a vector takes everything");
    bytes
}

fn members_of(frame: &Frame) -> Members {
    let payload = &frame.payload()[..];
    let value = (!payload.is_empty()).then(|| match value_in(payload) {
        Reference::Value(value) => canonical(&value),
        Reference::Continued | Reference::Unknown => panic!("{payload:x?} is no value"),
    });
    (frame.id().to_owned(), frame.event().to_owned(), value)
}

fn encode_as_payload(payload: &[u8]) {
    let frame = Frame::new("event").with_payload(payload.to_vec());
    let message = match encoded(&frame) {
        Ok(message) => message,
        Err(error) => {
            let refused = !matches!(value_in(payload), Reference::Value(_));
            assert!(refused || is_stricter(Some(error.get_ref())), "{error}");
            return;
        }
    };
    let is_continued = matches!(value_in(payload), Reference::Continued);
    assert!(payload.is_empty() || !is_continued, "more than one value");
    let decoded = CborCodec.decode(InboundMessage::lent(MessageKind::Binary, &message));
    // A payload may nest as deep as a message, which has one more level around it.
    match decoded {
        Ok(decoded) => assert_eq!(decoded, frame),
        Err(error) => {
            let error = error.get_ref().downcast_ref();
            assert!(matches!(error, Some(CborError::TooDeep { .. })), "{error:?}");
        }
    }
}

fn encoded(frame: &Frame) -> Result<Vec<u8>, EncodeError> {
    let mut message = Vec::new();
    CborCodec.encode(frame, &mut message)?;
    Ok(message)
}
