//! The rules that all codecs share, the same cases for each: docs/wire.md lists them.

mod messages;
mod translation;

use bytes::Bytes;
use proptest::prelude::*;
use wspulse_core::codec::InboundMessage;
use wspulse_core::{Frame, MessageKind, PayloadFormat};

use messages::{ALL, KINDS, Nested, Null, Seven, Text, Words, frames};

#[test]
fn names_and_kinds_are_as_documented() {
    let told = ALL.map(|words| (words.codec().name(), words.codec().kind(&Frame::default())));
    assert_eq!(
        told,
        [
            (Some("json"), MessageKind::Text),
            (Some("msgpack"), MessageKind::Binary),
            (Some("cbor"), MessageKind::Binary),
            (Some("protobuf"), MessageKind::Binary),
        ]
    );
}

#[test]
fn each_member_may_be_absent_and_empty_ones_are_left_out() {
    for words in ALL {
        for (frame, members) in frames(words) {
            let message = words.message(&members);
            assert_eq!(words.encode(&frame), message, "{words:?}");
            assert_eq!(words.decode(&message).unwrap(), frame, "{words:?}");
        }
    }
}

#[test]
fn an_empty_id_or_event_is_read_as_none() {
    for words in ALL {
        let message = words.message(&[("id", Text(b"")), ("event", Text(b""))]);
        assert_eq!(words.decode(&message).unwrap(), Frame::default(), "{words:?}");
    }
}

#[test]
fn null_stands_for_no_id_and_no_event() {
    for words in [Words::Json, Words::MessagePack, Words::Cbor] {
        let message = words.message(&[("id", Null), ("event", Null)]);
        assert_eq!(words.decode(&message).unwrap(), Frame::default(), "{words:?}");
    }
}

#[test]
fn a_payload_of_null_is_a_payload() {
    for words in ALL {
        let frame = words.decode(&words.message(&[("payload", Null)])).unwrap();
        assert_eq!(frame.payload(), &words.value(Null), "{words:?}");
    }
}

#[test]
fn messages_of_text_and_of_binary_are_read() {
    for words in ALL {
        for kind in KINDS {
            let message = words.message(&[("id", Text(b"1"))]);
            let frame = words.codec().decode(InboundMessage::lent(kind, &message)).unwrap();
            assert_eq!(frame.id(), "1", "{words:?}");
        }
    }
}

#[test]
fn unknown_members_are_ignored() {
    for words in ALL {
        let message = words.message(&[("x", Seven), ("id", Text(b"1")), ("ID", Text(b"2"))]);
        assert_eq!(words.decode(&message).unwrap(), Frame::default().with_id("1"), "{words:?}");
    }
}

#[test]
fn an_unknown_member_may_be_there_twice() {
    for words in ALL {
        let message = words.message(&[("x", Seven), ("x", Seven)]);
        assert_eq!(words.decode(&message).unwrap(), Frame::default(), "{words:?}");
    }
}

#[test]
fn a_member_that_is_there_twice_makes_the_message_undecodable() {
    for words in ALL {
        for (member, value) in
            [("id", Text(b"1")), ("event", Text(b"a")), ("payload", Seven), ("id", Text(b""))]
        {
            let told = words.refuses(&words.message(&[(member, value), (member, value)]));
            assert!(told.contains(&format!("{member:?} is repeated")), "{words:?}: {told}");
        }
    }
}

#[test]
fn an_id_or_event_of_another_type_makes_the_message_undecodable() {
    for words in ALL {
        for member in ["id", "event"] {
            let told = words.refuses(&words.message(&[(member, Seven)]));
            assert!(told.contains(&format!("{member:?}")), "{words:?}: {told}");
        }
    }
}

#[test]
fn an_id_or_event_that_is_not_utf8_makes_the_message_undecodable() {
    for words in ALL {
        for member in ["id", "event"] {
            let told = words.refuses(&words.message(&[(member, Text(b"a\xffb"))]));
            assert!(told.contains("UTF-8"), "{words:?}: {told}");
        }
    }
}

#[test]
fn what_is_no_message_of_the_codec_is_undecodable() {
    for (words, messages) in [
        (Words::Json, [&b""[..], b"[]", b"7", b"{", b"{}{}"]),
        (Words::MessagePack, [b"", b"\x90", b"\x07", b"\x81", b"\x80\x80"]),
        (Words::Cbor, [b"", b"\x80", b"\x07", b"\xa1", b"\xa0\xa0"]),
        // The empty message is the empty frame, and two messages in a row are one.
        (Words::Protobuf, [b"\x0a", b"\x00\x01", b"\x0b\x0c", b"\x0a\x05ab", b"\x0e"]),
    ] {
        for message in messages {
            words.refuses(message);
        }
    }
}

#[test]
fn messages_nest_10_000_deep_and_no_deeper() {
    for words in ALL {
        // In Protobuf the payload stands by itself, in the others the message is around it.
        let payload_levels = if words == Words::Protobuf { 10_000 } else { 9_999 };
        let frame = words.decode(&words.message(&[("payload", Nested(payload_levels))])).unwrap();
        assert_eq!(frame.payload(), &words.value(Nested(payload_levels)), "{words:?}");
        for levels in [payload_levels + 1, 1_000_000] {
            words.refuses(&words.message(&[("payload", Nested(levels))]));
        }
    }
}

#[test]
fn payloads_to_send_nest_10_000_deep_and_no_deeper() {
    for words in [Words::Json, Words::MessagePack, Words::Cbor] {
        let frame = |levels| Frame::default().with_payload(words.value(Nested(levels)));
        words.encode(&frame(10_000));
        for levels in [10_001, 1_000_000] {
            let told = words.try_encode(&frame(levels)).unwrap_err();
            assert!(told.contains("10000 levels"), "{words:?}: {told}");
        }
    }
}

#[test]
fn an_announced_length_that_is_not_there_is_refused_and_costs_nothing() {
    for (words, messages) in [
        (Words::MessagePack, [&b"\xdf\xff\xff\xff\xff"[..], b"\x81\xa2id\xdb\xff\xff\xff\xff1"]),
        (
            Words::Cbor,
            [b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", b"\xa1\x62id\x7a\xff\xff\xff\xff1"],
        ),
        (
            Words::Cbor,
            [
                b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
                b"\xa1\x61x\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
            ],
        ),
        (
            Words::Protobuf,
            [b"\x0a\xff\xff\xff\xff\x0f1", b"\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"],
        ),
    ] {
        for message in messages {
            let told = words.refuses(message);
            assert!(told.contains("ends in the middle"), "{words:?}: {told}");
        }
    }
}

#[test]
fn bytes_of_a_format_that_nobody_has_named_are_the_codecs_own() {
    for words in [Words::Json, Words::MessagePack, Words::Cbor] {
        let bytes = words.value(Text(b"a"));
        let frame = words.told(&Frame::default().with_payload(bytes.clone())).unwrap();
        assert_eq!(
            (frame.payload(), frame.format()),
            (&bytes.into(), words.codec().payload_format())
        );
    }
    let frame = Words::Protobuf.told(&Frame::default().with_payload("\0")).unwrap();
    assert_eq!((&frame.payload()[..], frame.format()), (&b"\0"[..], PayloadFormat::Bytes));
}

#[test]
fn a_payload_that_is_not_one_value_is_refused() {
    for (words, payload) in
        [(Words::Json, "1 2"), (Words::MessagePack, "\x01\x02"), (Words::Cbor, "\x01\x02")]
    {
        let told = words.try_encode(&Frame::default().with_payload(payload)).unwrap_err();
        assert!(told.contains("more than one"), "{words:?}: {told}");
    }
}

#[test]
fn a_room_is_a_member_that_is_ignored_inbound() {
    for words in ALL {
        let frame = Frame::new("news").with_id("7").json(&7).unwrap();
        let mut message = b"before".to_vec();
        words.codec().encode_in_room(&frame, "attic", &mut message).unwrap();
        let message = message.strip_prefix(b"before").unwrap();
        assert!(message.windows(5).any(|window| window == b"attic"), "{words:?}");
        let read = words.decode(message).unwrap();
        assert_eq!((read.id(), read.event()), ("7", "news"), "{words:?}");
        assert_eq!(read.to_json::<u32>().unwrap(), 7, "{words:?}");
    }
}

#[test]
fn the_id_of_a_message_that_is_no_frame_can_be_read() {
    for words in ALL {
        let message = words.message(&[("id", Text(b"7")), ("event", Seven)]);
        words.refuses(&message);
        assert_eq!(words.codec().read_id(&message).as_deref(), Some("7"), "{words:?}");
        for members in [&[("event", Seven)][..], &[("id", Seven)], &[("id", Text(b""))]] {
            assert_eq!(words.codec().read_id(&words.message(members)), None, "{words:?}");
        }
    }
}

#[test]
fn an_owned_message_is_not_copied() {
    for words in ALL {
        let members = [("payload", Text(b"payload")), ("id", Text(b"abc")), ("event", Text(b"e"))];
        let message = Bytes::from(words.message(&members));
        let kind = words.codec().kind(&Frame::default());
        let frame = words.codec().decode(InboundMessage::owned(kind, message.clone())).unwrap();
        for part in [frame.payload().as_ptr(), frame.id().as_ptr(), frame.event().as_ptr()] {
            assert!(message.as_ptr_range().contains(&part), "{words:?}");
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_what_is_read_is_written_again(
        message in prop::collection::vec(any::<u8>(), 0..200), start in 0..16_usize,
    ) {
        for words in ALL {
            let starts = [("id", Text(b"1")), ("event", Text(b"e")), ("payload", Seven)];
            let mut begun = words.message(&starts[..start % 4]);
            begun.truncate(begun.len().saturating_sub(start / 4));
            begun.extend(&message);
            if let Ok(frame) = words.decode(&begun) {
                prop_assert_eq!(words.told(&frame).unwrap(), frame);
            }
            words.codec().read_id(&begun);
        }
    }
}
