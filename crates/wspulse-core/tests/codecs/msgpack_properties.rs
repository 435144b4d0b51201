//! The MessagePack codec against random frames and random bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use wspulse_core::codec::{Codec, InboundMessage, MessagePackCodec};
use wspulse_core::{Frame, MessageKind};

fn decode(message: &[u8]) -> Option<Frame> {
    let message = InboundMessage::lent(MessageKind::Binary, message);
    MessagePackCodec.decode(message).ok()
}

fn encode(frame: &Frame) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    MessagePackCodec.encode(frame, &mut message).ok()?;
    Some(message)
}

fn unicode() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..40).prop_map(String::from_iter)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        unicode().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            vec((unicode(), inner), 0..20)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    (unicode(), unicode(), value())
        .prop_map(|(id, event, value)| Frame::new(event).with_id(id).msgpack(&value).unwrap())
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(frame in frame()) {
        let message = encode(&frame).unwrap();
        prop_assert_eq!(decode(&message), Some(frame));
    }

    #[test]
    fn a_message_cut_short_or_continued_is_refused(
        frame in frame(), cut in any::<prop::sample::Index>(), more in any::<u8>(),
    ) {
        let mut message = encode(&frame).unwrap();
        prop_assert_eq!(decode(&message[..cut.index(message.len())]), None);
        message.push(more);
        prop_assert_eq!(decode(&message), None);
    }

    #[test]
    fn decoding_arbitrary_bytes_never_panics(message in vec(any::<u8>(), 0..200)) {
        let _ = decode(&message);
    }

    #[test]
    fn arbitrary_entries_are_decoded_to_what_encodes_again(
        entries in vec(any::<u8>(), 0..60), count in 0x80..0x84_u8, start in 0..4_usize,
    ) {
        let start = [&b""[..], b"\xa2id", b"\xa5event", b"\xa7payload"][start];
        if let Some(frame) = decode(&[&[count], start, &entries].concat()) {
            let again = encode(&frame).and_then(|message| decode(&message));
            prop_assert_eq!(again, Some(frame));
        }
    }
}
