//! Messages between servers, as bytes.

use bytes::Bytes;
use proptest::prelude::*;
use wspulse_core::cluster::{
    Answer, Ask, Batch, Beat, GroupKey, MessageError, Moved, NodeId, NodeState, Said, Target,
};
use wspulse_core::{EncodedFrame, EncodedMarks, MessageKind, Overflow};

fn said(payload: &str) -> Said {
    let marks = EncodedMarks { key: Some(b"cursor"), is_volatile: true, is_uncompressed: true };
    let (kind, payload) = (MessageKind::Text, payload.as_bytes());
    let frame = EncodedFrame::from_payload_marked(kind, payload, marks).unwrap();
    Said { frame, overflow: Some(Overflow::Refuse), beside: Bytes::from_static(b"others") }
}

fn batch() -> Batch {
    let binary = Said::new(EncodedFrame::from_payload(MessageKind::Binary, &[0xff, 0]));
    Batch {
        origin: NodeId::new([7; 16]),
        stream: 3,
        first: 41,
        quiet_ms: 1_000,
        sent_ms: 1_764_400_000_000,
        codec: "json".into(),
        said: vec![said("{}"), binary],
    }
}

fn moved() -> Moved {
    Moved { target: Target::Group(GroupKey::new([1; 16])), stream: 3, newest: 42 }
}

#[test]
fn each_message_is_read_as_it_was_written() {
    assert_eq!(Batch::decode(batch().encode()), Ok(batch()));
    let beat = Beat {
        origin: NodeId::new([7; 16]),
        number: 9,
        state: NodeState::Draining,
        connections: 10_000,
        moved: vec![moved(), Moved { target: Target::Everybody, ..moved() }],
    };
    assert_eq!(Beat::decode(beat.encode()), Ok(beat));
    for ask in [
        Ask::From { target: Target::Everybody, stream: 1, first: 2 },
        Ask::Since { target: moved().target, age_ms: 700 },
        Ask::Moved { beat: 8 },
    ] {
        assert_eq!(Ask::decode(ask.encode()), Ok(ask));
    }
    let (codec, said) = ("json".into(), batch().said);
    let frames = Answer::Frames { stream: 1, first: 2, newest: 3, is_truncated: true, codec, said };
    let told = Answer::Moved { beat: 8, is_truncated: false, moved: vec![moved()] };
    for answer in [frames, Answer::NoStream, told] {
        assert_eq!(Answer::decode(answer.encode()), Ok(answer));
    }
}

#[test]
fn a_message_of_another_version_is_told_from_one_of_another_kind() {
    let mut bytes = batch().encode().to_vec();
    bytes[0] = 2;
    assert_eq!(Batch::decode(bytes.into()), Err(MessageError::Version { found: 2 }));
    assert_eq!(Beat::decode(batch().encode()), Err(MessageError::Kind { found: 1 }));
}

#[test]
fn text_that_is_none_is_refused() {
    let mut bytes = Batch { said: vec![said("ab")], ..batch() }.encode().to_vec();
    let last = bytes.len() - 1;
    bytes[last] = 0xff;
    assert_eq!(Batch::decode(bytes.into()), Err(MessageError::Invalid { what: "text" }));
}

#[test]
fn a_message_that_ends_anywhere_is_refused() {
    let bytes = batch().encode();
    for end in 0..bytes.len() {
        assert!(Batch::decode(bytes.slice(..end)).is_err(), "{end}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_message_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..40) {
        let mut bytes = bytes;
        if let [version, second, ..] = &mut bytes[..] {
            (*version, *second) = (1, kind);
        }
        let bytes = Bytes::from(bytes);
        let _ = Batch::decode(bytes.clone());
        let _ = Beat::decode(bytes.clone());
        let _ = Ask::decode(bytes.clone());
        let _ = Answer::decode(bytes);
    }
}
