//! The messages of `wspulse.1`, and the offers of its handshake.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else there is fails the target")]

use serde_json::Value;
use wspulse_core::protocol::{COUNT_MAX, Control, ResumeOffer, SessionKind};

/// Reads the bytes as a control message, and as an offer to resume. What is read must be what a
/// plain JSON reader finds, and come out the same when it is written and read once more.
///
/// # Panics
///
/// If the library has a fault.
pub fn control(bytes: &[u8]) {
    // The decoder lets no other text through (RFC 6455 §8.1).
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(control) = Control::parse(bytes) {
        // What is ignored may hold a number that the plain reader has no room for.
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
        assert_agrees(&control, &value);
        if let Some(written) = control.to_text() {
            assert_eq!(Control::parse(written.as_bytes()).expect("our own"), control);
        }
    } else if let Ok(Value::Array(array)) = serde_json::from_slice(bytes) {
        let is_known = matches!(&array[..], [Value::String(name), ..] if name == "ask");
        assert!(!is_known, "a question is one, whatever follows");
    }
    if let Ok(offer) = text.parse::<ResumeOffer>() {
        assert_eq!(offer.to_string(), text);
        assert!(offer.count <= COUNT_MAX && !offer.token.is_empty());
    }
}

fn assert_agrees(control: &Control, value: &Value) {
    match control {
        Control::Ask => assert_eq!(value[0], "ask"),
        Control::Ack(count) => {
            assert_eq!((value[0].as_str(), value[1].as_u64()), (Some("ack"), Some(*count)));
            assert!(*count <= COUNT_MAX);
        }
        Control::Hello(hello) => {
            let kind = match hello.session {
                SessionKind::New => "new",
                SessionKind::Resumed => "resumed",
            };
            // Of members that come twice, the two readers need not take the same.
            assert_eq!(value[0], "hello");
            assert_eq!(value[1]["session"], kind);
            assert!(hello.handled <= hello.received && !hello.token.is_empty());
        }
        other => {
            assert_eq!(*other, Control::Unknown);
            assert!(value[0].is_string());
        }
    }
}
