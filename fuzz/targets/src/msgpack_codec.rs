//! The MessagePack codec beside rmpv's values.

use bytes::Bytes;
use rmpv::Value;
use rmpv::decode::{Error, read_value};
use wspulse_core::codec::{
    Codec, DecodeError, EncodeError, InboundMessage, MessagePackCodec, MessagePackError,
};
use wspulse_core::{Frame, MessageKind};

use crate::other_codecs::write_in_each;

/// Decodes a message, which must give what rmpv gives, encodes what came out of it, which must
/// decode to the same, writes it in the other formats, which must be those if it can be written, and
/// takes the message for a payload, which must be one value then.
///
/// # Panics
///
/// If the library has a fault.
pub fn msgpack_codec(message: &[u8]) {
    let decoded = MessagePackCodec.decode(InboundMessage::lent(MessageKind::Binary, message));
    let owned = InboundMessage::owned(MessageKind::Binary, Bytes::copy_from_slice(message));
    let owned = MessagePackCodec.decode(owned);
    assert_eq!(owned.as_ref().ok(), decoded.as_ref().ok(), "whoever holds the message");

    compare(&decoded, message);
    if let Ok(frame) = decoded {
        let again = encoded(&frame).expect("what was decoded can be encoded");
        let again = MessagePackCodec.decode(InboundMessage::lent(MessageKind::Binary, &again));
        assert_eq!(again.expect("what was encoded can be decoded"), frame);
        write_in_each(&frame);
    }
    encode_as_payload(message);
}

/// An id, an event and the bytes of a payload.
type Members = (String, String, Option<Vec<u8>>);

fn compare(decoded: &Result<Frame, DecodeError>, message: &[u8]) {
    if decoded.as_ref().is_err_and(|error| is_reserved(error.get_ref().downcast_ref())) {
        return;
    }
    let members = decoded.as_ref().ok().map(members_of);
    if let Ok(value) = value_in(message) {
        assert_eq!(members, value.and_then(reference));
    }
}

/// rmpv takes the byte that MessagePack never uses for `nil`.
fn is_reserved(error: Option<&MessagePackError>) -> bool {
    error == Some(&MessagePackError::Reserved)
}

/// rmpv has a limit of its own to how deep values may nest, far below the codec's.
struct DeeperThanTheReference;

/// The one value that makes up the message, if it is that.
fn value_in(message: &[u8]) -> Result<Option<Value>, DeeperThanTheReference> {
    let mut rest = message;
    match read_value(&mut rest) {
        Ok(value) => Ok(Some(value).filter(|_| rest.is_empty())),
        Err(Error::DepthLimitExceeded) => Err(DeeperThanTheReference),
        Err(Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_)) => Ok(None),
    }
}

/// What the codec should read in a value; none if it should refuse.
fn reference(value: Value) -> Option<Members> {
    let Value::Map(entries) = value else {
        return None;
    };
    let mut found = [None, None, None];
    for (key, value) in entries {
        let Value::String(key) = key else {
            continue;
        };
        for (slot, known) in found.iter_mut().zip(["id", "event", "payload"]) {
            if key.as_bytes() == known.as_bytes() && slot.replace(value.clone()).is_some() {
                return None;
            }
        }
    }
    let [id, event, payload] = found;
    Some((text(id)?, text(event)?, payload.as_ref().map(canonical)))
}

fn text(value: Option<Value>) -> Option<String> {
    match value {
        None | Some(Value::Nil) => Some(String::new()),
        Some(Value::String(text)) => text.into_str(),
        Some(_) => None,
    }
}

/// A value in its shortest form, which tells values apart that do not compare, such as NaN.
fn canonical(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("a vector takes everything");
    bytes
}

fn members_of(frame: &Frame) -> Members {
    let mut payload = &frame.payload()[..];
    let value = (!payload.is_empty()).then(|| {
        let value = read_value(&mut payload).expect("a MessagePack value");
        assert!(payload.is_empty(), "one value");
        canonical(&value)
    });
    (frame.id().to_owned(), frame.event().to_owned(), value)
}

fn encode_as_payload(payload: &[u8]) {
    let frame = Frame::new("event").with_payload(payload.to_vec());
    let message = match encoded(&frame) {
        Ok(message) => message,
        Err(error) => {
            let refused = matches!(value_in(payload), Ok(None) | Err(DeeperThanTheReference));
            assert!(refused || is_reserved(error.get_ref().downcast_ref()), "{error}");
            return;
        }
    };
    assert!(payload.is_empty() || !matches!(value_in(payload), Ok(None)), "no value");
    let decoded = MessagePackCodec.decode(InboundMessage::lent(MessageKind::Binary, &message));
    // A payload may nest as deep as a message, which has one more level around it.
    match decoded {
        Ok(decoded) => assert_eq!(decoded, frame),
        Err(error) => {
            let error = error.get_ref().downcast_ref();
            assert_eq!(error, Some(&MessagePackError::TooDeep));
        }
    }
}

fn encoded(frame: &Frame) -> Result<Vec<u8>, EncodeError> {
    let mut message = Vec::new();
    MessagePackCodec.encode(frame, &mut message)?;
    Ok(message)
}
