//! What decoding copies: nothing of an owned message, a lent one once.

use bytes::Bytes;
use wspulse_core::codec::{Codec, InboundMessage, JsonCodec};
use wspulse_core::{Frame, MessageKind};

const MESSAGE: &str = r#" {"payload": [1, 2], "id":"abc", "event":"x.y"} "#;

/// Where the members start and end, relative to `base`.
fn places(frame: &Frame, base: *const u8) -> [usize; 3] {
    [frame.id().as_ptr(), frame.event().as_ptr(), frame.payload().as_ptr()]
        .map(|start| start.addr().wrapping_sub(base.addr()))
}

fn expected_places() -> [usize; 3] {
    ["abc", "x.y", "[1, 2]"].map(|part| MESSAGE.find(part).unwrap())
}

#[test]
fn an_owned_message_is_not_copied() {
    let message = Bytes::from(MESSAGE.to_owned());
    let frame =
        JsonCodec.decode(InboundMessage::owned(MessageKind::Text, message.clone())).unwrap();
    assert_eq!(places(&frame, message.as_ptr()), expected_places());
}

#[test]
fn a_lent_message_is_copied_once_for_all_members() {
    let frame =
        JsonCodec.decode(InboundMessage::lent(MessageKind::Text, MESSAGE.as_bytes())).unwrap();
    let [id, event, payload] = places(&frame, frame.payload().as_ptr());
    let [expected_id, expected_event, expected_payload] = expected_places();
    assert_eq!(id.wrapping_sub(payload), expected_id - expected_payload);
    assert_eq!(event.wrapping_sub(payload), expected_event - expected_payload);
    assert!(!MESSAGE.as_bytes().as_ptr_range().contains(&frame.payload().as_ptr()));
}

#[test]
fn only_an_escaped_string_is_copied_out_of_an_owned_message() {
    let message = Bytes::from_static(br#"{"id":"a\nb","event":"plain","payload":"\n"}"#);
    let frame =
        JsonCodec.decode(InboundMessage::owned(MessageKind::Text, message.clone())).unwrap();
    let within = message.as_ptr_range();
    assert_eq!(frame.id(), "a\nb");
    assert!(!within.contains(&frame.id().as_ptr()));
    assert!(within.contains(&frame.event().as_ptr()));
    assert!(within.contains(&frame.payload().as_ptr()));
}
