//! The JSON codec against random frames, random bytes and a second decoder.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use wspulse_core::codec::{Codec, InboundMessage, JsonCodec};
use wspulse_core::{Frame, MessageKind};

use crate::json_reference::{Members, beyond_the_reference, reference};

fn decode(message: &[u8]) -> Option<Frame> {
    let message = InboundMessage::lent(MessageKind::Binary, message);
    JsonCodec.decode(message).ok()
}

fn unicode() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(String::from_iter)
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
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((unicode(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An object with the names that matter, some of them twice or misspelt, as text.
fn object() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        6 => Just(r#""id""#),
        6 => Just(r#""event""#),
        6 => Just(r#""payload""#),
        1 => Just(r#""\u0069d""#),
        1 => Just(r#""Event""#),
        1 => Just(r#""other""#),
    ];
    let string = unicode().prop_map(Value::from);
    let member = (name, prop_oneof![3 => string, 2 => value()]);
    vec(member, 0..4).prop_map(|members| {
        let members: Vec<String> =
            members.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{{{}}}", members.join(", "))
    })
}

/// What to do to one byte of a message.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(u8),
    Insert(u8),
    Remove,
    Truncate,
}

fn mutation() -> impl Strategy<Value = (prop::sample::Index, Mutation)> {
    let byte = prop_oneof![
        8 => prop::sample::select(&b"{}[]\",:\\ \n0-.eEuntfd"[..]),
        1 => any::<u8>(),
    ];
    let mutation = prop_oneof![
        4 => byte.clone().prop_map(Mutation::Replace),
        4 => byte.prop_map(Mutation::Insert),
        4 => Just(Mutation::Remove),
        1 => Just(Mutation::Truncate),
    ];
    (any::<prop::sample::Index>(), mutation)
}

fn mutate(message: &mut Vec<u8>, at: prop::sample::Index, mutation: &Mutation) {
    if message.is_empty() {
        return;
    }
    let at = at.index(message.len());
    match mutation {
        Mutation::Replace(byte) => message[at] = *byte,
        Mutation::Insert(byte) => message.insert(at, *byte),
        Mutation::Remove => drop(message.remove(at)),
        Mutation::Truncate => message.truncate(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn decoding_undoes_encoding(id in unicode(), event in unicode(), payload in value()) {
        let frame = Frame::new(event).with_id(id).with_payload(payload.to_string());
        let mut message = Vec::new();
        JsonCodec.encode(&frame, &mut message).unwrap();
        prop_assert_eq!(decode(&message), Some(frame));
    }

    #[test]
    fn what_is_encoded_says_the_same_to_another_parser(
        id in unicode(), event in unicode(), payload in value(),
    ) {
        let frame = Frame::new(event.clone()).with_id(id.clone()).with_payload(payload.to_string());
        let mut message = Vec::new();
        JsonCodec.encode(&frame, &mut message).unwrap();
        let Members(members) = serde_json::from_slice(&message).unwrap();
        let expected = [("id", id.is_empty(), Value::from(id)), ("event", event.is_empty(), event.into())]
            .into_iter()
            .filter_map(|(name, empty, text)| (!empty).then(|| (name.to_owned(), text)))
            .chain([("payload".to_owned(), serde_json::from_slice(frame.payload()).unwrap())])
            .collect::<Vec<_>>();
        prop_assert_eq!(members, expected);
    }

    #[test]
    fn decoding_arbitrary_bytes_never_panics(message in vec(any::<u8>(), 0..200)) {
        let _ = decode(&message);
    }

    #[test]
    fn decoding_agrees_with_the_reference(
        object in object(), mutations in vec(mutation(), 0..4),
    ) {
        let mut message = object.into_bytes();
        for (at, mutation) in mutations {
            mutate(&mut message, at, &mutation);
        }
        let expected = match serde_json::from_slice(&message) {
            Ok(members) => reference(members),
            Err(error) => {
                prop_assume!(!beyond_the_reference(&error));
                None
            }
        };
        let decoded = decode(&message).map(|frame| {
            let payload = frame.payload();
            let payload = (!payload.is_empty()).then(|| serde_json::from_slice(payload).unwrap());
            (frame.id().to_owned(), frame.event().to_owned(), payload)
        });
        prop_assert_eq!(decoded, expected);
    }
}
