//! The JSON codec beside `serde_json`'s values.

use bytes::Bytes;
use serde_json::Value;
use wspulse_core::codec::{Codec, InboundMessage, JsonCodec};
use wspulse_core::{Frame, MessageKind};

use crate::json_reference::{beyond_the_reference, reference};
use crate::other_codecs::write_in_each;

/// Decodes a message, which must give what `serde_json` gives, encodes what came out of it, which
/// must decode to the same, writes it in the other formats, which must be those if it can be written,
/// and takes the message for a payload, which must be JSON then.
///
/// # Panics
///
/// If the library has a fault.
pub fn json_codec(message: &[u8]) {
    let frame = JsonCodec.decode(InboundMessage::lent(MessageKind::Text, message)).ok();
    let owned = InboundMessage::owned(MessageKind::Text, Bytes::copy_from_slice(message));
    assert_eq!(JsonCodec.decode(owned).ok(), frame, "whoever holds the message");

    if is_read_by_the_reference_as_its_own(message) {
        return;
    }
    match serde_json::from_slice(message) {
        Ok(members) => assert_eq!(frame.as_ref().map(members_of), reference(members)),
        Err(error) if beyond_the_reference(&error) => {}
        Err(error) => assert_eq!(frame, None, "{error}"),
    }
    if let Some(frame) = frame {
        let again = encoded(&frame).expect("what was decoded can be encoded");
        let again = JsonCodec.decode(InboundMessage::lent(MessageKind::Text, &again));
        assert_eq!(again.expect("what was encoded can be decoded"), frame);
        write_in_each(&frame);
    }
    encode_as_payload(message);
}

/// Under this name `serde_json` hides raw values in objects from its own types.
fn is_read_by_the_reference_as_its_own(message: &[u8]) -> bool {
    let name = b"serde_json::private::RawValue";
    message.windows(name.len()).any(|window| window == name)
}

fn members_of(frame: &Frame) -> (String, String, Option<Value>) {
    let payload = Some(frame.payload()).filter(|payload| !payload.is_empty());
    let payload = payload.map(|payload| serde_json::from_slice(payload).expect("a JSON value"));
    (frame.id().to_owned(), frame.event().to_owned(), payload)
}

fn encode_as_payload(payload: &[u8]) {
    let frame = Frame::new("event").with_payload(payload.to_vec());
    let message = encoded(&frame);
    if payload.is_empty() {
        assert_eq!(message.as_deref(), Some(&br#"{"event":"event"}"#[..]));
        return;
    }
    match serde_json::from_slice::<Value>(payload) {
        Ok(_) => {}
        Err(error) if beyond_the_reference(&error) => return,
        Err(error) => return assert_eq!(message, None, "{error}"),
    }
    let message = message.expect("a JSON value can be a payload");
    let decoded = JsonCodec.decode(InboundMessage::lent(MessageKind::Text, &message));
    let decoded = decoded.expect("what was encoded can be decoded");
    // Whitespace around a value is not the value's.
    assert_eq!(decoded.payload(), payload.trim_ascii());
}

fn encoded(frame: &Frame) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    JsonCodec.encode(frame, &mut message).ok()?;
    Some(message)
}
