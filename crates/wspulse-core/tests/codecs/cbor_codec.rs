//! What the CBOR codec has beyond the rules of all codecs: the many forms of RFC 8949.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wspulse_core::codec::{CborCodec, CborError, Codec, InboundMessage};
use wspulse_core::{Frame, MessageKind, PayloadFormat};

fn decode(message: impl AsRef<[u8]>) -> Result<Frame, CborError> {
    let message = InboundMessage::lent(MessageKind::Binary, message.as_ref());
    CborCodec
        .decode(message)
        .map_err(|error| error.get_ref().downcast_ref().cloned().expect("its own error"))
}

fn encode_payload(payload: &[u8]) -> Result<Vec<u8>, CborError> {
    let mut out = Vec::new();
    match CborCodec.encode(&Frame::default().with_payload(payload.to_vec()), &mut out) {
        Ok(()) => Ok(out),
        Err(error) => Err(error.get_ref().downcast_ref().cloned().expect("its own error")),
    }
}

fn payload(bytes: &[u8]) -> Frame {
    Frame::default().with_payload(bytes.to_vec()).with_format(PayloadFormat::Cbor)
}

#[test]
fn a_payload_of_any_form_passes_verbatim() {
    let forms: [&[u8]; 34] = [
        b"\x00",
        b"\x17",
        b"\x18\x01",
        b"\x19\x00\x01",
        b"\x1a\x00\x00\x00\x01",
        b"\x1b\x00\x00\x00\x00\x00\x00\x00\x01",
        b"\x20",
        b"\x38\xff",
        b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x40",
        b"\x42\xff\xfe",
        b"\x58\x01\xff",
        b"\x5f\xff",
        b"\x5f\x41\x01\x40\xff",
        b"\x60",
        b"\x62\xc3\xa9",
        b"\x78\x01a",
        b"\x7f\xff",
        b"\x7f\x61a\x60\xff",
        b"\x80",
        b"\x82\x01\x02",
        b"\x98\x01\x01",
        b"\x9f\xff",
        b"\x9f\x01\x9f\xff\xff",
        b"\xa0",
        b"\xa1\x01\x02",
        b"\xb8\x01\x01\x02",
        b"\xbf\xff",
        b"\xbf\x01\x02\x03\x04\xff",
        b"\xc0\x60",
        b"\xd9\xd9\xf7\xc1\x00",
        b"\xf8\x20",
        b"\xf9\x7e\x00",
        b"\xf7",
    ];
    for form in forms {
        let message = encode_payload(form).unwrap();
        assert_eq!(message, [b"\xa1\x67payload", form].concat());
        assert_eq!(decode(&message).unwrap().payload(), form);
        assert_eq!(encode_payload(&form[..form.len() - 1]).is_ok(), form.len() == 1, "{form:x?}");
    }
}

#[test]
fn what_is_not_well_formed_is_refused_and_told_where() {
    for form in [
        // Reserved heads.
        &b"\x1c"[..],
        b"\x3d",
        b"\x5e",
        b"\x9c",
        b"\xdf",
        b"\xfc",
        b"\x1f",
        b"\x3f",
        // Breaks where none may be.
        b"\xff",
        // Simple values below 32 in two bytes.
        b"\xf8\x1f",
        b"\xf8\x14",
    ] {
        assert_eq!(encode_payload(form), Err(CborError::Malformed { at: 0 }), "{form:x?}");
    }
    for (form, at) in [
        (&b"\x81\xff"[..], 1),
        (b"\xa1\x01\xff", 2),
        (b"\xbf\x01\xff", 2),
        (b"\xc0\xff", 1),
        (b"\x9f\xc0\xff", 2),
        // Pieces of another kind, and pieces in pieces.
        (b"\x5f\x61a\xff", 1),
        (b"\x7f\x41a\xff", 1),
        (b"\x7f\x01\xff", 1),
        (b"\x7f\x7f\xff\xff", 1),
    ] {
        assert_eq!(encode_payload(form), Err(CborError::Malformed { at }), "{form:x?}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_wherever_it_is() {
    for form in
        [&b"\x61\xff"[..], b"\x7f\x61\xc3\x61\xa9\xff", b"\xa1\x61\xff\x00", b"\xc0\x61\xff"]
    {
        assert!(matches!(encode_payload(form), Err(CborError::NotUtf8 { .. })), "{form:x?}");
    }
}

#[test]
fn a_map_of_indefinite_length_is_a_message() {
    let frame = Frame::new("e").with_id("1");
    assert_eq!(decode(b"\xbf\x62id\x611\x65event\x61e\xff"), Ok(frame));
    assert_eq!(decode(b"\xbf\xff"), Ok(Frame::default()));
    assert_eq!(decode(b"\xbf\x62id\xff"), Err(CborError::Malformed { at: 4 }));
    assert_eq!(decode(b"\xbf\x62id\x611"), Err(CborError::Truncated));
}

#[test]
fn a_string_in_pieces_is_the_same_string() {
    let frame = Frame::default().with_id("née");
    let message = b"\xa1\x7f\x61i\x61d\xff\x7f\x61n\x62\xc3\xa9\x60\x61e\xff";
    assert_eq!(decode(message), Ok(frame));
    let repeated = b"\xa2\x7f\x61i\x61d\xff\x611\x62id\x611";
    assert_eq!(decode(repeated), Err(CborError::RepeatedMember { member: "id" }));
}

#[test]
fn undefined_stands_for_no_id_and_no_event() {
    assert_eq!(decode(b"\xa2\x62id\xf7\x65event\xf7"), Ok(Frame::default()));
}

#[test]
fn keys_of_other_types_are_ignored() {
    for key in [
        &b"\x01"[..],
        b"\x42id",
        b"\xc0\x62id",
        b"\xf6",
        b"\x81\x62id",
        b"\x62ID",
        b"\xa1\x62id\x611",
    ] {
        assert_eq!(decode([b"\xa1", key, b"\x611"].concat()), Ok(Frame::default()), "{key:x?}");
    }
}

#[test]
fn a_tag_makes_no_map_and_no_string() {
    assert_eq!(decode(b"\xd9\xd9\xf7\xa0"), Err(CborError::NotAMap));
    let error = CborError::NotAString { member: "id" };
    assert_eq!(decode(b"\xa1\x62id\xc0\x611"), Err(error));
}

#[test]
fn tags_count_as_levels() {
    let tagged = |levels: usize| [vec![0xc6; levels], vec![0x00]].concat();
    assert!(encode_payload(&tagged(10_000)).is_ok());
    let too_deep = Err(CborError::TooDeep { levels_max: 10_000 });
    assert_eq!(encode_payload(&tagged(10_001)), too_deep);
    assert_eq!(encode_payload(&vec![0x9f; 1_000_000]), too_deep);
    assert_eq!(encode_payload(&b"\xbf\x00".repeat(1_000_000)), too_deep);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Step {
    x: f64,
    name: Option<String>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Walk,
    Jump { high: u8 },
}

#[test]
fn types_of_the_applications_own_go_there_and_back() {
    for (name, kind) in [(None, Kind::Walk), (Some("é".to_owned()), Kind::Jump { high: 3 })] {
        let step = Step { x: 1.5, name, kind };
        assert_eq!(Frame::new("e").cbor(&step).unwrap().to_cbor::<Step>().unwrap(), step);
    }
    for value in [json!(null), json!([null, {}]), json!({"a": [1.5, u64::MAX]})] {
        assert_eq!(Frame::new("e").cbor(&value).unwrap().to_cbor::<Value>().unwrap(), value);
    }
    assert_eq!(Frame::new("e").cbor(&()).unwrap().payload(), &b"\xf6"[..]);
}

#[test]
fn an_integer_is_read_as_a_float_where_one_is_wanted() {
    // As JavaScript says 3.0, with a name in pieces and one that it calls undefined.
    let step = payload(b"\xa3\x61x\x03\x7f\x63nam\x61e\xff\xf7\x64kind\x64Walk");
    let wanted = Step { x: 3.0, name: None, kind: Kind::Walk };
    assert_eq!(step.to_cbor::<Step>().unwrap(), wanted);
    assert!(payload(b"\xa3\x61x\x61a\x64name\xf6\x64kind\x64Walk").to_cbor::<Step>().is_err());
}

#[test]
fn an_absent_payload_reads_as_null() {
    assert_eq!(Frame::new("e").to_cbor::<Option<u8>>().unwrap(), None);
    assert_eq!(Frame::new("e").to_cbor::<Value>().unwrap(), Value::Null);
}

#[test]
fn a_payload_that_nests_deeper_than_127_is_not_read() {
    let nested = |levels: usize| payload(&[vec![0x81; levels - 1], vec![0x80]].concat());
    assert!(nested(127).to_cbor::<Value>().is_ok());
    for levels in [128, 1_000_000] {
        let error = nested(levels).to_cbor::<Value>().unwrap_err();
        assert!(error.to_string().contains("deeper than 127 levels"), "{error}");
    }
}
