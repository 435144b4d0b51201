//! The JSON codec, behaviour by behaviour.

use bytes::Bytes;
use serde_json::value::RawValue;
use wspulse_core::codec::{Codec, InboundMessage, JsonCodec, JsonError};
use wspulse_core::{Frame, MessageKind, PayloadFormat};

fn encode(frame: &Frame) -> String {
    let mut out = Vec::new();
    JsonCodec.encode(frame, &mut out).expect("encodes");
    String::from_utf8(out).expect("text messages are UTF-8")
}

fn encode_payload(payload: impl Into<Bytes>) -> Result<String, String> {
    let mut out = Vec::new();
    match JsonCodec.encode(&Frame::default().with_payload(payload), &mut out) {
        Ok(()) => Ok(String::from_utf8(out).expect("text messages are UTF-8")),
        Err(error) => Err(name(error.get_ref().downcast_ref())),
    }
}

fn decode(message: impl AsRef<[u8]>) -> Frame {
    let message = message.as_ref();
    JsonCodec
        .decode(InboundMessage::lent(MessageKind::Text, message))
        .unwrap_or_else(|error| panic!("{}: {error:?}", String::from_utf8_lossy(message)))
}

fn refusal(message: impl AsRef<[u8]>) -> String {
    let message = message.as_ref();
    match JsonCodec.decode(InboundMessage::lent(MessageKind::Text, message)) {
        Ok(frame) => panic!("{}: {frame:?}", String::from_utf8_lossy(message)),
        Err(error) => name(error.get_ref().downcast_ref()),
    }
}

/// The error's variant, and the member if one is to blame.
fn name(error: Option<&JsonError>) -> String {
    let error = error.expect("the codec's own error");
    if matches!(error, JsonError::Syntax(_)) {
        return "Syntax".to_owned();
    }
    format!("{error:?}")
}

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[test]
fn frames_travel_as_text() {
    assert_eq!(JsonCodec.kind(&Frame::default()), MessageKind::Text);
}

#[test]
fn all_three_members_are_optional_in_both_directions() {
    for (frame, message) in [
        (Frame::default(), "{}"),
        (Frame::default().with_id("1"), r#"{"id":"1"}"#),
        (Frame::new("a"), r#"{"event":"a"}"#),
        (Frame::default().with_payload("0"), r#"{"payload":0}"#),
        (Frame::new("a").with_id("1").with_payload("0"), r#"{"id":"1","event":"a","payload":0}"#),
    ] {
        assert_eq!(encode(&frame), message);
        assert_eq!(decode(message), frame);
    }
}

#[test]
fn encodes_members_in_order_without_whitespace() {
    let frame = Frame::default().with_payload(r#"{"a":[]}"#).with_event("e").with_id("i");
    assert_eq!(encode(&frame), r#"{"id":"i","event":"e","payload":{"a":[]}}"#);
}

#[test]
fn encodes_a_null_payload_as_null() {
    assert_eq!(encode(&Frame::default().with_payload("null")), r#"{"payload":null}"#);
}

#[test]
fn encoding_appends_to_what_is_there() {
    let mut out = b"before".to_vec();
    JsonCodec.encode(&Frame::new("e"), &mut out).unwrap();
    assert_eq!(out, br#"before{"event":"e"}"#);
}

#[test]
fn encodes_the_payload_verbatim() {
    for payload in ["<&>\u{2028}\u{2029}", r"\u003c\/\ud800 é", "\u{10ffff}\u{7f}"] {
        let payload = format!(r#""{payload}""#);
        let encoded = encode_payload(payload.clone());
        assert_eq!(encoded, Ok(format!(r#"{{"payload":{payload}}}"#)));
    }
    for payload in [
        "1.50e+03",
        "-0",
        "1e999",
        "123456789012345678901234567890",
        r#"{ "b" : 1,"a":2, "b":3 }"#,
        " [ 1 ]\r\n\t",
        "true",
    ] {
        let encoded = encode_payload(payload);
        assert_eq!(encoded, Ok(format!(r#"{{"payload":{payload}}}"#)));
    }
}

#[test]
fn encodes_id_and_event_with_the_escapes_json_needs_and_no_more() {
    for (text, quoted) in [
        ("\"\\\u{8}\u{c}\n\r\t", r#""\"\\\b\f\n\r\t""#),
        ("\0\u{b}\u{1f}", r#""\u0000\u000b\u001f""#),
        ("/<>&'", r#""/<>&'""#),
        ("é\u{7f}\u{2028}\u{2029}\u{fffd}😀", "\"é\u{7f}\u{2028}\u{2029}\u{fffd}😀\""),
    ] {
        let frame = Frame::new(text).with_id(text);
        let message = format!(r#"{{"id":{quoted},"event":{quoted}}}"#);
        assert_eq!(encode(&frame), message);
        assert_eq!(decode(message), frame);
    }
}

#[test]
fn refuses_to_encode_a_payload_that_is_not_one_value() {
    for (payload, error) in [
        (&b" \t\r\n"[..], "Empty"),
        (b"1 2", "TrailingData"),
        (b"{}{}", "TrailingData"),
        (b"1,", "TrailingData"),
        (b"{", "Syntax"),
        (b"[1,]", "Syntax"),
        (b"{\"a\"}", "Syntax"),
        (b"NaN", "Syntax"),
        (b"01", "Syntax"),
        (b"'a'", "Syntax"),
        (b"\"\x01\"", "Syntax"),
        (br#""\x""#, "Syntax"),
        (br#""\u12""#, "Syntax"),
        (b"\xef\xbb\xbf1", "Syntax"),
        (b"\"\xff\"", "NotUtf8"),
        (b"\"\xed\xa0\x80\"", "NotUtf8"),
    ] {
        assert_eq!(
            encode_payload(payload),
            Err(error.to_owned()),
            "{}",
            String::from_utf8_lossy(payload)
        );
    }
}

#[test]
fn encodes_a_payload_nested_10_000_levels_and_no_more() {
    for levels in [9_999, 10_000] {
        assert!(encode_payload(nested(levels)).is_ok(), "{levels}");
    }
    for payload in [
        nested(10_001),
        "[".repeat(1_000_000),
        r#"{"a":"#.repeat(10_001) + "0" + &"}".repeat(10_001),
    ] {
        assert_eq!(encode_payload(payload), Err("TooDeep".to_owned()));
    }
}

#[test]
fn a_payload_that_was_serialized_nests_10_000_levels_and_no_more() {
    for (levels, is_written) in [(10_000, true), (10_001, false)] {
        let raw = RawValue::from_string(nested(levels)).unwrap();
        let frame = Frame::new("e").json(&raw).unwrap();
        assert_eq!(JsonCodec.encode(&frame, &mut Vec::new()).is_ok(), is_written, "{levels}");
    }
}

#[test]
fn what_is_put_in_the_place_of_a_payload_that_was_read_is_looked_at() {
    let read = decode(r#"{"payload":[1]}"#);
    let written = Frame::default().json(&[1]).unwrap();
    for frame in [read, written] {
        let broken = frame.with_payload("[1");
        for broken in [broken.clone(), broken.with_format(PayloadFormat::Json)] {
            assert!(JsonCodec.encode(&broken, &mut Vec::new()).is_err());
        }
    }
}

#[test]
fn decodes_one_object_with_whitespace_around_it() {
    let frame = decode(" \t\r\n{ \"id\" : \"1\" ,\n\"event\"\t:\r\"e\" } \t\r\n");
    assert_eq!(frame, Frame::new("e").with_id("1"));
}

#[test]
fn refuses_to_decode_what_is_not_one_json_text() {
    for (message, error) in [
        ("", "Empty"),
        (" \n", "Empty"),
        ("{} {}", "TrailingData"),
        ("{}x", "TrailingData"),
        ("{}\0", "TrailingData"),
        ("{", "Syntax"),
        (r#"{"id":"1""#, "Syntax"),
        (r#"{"payload":NaN}"#, "Syntax"),
        (r#"{"payload":[1,]}"#, "Syntax"),
        (r#"{"id":"1",}"#, "Syntax"),
        (r#"{"payload":}"#, "Syntax"),
        (r#"{"payload":+1}"#, "Syntax"),
        (r"{id:1}", "Syntax"),
        ("{1:1}", "Syntax"),
        ("{\"id\":\"\n\"}", "Syntax"),
        ("{\"\n\":1}", "Syntax"),
        (r#"{"\x":1}"#, "Syntax"),
        (r#"{"id":"\u00"}"#, "Syntax"),
        ("{}//", "TrailingData"),
        ("\u{feff}{}", "Syntax"),
    ] {
        assert_eq!(refusal(message), error, "{message}");
    }
}

#[test]
fn decodes_messages_nested_10_000_levels_and_no_more() {
    let payload = |levels| format!(r#"{{"payload":{}}}"#, nested(levels));
    let unknown = |levels| format!(r#"{{"x":{}}}"#, nested(levels));
    for inner in [9_998, 9_999] {
        assert_eq!(decode(payload(inner)).payload(), &nested(inner));
        assert_eq!(decode(unknown(inner)), Frame::default());
    }
    for inner in [10_000, 1_000_000] {
        assert_eq!(refusal(payload(inner)), "TooDeep");
        assert_eq!(refusal(unknown(inner)), "TooDeep");
    }
    assert_eq!(refusal(nested(10_001)), "TooDeep");
}

#[test]
fn brackets_in_strings_and_side_by_side_are_not_nesting() {
    let in_string = format!(r#""\"{}\\""#, "[{".repeat(10_000));
    let side_by_side = format!("[{}0]", "[],{},".repeat(10_000));
    for payload in [in_string, side_by_side] {
        let message = format!(r#"{{"payload":{payload}}}"#);
        assert_eq!(decode(&message).payload(), &payload);
        assert_eq!(encode_payload(payload), Ok(message));
    }
}

#[test]
fn refuses_to_decode_a_value_that_is_not_an_object() {
    for message in ["null", "[]", r#"["1","e"]"#, r#""{}""#, "0", "true"] {
        assert_eq!(refusal(message), "NotAnObject", "{message}");
    }
}

#[test]
fn ignores_unknown_members_that_are_valid_json() {
    let message = concat!(
        r#"{"":0,"x":{"id":"2","id":"3"},"event":"e","#,
        r#""\ud800":"\udc00","x":1e999,"x":[null]}"#
    );
    assert_eq!(decode(message), Frame::new("e"));
    assert_eq!(refusal(r#"{"x":nul}"#), "Syntax");
    assert_eq!(refusal(r#"{"x":"\q"}"#), "Syntax");
}

#[test]
fn member_names_match_exactly() {
    let message = r#"{"ID":"1","Event":"e","PAYLOAD":0,"id ":"2","i\\d":"3","pay\u006coad2":4}"#;
    assert_eq!(decode(message), Frame::default());
}

#[test]
fn member_names_match_after_their_escapes_are_undone() {
    let payload = r"\u0070\u0061\u0079\u006c\u006F\u0061\u0064";
    let message = format!(r#"{{"\u0069d":"1","e\u0076ent":"e","{payload}":0}}"#);
    let frame = Frame::new("e").with_id("1").with_payload("0");
    assert_eq!(decode(message), frame);
}

#[test]
fn a_repeated_member_makes_the_message_undecodable() {
    for (message, member) in [
        (r#"{"id":"1","id":"1"}"#, "id"),
        (r#"{"id":null,"id":"1"}"#, "id"),
        (r#"{"id":"1","\u0069d":2}"#, "id"),
        (r#"{"event":"a","x":0,"event":null}"#, "event"),
        (r#"{"payload":null,"payload":null}"#, "payload"),
    ] {
        assert_eq!(refusal(message), name(Some(&JsonError::RepeatedMember { member })));
    }
    assert_eq!(refusal(r#"{"id":"1","id":"1""#), "Syntax");
}

#[test]
fn null_stands_for_no_id_and_no_event() {
    assert_eq!(decode(r#"{"id":null,"event":null}"#), Frame::default());
    assert_eq!(decode(r#"{"id":"","event":""}"#), Frame::default());
}

#[test]
fn an_id_or_event_that_is_no_string_makes_the_message_undecodable() {
    for member in ["id", "event"] {
        for value in ["1", "-0.5", "true", "false", "[]", "{}", r#"["a"]"#] {
            let message = format!(r#"{{"x":0,"{member}":{value},"payload":1}}"#);
            assert_eq!(refusal(message), name(Some(&JsonError::NotAString { member })));
        }
    }
}

#[test]
fn decodes_the_payload_as_the_exact_source_bytes() {
    for payload in [
        "null",
        "1e999",
        "-0.00",
        r#""\u003c\ud800\/""#,
        "{ \"b\":\t1 ,\r\n\"a\" : [ ] , \"b\":2 }",
        "\"\u{2028}é\"",
        "false",
    ] {
        let message = format!("{{\"payload\": \n{payload}\t, \"x\":0}}");
        assert_eq!(decode(message).payload(), payload);
    }
}

#[test]
fn an_absent_payload_is_empty_and_a_null_one_is_not() {
    assert!(decode(r#"{"event":"e"}"#).payload().is_empty());
    assert_eq!(decode(r#"{"payload":null}"#).payload(), "null");
}

#[test]
fn lone_surrogates_become_one_replacement_character_each() {
    for (escaped, text) in [
        (r"\ud800", "\u{fffd}"),
        (r"\uDFFF", "\u{fffd}"),
        (r"a\ud83db", "a\u{fffd}b"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
        (r"\ud800\ud83d\ude00", "\u{fffd}😀"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud7ff\ue000", "\u{d7ff}\u{e000}"),
    ] {
        let frame = decode(format!(r#"{{"id":"{escaped}","event":"{escaped}"}}"#));
        assert_eq!(frame, Frame::new(text).with_id(text), "{escaped}");
    }
}

#[test]
fn a_message_that_is_not_utf8_is_undecodable() {
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        for (before, after) in [
            ("{\"id\":\"", "\"}"),
            ("{\"payload\":\"", "\"}"),
            ("{\"x\":\"", "\"}"),
            ("{\"", "\":0}"),
        ] {
            let message = [before.as_bytes(), bad, after.as_bytes()].concat();
            assert_eq!(refusal(message), "NotUtf8");
        }
    }
}

#[test]
fn binary_messages_are_decoded_like_text() {
    let message = InboundMessage::lent(MessageKind::Binary, br#"{"event":"e"}"#);
    assert_eq!(JsonCodec.decode(message).unwrap(), Frame::new("e"));
}

#[test]
fn an_undecodable_message_tells_its_cause() {
    let message = InboundMessage::lent(MessageKind::Text, br#"{"id":7}"#);
    let error = JsonCodec.decode(message).unwrap_err();
    let told = "the message cannot be decoded: member \"id\" is not a string";
    assert_eq!(error.to_string(), told);
    assert_eq!(error.get_ref().to_string(), "member \"id\" is not a string");
}

#[test]
fn one_codec_serves_many_threads() {
    let codec: &'static dyn Codec = &JsonCodec;
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| codec.encode(&Frame::new("e"), &mut Vec::new()).unwrap());
        }
    });
}

#[test]
fn a_room_is_a_fourth_member_that_a_reader_who_does_not_know_it_ignores() {
    for (frame, text) in [
        (Frame::new("news"), r#"{"event":"news","room":"att\"ic"}"#),
        (Frame::default(), r#"{"room":"att\"ic"}"#),
        (
            Frame::new("news").with_id("7").with_payload("{}"),
            r#"{"id":"7","event":"news","payload":{},"room":"att\"ic"}"#,
        ),
    ] {
        let mut message = b"before".to_vec();
        JsonCodec.encode_in_room(&frame, "att\"ic", &mut message).unwrap();
        let message = message.strip_prefix(b"before").unwrap();
        assert_eq!(str::from_utf8(message), Ok(text));
        let read = JsonCodec.decode(InboundMessage::lent(MessageKind::Text, message)).unwrap();
        assert_eq!(read, frame);
    }
}
