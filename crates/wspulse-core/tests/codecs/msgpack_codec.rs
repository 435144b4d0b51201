//! The MessagePack codec, behaviour by behaviour.

use bytes::Bytes;
use wspulse_core::codec::{Codec, InboundMessage, MessagePackCodec, MessagePackError};
use wspulse_core::{Frame, MessageKind};

fn encode(frame: &Frame) -> Result<Vec<u8>, MessagePackError> {
    let mut out = Vec::new();
    match MessagePackCodec.encode(frame, &mut out) {
        Ok(()) => Ok(out),
        Err(error) => Err(error.get_ref().downcast_ref().cloned().expect("its own error")),
    }
}

fn encode_payload(payload: impl Into<Bytes>) -> Result<Vec<u8>, MessagePackError> {
    encode(&Frame::default().with_payload(payload))
}

fn decode(message: impl AsRef<[u8]>) -> Result<Frame, MessagePackError> {
    let message = InboundMessage::lent(MessageKind::Binary, message.as_ref());
    MessagePackCodec
        .decode(message)
        .map_err(|error| error.get_ref().downcast_ref().cloned().expect("its own error"))
}

/// A map with one entry.
fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    [b"\x81", key, value].concat()
}

fn nested(levels: usize) -> Vec<u8> {
    let mut value = vec![0x91; levels - 1];
    value.push(0x90);
    value
}

#[test]
fn frames_travel_as_binary_and_are_read_from_either_kind() {
    assert_eq!(MessagePackCodec.kind(&Frame::default()), MessageKind::Binary);
    let message = InboundMessage::lent(MessageKind::Text, b"\x81\xa2id\xa11");
    assert_eq!(MessagePackCodec.decode(message).unwrap(), Frame::default().with_id("1"));
}

#[test]
fn all_three_members_are_optional_in_both_directions() {
    for (frame, message) in [
        (Frame::default(), &b"\x80"[..]),
        (Frame::default().with_id("1"), b"\x81\xa2id\xa11"),
        (Frame::new("a"), b"\x81\xa5event\xa1a"),
        (Frame::default().with_payload(&b"\xc0"[..]), b"\x81\xa7payload\xc0"),
        (
            Frame::new("a").with_id("1").with_payload(&b"\x93\x01\x02\x03"[..]),
            b"\x83\xa2id\xa11\xa5event\xa1a\xa7payload\x93\x01\x02\x03",
        ),
    ] {
        assert_eq!(encode(&frame).as_deref(), Ok(message));
        assert_eq!(decode(message), Ok(frame));
    }
}

#[test]
fn encoding_appends_to_what_is_there() {
    let mut out = b"before".to_vec();
    MessagePackCodec.encode(&Frame::default(), &mut out).unwrap();
    assert_eq!(out, b"before\x80");
}

#[test]
fn long_strings_take_the_longer_length_forms() {
    for len in [31, 32, 255, 256, 65_535, 65_536] {
        let frame = Frame::new("e".repeat(len)).with_id("é".repeat(len));
        assert_eq!(decode(encode(&frame).unwrap()), Ok(frame));
    }
}

#[test]
fn a_payload_of_any_format_passes_verbatim() {
    let filled = |head: &[u8], len: usize| [head, &vec![0xff; len]].concat();
    for payload in [
        b"\x00".to_vec(),
        b"\xff".to_vec(),
        b"\xc2".to_vec(),
        b"\xc3".to_vec(),
        filled(b"\xc4\x02", 2),
        filled(b"\xc5\x01\x00", 256),
        filled(b"\xc6\x00\x01\x00\x00", 65_536),
        filled(b"\xc7\x03\x01", 3),
        filled(b"\xc8\x01\x00\x01", 256),
        filled(b"\xc9\x00\x01\x00\x00\x01", 65_536),
        filled(b"\xca", 4),
        filled(b"\xcb", 8),
        filled(b"\xcc", 1),
        filled(b"\xcd", 2),
        filled(b"\xce", 4),
        filled(b"\xcf", 8),
        filled(b"\xd0", 1),
        filled(b"\xd1", 2),
        filled(b"\xd2", 4),
        filled(b"\xd3", 8),
        filled(b"\xd4", 2),
        filled(b"\xd5", 3),
        filled(b"\xd6", 5),
        filled(b"\xd7", 9),
        filled(b"\xd8", 17),
        filled(b"\xa3", 3),
        filled(b"\xd9\x02", 2),
        filled(b"\xda\x01\x00", 256),
        filled(b"\xdb\x00\x01\x00\x00", 65_536),
        filled(b"\x93", 3),
        filled(b"\xdc\x00\x02", 2),
        filled(b"\xdd\x00\x00\x00\x02", 2),
        filled(b"\x82", 4),
        filled(b"\xde\x00\x02", 4),
        filled(b"\xdf\x00\x00\x00\x02", 4),
    ] {
        let message = encode_payload(payload.clone()).unwrap();
        assert_eq!(message, entry(b"\xa7payload", &payload));
        assert_eq!(decode(message).unwrap().payload(), &payload);

        let short = payload[..payload.len() - 1].to_vec();
        if !short.is_empty() {
            assert_eq!(encode_payload(short), Err(MessagePackError::Truncated));
        }
    }
}

#[test]
fn refuses_to_encode_a_payload_that_is_not_one_value() {
    for (payload, error) in [
        (&b"\x01\x02"[..], MessagePackError::TrailingData),
        (b"\xc1", MessagePackError::Reserved),
        (b"\x91\xc1", MessagePackError::Reserved),
        (b"\x92\x01", MessagePackError::Truncated),
        (b"\x81\x01", MessagePackError::Truncated),
        (b"\xdf\xff\xff\xff\xff\x01\x02", MessagePackError::Truncated),
        (b"\xdb\xff\xff\xff\xffabc", MessagePackError::Truncated),
        (b"\xc9\xff\xff\xff\xff\x01", MessagePackError::Truncated),
        (b"\xdd\x00", MessagePackError::Truncated),
    ] {
        assert_eq!(encode_payload(payload), Err(error), "{payload:x?}");
    }
}

#[test]
fn encodes_a_payload_nested_10_000_levels_and_no_more() {
    for levels in [9_999, 10_000] {
        assert!(encode_payload(nested(levels)).is_ok(), "{levels}");
    }
    let maps = b"\x81\x01".repeat(1_000_000);
    for payload in [nested(10_001), nested(1_000_000), maps] {
        assert_eq!(encode_payload(payload), Err(MessagePackError::TooDeep));
    }
}

#[test]
fn decodes_messages_nested_10_000_levels_and_no_more() {
    for levels in [9_998, 9_999] {
        let payload = nested(levels);
        let frame = decode(entry(b"\xa7payload", &payload)).unwrap();
        assert_eq!(frame.payload(), &payload);
        assert_eq!(decode(entry(&payload, b"\xc0")), Ok(Frame::default()));
    }
    for levels in [10_000, 1_000_000] {
        let value = nested(levels);
        for message in [entry(b"\xa1x", &value), entry(&value, b"\xc0")] {
            assert_eq!(decode(message), Err(MessagePackError::TooDeep));
        }
    }
}

#[test]
fn refuses_to_decode_what_is_not_one_map() {
    for (message, error) in [
        (&b""[..], MessagePackError::Truncated),
        (b"\xc0", MessagePackError::NotAMap),
        (b"\x90", MessagePackError::NotAMap),
        (b"\xa2id", MessagePackError::NotAMap),
        (b"\xc1", MessagePackError::Reserved),
        (b"\x80\xc0", MessagePackError::TrailingData),
        (b"\x81\xa2id", MessagePackError::Truncated),
        (b"\x81\xa2id\xa2a", MessagePackError::Truncated),
        (b"\xdf\xff\xff\xff\xff", MessagePackError::Truncated),
        (b"\xdf\xff\xff\xff\xff\xa2id\xa11", MessagePackError::Truncated),
    ] {
        assert_eq!(decode(message), Err(error), "{message:x?}");
    }
}

#[test]
fn keys_are_read_in_every_form_of_string_and_map() {
    let frame = Frame::default().with_id("1");
    for message in [
        &b"\x81\xa2id\xa11"[..],
        b"\xde\x00\x01\xd9\x02id\xd9\x011",
        b"\xdf\x00\x00\x00\x01\xda\x00\x02id\xda\x00\x011",
        b"\x81\xdb\x00\x00\x00\x02id\xdb\x00\x00\x00\x011",
    ] {
        assert_eq!(decode(message), Ok(frame.clone()));
    }
}

#[test]
fn ignores_entries_with_other_keys_whatever_their_type() {
    for key in [
        &b"\xa1x"[..],
        b"\xa2ID",
        b"\xa3id\0",
        b"\xa1\xff",
        b"\xc0",
        b"\x07",
        b"\xc4\x02id",
        b"\x91\xa2id",
        b"\x81\xa2id\xa11",
    ] {
        assert_eq!(decode(entry(key, b"\xa11")), Ok(Frame::default()), "{key:x?}");
    }
}

#[test]
fn a_repeated_member_makes_the_message_undecodable() {
    for (message, member) in [
        (&b"\x82\xa2id\xa11\xa2id\xa11"[..], "id"),
        (b"\x82\xa2id\xc0\xd9\x02id\xa11", "id"),
        (b"\x83\xa5event\xa1a\xa1x\x00\xa5event\xc0", "event"),
        (b"\x82\xa7payload\xc0\xa7payload\xc0", "payload"),
    ] {
        assert_eq!(decode(message), Err(MessagePackError::RepeatedMember { member }));
    }
}

#[test]
fn nil_stands_for_no_id_and_no_event() {
    assert_eq!(decode(b"\x82\xa2id\xc0\xa5event\xc0"), Ok(Frame::default()));
    assert_eq!(decode(b"\x82\xa2id\xa0\xa5event\xa0"), Ok(Frame::default()));
}

#[test]
fn an_id_or_event_that_is_no_string_makes_the_message_undecodable() {
    for (key, member) in [(&b"\xa2id"[..], "id"), (b"\xa5event", "event")] {
        for value in [&b"\x07"[..], b"\xc2", b"\xc4\x01a", b"\x91\xa1a", b"\x80", b"\xd4\x01\x01"] {
            let error = MessagePackError::NotAString { member };
            assert_eq!(decode(entry(key, value)), Err(error), "{value:x?}");
        }
        let error = MessagePackError::NotUtf8 { member };
        assert_eq!(decode(entry(key, b"\xa3\xed\xa0\x80")), Err(error));
    }
}

#[test]
fn an_owned_message_is_not_copied() {
    let message = Bytes::from_static(b"\x83\xa7payload\x92\x01\x02\xa2id\xa3abc\xa5event\xa1e");
    let frame = MessagePackCodec
        .decode(InboundMessage::owned(MessageKind::Binary, message.clone()))
        .unwrap();
    assert_eq!(frame.payload().as_ptr(), message[9..].as_ptr());
    assert_eq!(frame.id().as_ptr(), message[16..].as_ptr());
    assert_eq!(frame.event().as_ptr(), message[26..].as_ptr());
}

#[test]
fn a_lent_message_is_copied_once_for_all_members() {
    let message = b"\x83\xa7payload\x92\x01\x02\xa2id\xa3abc\xa5event\xa1e";
    let frame = decode(message).unwrap();
    let payload = frame.payload().as_ptr().addr();
    assert!(!message.as_ptr_range().contains(&frame.payload().as_ptr()));
    assert_eq!(frame.id().as_ptr().addr(), payload + 7);
    assert_eq!(frame.event().as_ptr().addr(), payload + 17);
}

#[test]
fn a_room_is_a_fourth_entry_that_a_reader_who_does_not_know_it_ignores() {
    for (frame, bytes) in [
        (Frame::default(), &b"\x81\xa4room\xa5attic"[..]),
        (
            Frame::new("news").with_id("7").with_payload(&b"\x80"[..]),
            b"\x84\xa2id\xa17\xa5event\xa4news\xa7payload\x80\xa4room\xa5attic",
        ),
    ] {
        let mut message = b"before".to_vec();
        MessagePackCodec.encode_in_room(&frame, "attic", &mut message).unwrap();
        let message = message.strip_prefix(b"before").unwrap();
        assert_eq!(message, bytes);
        let message = InboundMessage::lent(MessageKind::Binary, message);
        assert_eq!(MessagePackCodec.decode(message).unwrap(), frame);
    }
}
