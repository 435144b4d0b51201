//! Payloads that come in the format of one codec and go out in that of the other.

use proptest::prelude::*;
use serde_json::Value;
use wspulse_core::codec::{
    Codec, InboundMessage, JsonCodec, JsonError, MessagePackCodec, MessagePackError,
};
use wspulse_core::{Frame, MessageKind, PayloadFormat};

fn json(payload: &str) -> Frame {
    Frame::default().with_payload(payload.to_owned()).with_format(PayloadFormat::Json)
}

fn msgpack(payload: &[u8]) -> Frame {
    Frame::default().with_payload(payload.to_vec()).with_format(PayloadFormat::MessagePack)
}

fn encode(codec: &dyn Codec, frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    codec.encode(frame, &mut out).unwrap();
    out
}

/// The payload as another codec writes it and the same one reads it.
fn through(codec: &dyn Codec, frame: &Frame) -> Frame {
    let message = encode(codec, frame);
    codec.decode(InboundMessage::lent(codec.kind(frame), &message)).unwrap()
}

const BOTH: [(&str, &[u8]); 15] = [
    ("null", b"\xc0"),
    ("true", b"\xc3"),
    ("7", b"\x07"),
    ("-1", b"\xff"),
    ("300", b"\xcd\x01\x2c"),
    ("18446744073709551615", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
    ("-9223372036854775808", b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00"),
    ("1.5", b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"),
    (r#""""#, b"\xa0"),
    (r#""grüß\n""#, b"\xa7gr\xc3\xbc\xc3\x9f\n"),
    ("[]", b"\x90"),
    ("[1,[2,null]]", b"\x92\x01\x92\x02\xc0"),
    ("{}", b"\x80"),
    (r#"{"b":1,"a":{"c":[]}}"#, b"\x82\xa1b\x01\xa1a\x81\xa1c\x90"),
    ("[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", b"\xdc\x00\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
];

#[test]
fn a_payload_in_json_is_written_as_messagepack() {
    for (text, bytes) in BOTH {
        assert_eq!(through(&MessagePackCodec, &json(text)).payload(), bytes, "{text}");
    }
}

#[test]
fn a_payload_in_messagepack_is_written_as_json() {
    for (text, bytes) in BOTH {
        assert_eq!(through(&JsonCodec, &msgpack(bytes)).payload(), text, "{text}");
    }
}

#[test]
fn id_and_event_stay_as_they_are() {
    let frame = json("1").with_id("7").with_event("move");
    assert_eq!(
        encode(&MessagePackCodec, &frame),
        b"\x83\xa2id\xa17\xa5event\xa4move\xa7payload\x01"
    );
    let frame = msgpack(b"\x01").with_id("7").with_event("move");
    assert_eq!(encode(&JsonCodec, &frame), br#"{"id":"7","event":"move","payload":1}"#);
}

#[test]
fn an_absent_payload_stays_absent_whatever_its_format() {
    assert_eq!(encode(&MessagePackCodec, &json("")), b"\x80");
    assert_eq!(encode(&JsonCodec, &msgpack(b"")), b"{}");
}

#[test]
fn what_a_codec_decodes_is_known_to_be_in_its_format() {
    assert_eq!(through(&JsonCodec, &json("1")).format(), PayloadFormat::Json);
    assert_eq!(through(&MessagePackCodec, &json("1")).format(), PayloadFormat::MessagePack);
}

#[test]
fn a_value_that_is_set_is_known_to_be_in_its_format_and_bytes_are_not() {
    let frame = Frame::new("n").json(&7).unwrap();
    assert_eq!(frame.format(), PayloadFormat::Json);
    let frame = frame.msgpack(&7).unwrap();
    assert_eq!(frame.format(), PayloadFormat::MessagePack);
    assert_eq!(frame.with_payload("7").format(), PayloadFormat::Unknown);
}

#[test]
fn frames_with_the_same_bytes_are_equal_whatever_is_known_of_them() {
    assert_eq!(json("7"), json("7").with_format(PayloadFormat::Unknown));
    assert_ne!(json("7"), json("8"));
}

#[test]
fn bytes_of_an_unknown_format_are_taken_for_the_codecs_own() {
    let frame = Frame::default().with_payload("7");
    assert_eq!(encode(&JsonCodec, &frame), br#"{"payload":7}"#);
    assert_eq!(encode(&MessagePackCodec, &frame), b"\x81\xa7payload7");
}

#[test]
fn a_payload_is_read_in_the_format_that_it_is_known_to_be_in() {
    assert_eq!(json("[1,2]").to_msgpack::<Vec<u8>>().unwrap(), [1, 2]);
    assert_eq!(msgpack(b"\x92\x01\x02").to_json::<Vec<u8>>().unwrap(), [1, 2]);
    let unknown = Frame::default().with_payload("[1,2]");
    assert_eq!(unknown.to_json::<Vec<u8>>().unwrap(), [1, 2]);
    assert!(unknown.to_msgpack::<Vec<u8>>().is_err());
}

/// Why the payload cannot be written as JSON.
fn json_refuses(payload: &[u8]) -> String {
    let error = JsonCodec.encode(&msgpack(payload), &mut Vec::new()).unwrap_err();
    match error.get_ref().downcast_ref() {
        Some(JsonError::Untranslatable(cause)) => cause.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messagepack_that_json_has_no_form_for_is_refused() {
    let untranslatable: [&[u8]; 8] = [
        b"\xc4\x01\x00",
        b"\xd4\x01\x00",
        b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
        b"\xca\x7f\x80\x00\x00",
        b"\x81\x01\x01",
        b"\x81\xc0\x01",
        b"\x81\xc4\x01a\x01",
        b"\xa1\xff",
    ];
    for payload in untranslatable {
        let cause = json_refuses(payload);
        assert!(!cause.is_empty(), "{payload:x?}");
        let nested = [b"\x92\x01", payload].concat();
        json_refuses(&nested);
    }
}

#[test]
fn what_is_said_to_be_messagepack_and_is_not_is_refused() {
    for payload in [&b"\xc1"[..], b"\x92\x01", b"\x01\x02"] {
        json_refuses(payload);
    }
}

/// Why the payload cannot be written as MessagePack.
fn msgpack_refuses(payload: &str) -> String {
    let error = MessagePackCodec.encode(&json(payload), &mut Vec::new()).unwrap_err();
    match error.get_ref().downcast_ref() {
        Some(MessagePackError::Untranslatable { cause }) => cause.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_that_messagepack_has_no_form_for_is_refused() {
    for payload in [r#""\ud800""#, "1e400"] {
        assert!(!msgpack_refuses(payload).is_empty());
    }
}

#[test]
fn what_is_said_to_be_json_and_is_not_is_refused() {
    for payload in ["{", "1 2", " ", "nul", "\"\u{1}\""] {
        msgpack_refuses(payload);
    }
}

#[test]
fn a_payload_that_nests_up_to_127_deep_is_written_in_the_other_format() {
    let text = "[".repeat(127) + &"]".repeat(127);
    let mut bytes = vec![0x91; 126];
    bytes.push(0x90);
    assert_eq!(through(&MessagePackCodec, &json(&text)).payload(), &bytes);
    assert_eq!(through(&JsonCodec, &msgpack(&bytes)).payload(), &text);
}

#[test]
fn a_payload_that_nests_deeper_is_refused() {
    for depth in [128, 9_999] {
        msgpack_refuses(&("[".repeat(depth) + &"]".repeat(depth)));
        let mut bytes = vec![0x91; depth - 1];
        bytes.push(0x90);
        json_refuses(&bytes);
    }
}

fn values() -> impl Strategy<Value = Value> {
    let scalars = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // The parser of JSON is exact for these, as it is not for each that there is.
        any::<i32>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
        ".*".prop_map(Value::from),
    ];
    scalars.prop_recursive(6, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::vec((".*", inner), 0..20)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

#[test]
fn a_payload_that_was_read_in_another_format_than_is_said_later_is_looked_at() {
    let frame = Frame::default().msgpack(&"[").unwrap();
    let mut message = Vec::new();
    MessagePackCodec.encode(&frame, &mut message).unwrap();
    let read =
        MessagePackCodec.decode(InboundMessage::lent(MessageKind::Binary, &message)).unwrap();
    let mistaken = read.with_format(PayloadFormat::Json);
    assert!(JsonCodec.encode(&mistaken, &mut Vec::new()).is_err());
}

proptest! {
    #[test]
    fn there_and_back_again_a_value_is_the_same(value in values()) {
        let there = through(&MessagePackCodec, &Frame::default().json(&value).unwrap());
        prop_assert_eq!(there.to_msgpack::<Value>().unwrap(), value.clone());
        let back = through(&JsonCodec, &there);
        prop_assert_eq!(back.to_json::<Value>().unwrap(), value);
    }

    #[test]
    fn whatever_is_said_to_be_messagepack_becomes_json_or_is_refused(bytes: Vec<u8>) {
        let mut out = Vec::new();
        if JsonCodec.encode(&msgpack(&bytes), &mut out).is_ok() {
            JsonCodec.decode(InboundMessage::lent(MessageKind::Text, &out)).unwrap();
        }
    }

    #[test]
    fn whatever_is_said_to_be_json_becomes_messagepack_or_is_refused(text: String) {
        let mut out = Vec::new();
        if MessagePackCodec.encode(&json(&text), &mut out).is_ok() {
            MessagePackCodec.decode(InboundMessage::lent(MessageKind::Binary, &out)).unwrap();
        }
    }
}
