//! The Protobuf codec beside its schema, as a compiler of schemas reads it, and prost's messages.

use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value};
use wspulse_core::codec::{Codec, DecodeError, InboundMessage, ProtobufCodec, ProtobufError};
use wspulse_core::{Frame, MessageKind, PayloadFormat};

/// `wspulse.v1.Frame`.
fn schema() -> MessageDescriptor {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let files = protox::compile(["wspulse/v1/frame.proto"], [folder]).expect("a schema");
    let pool = DescriptorPool::from_file_descriptor_set(files).expect("a schema");
    pool.get_message_by_name("wspulse.v1.Frame").expect("it is there")
}

fn decode(message: &[u8]) -> Frame {
    ProtobufCodec.decode(InboundMessage::lent(MessageKind::Binary, message)).unwrap()
}

fn refuses(message: &[u8]) -> DecodeError {
    ProtobufCodec.decode(InboundMessage::lent(MessageKind::Binary, message)).expect_err("no frame")
}

fn cause(error: &DecodeError) -> &ProtobufError {
    error.get_ref().downcast_ref().expect("its own error")
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

#[test]
fn the_schema_has_the_fields_that_the_codec_knows() {
    let fields: Vec<_> = schema()
        .fields()
        .map(|field| (field.number(), field.name().to_owned(), field.kind() == Kind::Bytes))
        .collect();
    let fields: Vec<_> =
        fields.iter().map(|(number, name, bytes)| (*number, &**name, *bytes)).collect();
    assert_eq!(
        fields,
        [
            (1, "id", false),
            (2, "event", false),
            (3, "data", true),
            (4, "json", false),
            (5, "room", false)
        ]
    );
    let payload: Vec<_> = schema().oneofs().collect();
    assert_eq!(payload.len(), 1);
    let members: Vec<_> = payload[0].fields().map(|field| field.number()).collect();
    assert_eq!((payload[0].name(), members), ("payload", vec![3, 4]));
}

#[test]
fn what_the_codec_writes_is_read_by_the_schema() {
    let schema = schema();
    let cases = [
        (Frame::default(), None),
        (Frame::new("e").with_id("7").json(&[1, 2]).unwrap(), Some(("json", text("[1,2]")))),
        (
            Frame::new("é").with_id("").with_payload(&b"\0\xff"[..]),
            Some(("data", Value::Bytes(b"\0\xff"[..].into()))),
        ),
        // Longer than a length of one byte can say.
        (
            Frame::new("e").json(&"x".repeat(300)).unwrap(),
            Some(("json", text(&format!("{:?}", "x".repeat(300))))),
        ),
    ];
    for (frame, payload) in cases {
        let mut bytes = Vec::new();
        ProtobufCodec.encode_in_room(&frame, "attic", &mut bytes).unwrap();
        let message = DynamicMessage::decode(schema.clone(), &bytes[..]).unwrap();
        let read = |name| message.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
        assert_eq!((&*read("id"), &*read("event")), (frame.id(), frame.event()));
        assert_eq!(read("room"), "attic");
        for name in ["data", "json"] {
            let wanted = payload.as_ref().filter(|(field, _)| *field == name);
            assert_eq!(message.has_field_by_name(name), wanted.is_some());
            if let Some((_, value)) = wanted {
                assert_eq!(&*message.get_field_by_name(name).unwrap(), value);
            }
        }
        assert_eq!(message.unknown_fields().count(), 0);
    }
}

#[test]
fn what_the_schema_writes_is_read_by_the_codec() {
    let mut message = DynamicMessage::new(schema());
    for (name, value) in [("id", "7"), ("event", "é"), ("json", "{\"a\": 1}"), ("room", "attic")] {
        message.set_field_by_name(name, text(value));
    }
    let frame = decode(&message.encode_to_vec());
    assert_eq!((frame.id(), frame.event()), ("7", "é"));
    assert_eq!((&frame.payload()[..], frame.format()), (&b"{\"a\": 1}"[..], PayloadFormat::Json));
    message.set_field_by_name("data", Value::Bytes(b"\xff"[..].into()));
    let frame = decode(&message.encode_to_vec());
    assert_eq!((&frame.payload()[..], frame.format()), (&b"\xff"[..], PayloadFormat::Bytes));
}

#[test]
fn a_message_of_the_applications_own_goes_there_and_back() {
    let mut message = Vec::new();
    let frame = Frame::new("greeting").protobuf(&String::from("hello"));
    ProtobufCodec.encode(&frame, &mut message).unwrap();
    assert_eq!(decode(&message).to_protobuf::<String>().unwrap(), "hello");
    assert_eq!(Frame::new("e").to_protobuf::<String>().unwrap(), "");
    assert!(Frame::new("e").with_payload(&b"\x0a\x05a"[..]).to_protobuf::<String>().is_err());
    assert!(Frame::new("e").json(&"hello").unwrap().to_protobuf::<String>().is_err());
}

#[test]
fn both_fields_of_the_payload_at_once_are_refused() {
    for message in [&b"\x1a\x01a\x22\x011"[..], b"\x22\x011\x1a\x01a", b"\x1a\x00\x1a\x00"] {
        let error = refuses(message);
        assert!(
            matches!(cause(&error), ProtobufError::RepeatedMember { member: "payload" }),
            "{error}"
        );
    }
}

#[test]
fn a_payload_that_is_said_to_be_json_must_be() {
    for json in ["", " ", "{", "1 2", "nul", "\"\u{1}\""] {
        let mut message = vec![0x22, u8::try_from(json.len()).unwrap()];
        message.extend(json.as_bytes());
        let lent = InboundMessage::lent(MessageKind::Binary, &message);
        let error = ProtobufCodec.decode(lent).unwrap_err();
        let error = error.get_ref().downcast_ref::<ProtobufError>();
        assert!(matches!(error, Some(ProtobufError::NotJson(_))), "{json:?}");
    }
}

#[test]
fn unknown_fields_of_each_wire_type_are_passed_and_groups_are_refused() {
    let id = b"\x0a\x011";
    for field in [&b"\x78\xff\x01"[..], b"\x79\0\0\0\0\0\0\0\0", b"\x7a\x02ab", b"\x7d\0\0\0\0"] {
        assert_eq!(decode(&[field, id].concat()), Frame::default().with_id("1"));
    }
    for head in [0x7b, 0x7c, 0x7e, 0x7f, 0x02] {
        let error = refuses(&[&id[..], &[head, 0]].concat());
        assert!(matches!(cause(&error), ProtobufError::Malformed { at: 3 }), "{head:x} {error}");
    }
    // The number of a field has 29 bits.
    let error = refuses(b"\x82\x80\x80\x80\x10\x00");
    assert!(matches!(cause(&error), ProtobufError::Malformed { at: 0 }), "{error}");
    // A varint has ten bytes.
    let error = refuses(&[0xff; 11]);
    assert!(matches!(cause(&error), ProtobufError::Malformed { at: 0 }), "{error}");
}

#[test]
fn a_known_field_of_another_wire_type_is_refused() {
    for (head, member) in [(0x08, "id"), (0x10, "event"), (0x18, "payload"), (0x20, "payload")] {
        let error = refuses(&[head, 1]);
        assert!(
            matches!(cause(&error), ProtobufError::WrongType { member: told } if *told == member)
        );
    }
}

proptest! {
    #[test]
    fn the_codec_and_the_schema_agree_on_random_frames(id in ".*", event in ".*", payload: Vec<u8>) {
        let mut message = DynamicMessage::new(schema());
        message.set_field_by_name("id", text(&id));
        message.set_field_by_name("event", text(&event));
        if !payload.is_empty() {
            message.set_field_by_name("data", Value::Bytes(payload.clone().into()));
        }
        let frame = Frame::new(event).with_id(id).with_payload(payload);
        let mut bytes = Vec::new();
        ProtobufCodec.encode(&frame, &mut bytes).unwrap();
        prop_assert_eq!(&bytes, &message.encode_to_vec());
        prop_assert_eq!(decode(&bytes), frame);
    }
}
