//! Payloads that come in one format and go out in another.

use proptest::prelude::*;
use serde_json::{Value, json};
use wspulse_core::{Frame, PayloadFormat};

use super::messages::{ALL, Words};

/// A value as those send it who have this codec.
fn sent(words: Words, value: &Value) -> Frame {
    let frame = Frame::new("e").with_id("1");
    match words {
        Words::Json | Words::Protobuf => frame.json(value),
        Words::MessagePack => frame.msgpack(value),
        Words::Cbor => frame.cbor(value),
    }
    .unwrap()
}

fn received(words: Words, value: &Value) -> Frame {
    words.told(&sent(words, value)).unwrap()
}

fn msgpack(payload: &[u8]) -> Frame {
    Frame::default().with_payload(payload.to_vec()).with_format(PayloadFormat::MessagePack)
}

fn cbor(payload: &[u8]) -> Frame {
    Frame::default().with_payload(payload.to_vec()).with_format(PayloadFormat::Cbor)
}

fn bytes(payload: &[u8]) -> Frame {
    Frame::default().with_payload(payload.to_vec()).with_format(PayloadFormat::Bytes)
}

fn refused(words: Words, frame: &Frame) {
    let told = words.try_encode(frame).expect_err("no form in this format");
    assert!(told.contains("cannot be written as") || told.contains("neither"), "{words:?}: {told}");
}

fn common() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!("grüß\n"),
        json!([]),
        json!([1, [2, null]]),
        json!({}),
        json!({"b": 1, "a": {"c": [], "": null}}),
        json!((0..100).collect::<Vec<_>>()),
    ]
}

#[test]
fn what_all_formats_have_goes_from_each_to_each() {
    for value in common() {
        for from in ALL {
            for to in ALL {
                let frame = to.told(&received(from, &value)).unwrap();
                assert_eq!((frame.id(), frame.event()), ("1", "e"));
                assert_eq!(frame.to_json::<Value>().unwrap(), value, "{from:?} to {to:?}");
            }
        }
    }
}

#[test]
fn objects_keep_their_order() {
    let object = br#"{"z":1,"a":2,"m":3}"#;
    for through in ALL {
        let frame = Frame::default().with_payload(&object[..]).with_format(PayloadFormat::Json);
        let frame = through.told(&frame).unwrap();
        assert_eq!(Words::Json.told(&frame).unwrap().payload(), &object[..], "{through:?}");
    }
}

#[test]
fn an_absent_payload_stays_absent() {
    for format in
        [PayloadFormat::Json, PayloadFormat::MessagePack, PayloadFormat::Cbor, PayloadFormat::Bytes]
    {
        for words in ALL {
            let frame = words.told(&Frame::new("e").with_format(format)).unwrap();
            assert_eq!(frame, Frame::new("e"), "{words:?}");
        }
    }
}

#[test]
fn binary_data_goes_to_all_but_json() {
    let data = b"\x00\xff";
    for frame in [bytes(data), msgpack(b"\xc4\x02\x00\xff"), cbor(b"\x42\x00\xff")] {
        let told = Words::MessagePack.told(&frame).unwrap();
        assert_eq!(told.payload(), &b"\xc4\x02\x00\xff"[..]);
        assert_eq!(Words::Cbor.told(&frame).unwrap().payload(), &b"\x42\x00\xff"[..]);
        let told = Words::Protobuf.told(&frame).unwrap();
        assert_eq!((&told.payload()[..], told.format()), (&data[..], PayloadFormat::Bytes));
        refused(Words::Json, &frame);
    }
}

#[test]
fn binary_data_within_a_value_goes_to_messagepack_and_cbor_alone() {
    for frame in [msgpack(b"\x91\xc4\x01\xff"), cbor(b"\x81\x41\xff")] {
        assert_eq!(Words::MessagePack.told(&frame).unwrap().payload(), &b"\x91\xc4\x01\xff"[..]);
        assert_eq!(Words::Cbor.told(&frame).unwrap().payload(), &b"\x81\x41\xff"[..]);
        refused(Words::Json, &frame);
        refused(Words::Protobuf, &frame);
    }
}

#[test]
fn numbers_that_are_not_finite_go_to_messagepack_and_cbor_alone() {
    let nan = [msgpack(b"\xcb\x7f\xf8\0\0\0\0\0\0"), cbor(b"\xfb\x7f\xf8\0\0\0\0\0\0")];
    let infinite = [msgpack(b"\xca\xff\x80\0\0"), cbor(b"\xf9\xfc\0")];
    for frame in nan.iter().chain(&infinite) {
        for words in [Words::MessagePack, Words::Cbor] {
            let number = words.told(frame).unwrap().to_cbor::<f64>().unwrap();
            assert!(!number.is_finite(), "{words:?}");
        }
        refused(Words::Json, frame);
        refused(Words::Protobuf, frame);
    }
}

#[test]
fn keys_that_are_no_strings_go_to_messagepack_and_cbor_alone() {
    for frame in [msgpack(b"\x82\x01\xc3\x91\x02\xc0"), cbor(b"\xa2\x01\xf5\x81\x02\xf6")] {
        let told = Words::MessagePack.told(&frame).unwrap();
        assert_eq!(told.payload(), &b"\x82\x01\xc3\x91\x02\xc0"[..]);
        assert_eq!(Words::Cbor.told(&frame).unwrap().payload(), &b"\xa2\x01\xf5\x81\x02\xf6"[..]);
        refused(Words::Json, &frame);
        refused(Words::Protobuf, &frame);
    }
}

#[test]
fn what_one_format_has_alone_is_refused_by_all_others() {
    let extension = msgpack(b"\xd4\x01\x00");
    for words in [Words::Json, Words::Cbor, Words::Protobuf] {
        refused(words, &extension);
    }
    let tag = b"\xc0\x61\x31";
    let big = b"\xc2\x49\x01\0\0\0\0\0\0\0\0";
    let negative = b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff";
    let simple = b"\xf8\x20";
    for value in [&tag[..], big, negative, simple] {
        for words in [Words::Json, Words::MessagePack, Words::Protobuf] {
            refused(words, &cbor(value));
        }
    }
    let surrogate = Frame::default().with_payload(r#""\ud800""#).with_format(PayloadFormat::Json);
    let large = Frame::default().with_payload("1e400").with_format(PayloadFormat::Json);
    for words in [Words::MessagePack, Words::Cbor] {
        refused(words, &surrogate);
        refused(words, &large);
    }
}

#[test]
fn undefined_is_null_elsewhere() {
    for words in [Words::Json, Words::MessagePack, Words::Protobuf] {
        let told = words.told(&cbor(b"\x81\xf7")).unwrap();
        assert_eq!(told.to_json::<Value>().unwrap(), json!([null]), "{words:?}");
    }
}

#[test]
fn a_value_of_indefinite_length_has_its_length_in_front_elsewhere() {
    let frame = cbor(b"\xbf\x7f\x61a\x61b\xff\x9f\x5f\x41\x01\x41\x02\xff\x00\xff\xff");
    let told = Words::MessagePack.told(&frame).unwrap();
    assert_eq!(told.payload(), &b"\x81\xa2ab\x92\xc4\x02\x01\x02\x00"[..]);
    let object = Frame::default().with_payload(r#"{"a":[1]}"#).with_format(PayloadFormat::Json);
    assert_eq!(Words::Cbor.told(&object).unwrap().payload(), &b"\xa1\x61a\x81\x01"[..]);
}

#[test]
fn a_payload_nests_127_deep_in_another_format_and_no_deeper() {
    let nested = |levels: usize| {
        let json = "[".repeat(levels) + &"]".repeat(levels);
        let with_inner = |outer: u8, inner: u8| [vec![outer; levels - 1], vec![inner]].concat();
        let json = Frame::default().with_payload(json).with_format(PayloadFormat::Json);
        [json, msgpack(&with_inner(0x91, 0x90)), cbor(&with_inner(0x81, 0x80))]
    };
    let own = |words: Words, frame: &Frame| match words {
        Words::Protobuf => frame.format() == PayloadFormat::Json,
        Words::Json | Words::MessagePack | Words::Cbor => {
            frame.format() == words.codec().payload_format()
        }
    };
    for words in ALL {
        for frame in nested(127) {
            words.encode(&frame);
        }
        for frame in nested(128).iter().chain(&nested(9_999)) {
            if !own(words, frame) {
                refused(words, frame);
            }
        }
    }
}

#[test]
fn what_is_said_to_be_of_a_format_and_is_not_is_refused() {
    for frame in
        [msgpack(b"\xc1"), msgpack(b"\x92\x01"), msgpack(b"\x01\x02"), msgpack(b"\xc4\x05a")]
    {
        for words in [Words::Json, Words::Cbor, Words::Protobuf] {
            refused(words, &frame);
        }
    }
    for frame in [cbor(b"\xff"), cbor(b"\x82\x01"), cbor(b"\x01\x02"), cbor(b"\x45a")] {
        for words in [Words::Json, Words::MessagePack, Words::Protobuf] {
            refused(words, &frame);
        }
    }
}

#[test]
fn a_payload_is_read_in_the_format_that_it_is_known_to_be_in() {
    for words in ALL {
        let frame = received(words, &json!([1, 2]));
        assert_eq!(frame.to_json::<Vec<u8>>().unwrap(), [1, 2]);
        assert_eq!(frame.to_msgpack::<Vec<u8>>().unwrap(), [1, 2]);
        assert_eq!(frame.to_cbor::<Vec<u8>>().unwrap(), [1, 2]);
        assert!(frame.to_protobuf::<String>().is_err());
    }
    for frame in [bytes(b"\x0a\x01a"), msgpack(b"\xc4\x03\x0a\x01a"), cbor(b"\x43\x0a\x01a")] {
        assert_eq!(frame.to_protobuf::<String>().unwrap(), "a");
        assert!(frame.to_json::<Value>().is_err(), "{frame:?}");
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

proptest! {
    #[test]
    fn by_way_of_all_formats_a_value_is_the_same(value in values(), order in any::<u16>()) {
        let mut frame = sent(ALL[usize::from(order % 4)], &value);
        for step in 0..8 {
            frame = ALL[usize::from(order >> (2 * step) & 3)].told(&frame).unwrap();
        }
        prop_assert_eq!(frame.to_json::<Value>().unwrap(), value);
    }

    #[test]
    fn whatever_is_said_to_be_of_a_format_is_written_in_another_or_refused(payload: Vec<u8>) {
        for frame in [msgpack(&payload), cbor(&payload), bytes(&payload)] {
            for words in ALL {
                let _ = words.told(&frame);
            }
        }
    }
}
