//! What servers say of sessions that go from one to another, as bytes.

use bytes::Bytes;
use proptest::prelude::*;
use wspulse_core::cluster::{
    Claim, ClaimedBy, GroupName, HeardOf, HeldId, InheritedToken, MovedGroup, MovedProof,
    MovedSession, NodeId, NotGiven, Position, SessionReply, SessionRequest, TWICE_MAX, Twice,
};
use wspulse_core::{EncodedFrame, MessageKind};

use wspulse_core::outbound::MovedQueue;
use wspulse_core::session::MovedExchange;

fn heard() -> HeardOf {
    let position = Position { origin: NodeId::new([7; 16]), stream: 3, number: 12 };
    HeardOf { positions: vec![position], age_ms: 250, ended: vec![NodeId::new([8; 16])] }
}

fn session() -> MovedSession {
    let frame = |text: &str| EncodedFrame::from_payload(MessageKind::Text, text.as_bytes());
    MovedSession {
        id: "ann".into(),
        codec: "json".into(),
        home: Some("lobby".into()),
        user: None,
        groups: vec![MovedGroup { name: GroupName::Room("lobby".into()), heard: heard() }],
        everybody: heard(),
        exchange: MovedExchange { received: 4, taken_before: vec![6, 7] },
        queue: MovedQueue {
            written: 9,
            replayed: 1,
            is_begun: true,
            is_doubtful: false,
            frames: vec![frame("one"), frame("two")],
        },
        proof: MovedProof {
            session: 5,
            newest: 2,
            confirmed: 1,
            inherited: vec![InheritedToken { number: 2, mac: [1; 16] }],
        },
        age_ms: 20_000,
    }
}

#[test]
fn a_session_is_read_as_it_was_written() {
    let session = session();
    let read = MovedSession::decode(session.encode()).unwrap();
    assert_eq!((&*read.id, &*read.codec, read.home.as_deref()), ("ann", "json", Some("lobby")));
    assert_eq!((&read.groups, &read.everybody), (&session.groups, &session.everybody));
    assert_eq!((&read.exchange, read.age_ms), (&session.exchange, 20_000));
    assert!(read.proof == session.proof);
    let MovedQueue { written, replayed, is_begun, is_doubtful, frames } = &read.queue;
    assert_eq!((*written, *replayed, *is_begun, *is_doubtful), (9, 1, true, false));
    let payloads: Vec<_> = frames.iter().map(EncodedFrame::payload).collect();
    assert_eq!(payloads, [b"one", b"two"]);
}

#[test]
fn a_session_that_cannot_be_is_refused() {
    let refused = |change: fn(&mut MovedSession)| {
        let mut session = session();
        change(&mut session);
        assert!(MovedSession::decode(session.encode()).is_err());
    };
    refused(|it| it.queue.replayed = 3);
    refused(|it| it.queue.written = 0);
    refused(|it| it.queue.replayed = 2);
    refused(|it| it.proof.confirmed = 3);
    refused(|it| it.exchange.taken_before = vec![4]);
    refused(|it| it.exchange.taken_before = vec![7, 6]);
    refused(|it| it.exchange.received = u64::MAX);
}

#[test]
fn a_session_that_ends_anywhere_is_refused() {
    let bytes = session().encode();
    for end in 0..bytes.len() {
        assert!(MovedSession::decode(bytes.slice(..end)).is_err(), "{end} bytes");
    }
}

fn claim(by: ClaimedBy) -> Claim {
    Claim {
        node: NodeId::new([9; 16]),
        id: "ann".into(),
        room: "lobby".into(),
        user: Some("a".into()),
        codec: "json".into(),
        token: (by == ClaimedBy::Exchange).then(|| "a.1.b.c".into()),
        age_ms: 20,
        by,
    }
}

#[test]
fn claims_are_read_as_they_were_written() {
    for by in [ClaimedBy::Plain, ClaimedBy::Exchange, ClaimedBy::Content] {
        for user in [None, Some("a".into())] {
            let claim = Claim { user, ..claim(by) };
            for request in [SessionRequest::Claim(claim.clone()), SessionRequest::Release(claim)] {
                let bytes = request.encode();
                assert!(SessionRequest::is_meant(&bytes));
                assert_eq!(SessionRequest::decode(bytes), Ok(request));
            }
        }
    }
}

#[test]
fn a_claim_that_ends_anywhere_or_goes_on_is_refused() {
    let bytes = SessionRequest::Claim(claim(ClaimedBy::Plain)).encode();
    for end in 0..bytes.len() {
        assert!(SessionRequest::decode(bytes.slice(..end)).is_err(), "{end} bytes");
    }
    let longer = Bytes::from([&*bytes, &[0]].concat());
    assert!(SessionRequest::decode(longer).is_err());
}

#[test]
fn a_claim_of_an_unknown_kind_of_client_is_refused() {
    let mut bytes = SessionRequest::Claim(claim(ClaimedBy::Content)).encode().to_vec();
    // Behind the version, the kind and the server.
    assert_eq!(bytes[18], 2);
    bytes[18] = 3;
    assert!(SessionRequest::decode(bytes.into()).is_err());
}

fn twice(ids: usize) -> Twice {
    let held = |number: usize| HeldId {
        id: format!("ann {number}").into(),
        user: number.is_multiple_of(2).then(|| "a".into()),
        age_ms: 20,
        came_ms: 10,
        is_connected: number.is_multiple_of(3),
    };
    Twice { node: NodeId::new([9; 16]), ids: (0..ids).map(held).collect() }
}

#[test]
fn what_may_be_there_twice_is_read_as_it_was_written() {
    for ids in [0, 1, 5, TWICE_MAX] {
        let request = SessionRequest::Twice(twice(ids));
        let bytes = request.encode();
        assert!(SessionRequest::is_meant(&bytes));
        assert_eq!(SessionRequest::decode(bytes), Ok(request));
    }
    for places in [vec![], vec![0, 7], (0..256).collect()] {
        let reply = SessionReply::Ending(places);
        assert_eq!(SessionReply::decode(reply.encode()), Ok(reply));
    }
}

#[test]
fn a_question_of_more_ids_than_may_be_or_that_ends_anywhere_is_refused() {
    let bytes = SessionRequest::Twice(twice(3)).encode();
    for end in 0..bytes.len() {
        assert!(SessionRequest::decode(bytes.slice(..end)).is_err(), "{end} bytes");
    }
    let mut bytes = SessionRequest::Twice(twice(TWICE_MAX)).encode().to_vec();
    // Behind the version, the kind and the server.
    assert_eq!(bytes[18..20], [1, 0]);
    bytes[19] = 1;
    assert!(SessionRequest::decode(bytes.into()).is_err());
    let mut bytes = SessionReply::Ending(vec![1]).encode().to_vec();
    bytes[2] = 2;
    assert!(SessionReply::decode(bytes.into()).is_err());
}

#[test]
fn a_session_is_plain_if_its_client_has_no_token() {
    let plain = MovedSession { proof: MovedProof::default(), ..session() };
    for session in [plain, session()] {
        let is_plain = session.proof.is_none();
        assert_eq!(MovedSession::decode(session.encode()).unwrap().is_plain(), is_plain);
    }
}

#[test]
fn requests_and_replies_are_read_as_they_were_written() {
    let node = NodeId::new([9; 16]);
    let take = SessionRequest::Take {
        token: "a.1.b.c".into(),
        id: Some("ann".into()),
        room: "lobby".into(),
        user: None,
        codec: "json".into(),
    };
    let part = SessionRequest::Part { ticket: 8, from: 100 };
    let inherit = SessionRequest::Inherit {
        ticket: 8,
        from: node,
        away_ms: 20,
        left_ms: 30_000,
        bytes: 9,
        part: Bytes::from_static(b"part"),
    };
    for request in [take, part, SessionRequest::Commit { ticket: 8, node }, inherit] {
        let bytes = request.encode();
        assert!(SessionRequest::is_meant(&bytes));
        assert_eq!(SessionRequest::decode(bytes), Ok(request));
    }
    let given =
        SessionReply::Given { ticket: 8, away_ms: 1, bytes: 9, part: Bytes::from_static(b"part") };
    let refusals = [
        NotGiven::Unknown,
        NotGiven::Outdated,
        NotGiven::OtherUser,
        NotGiven::OtherRoom,
        NotGiven::Busy,
        NotGiven::Elsewhere(node),
        NotGiven::Full,
        NotGiven::Overtaken,
    ];
    let replies = refusals.map(SessionReply::NotGiven).into_iter().chain([given]);
    let held = [true, false].map(|goes_along| SessionReply::Held { goes_along });
    let words = [SessionReply::Committed, SessionReply::Free].into_iter().chain(held);
    for reply in replies.chain(words) {
        assert_eq!(SessionReply::decode(reply.encode()), Ok(reply));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_message_of_sessions_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        kind in 90u8..110,
    ) {
        let all = Bytes::from([&[1, kind], &*bytes].concat());
        let _ = SessionRequest::decode(all.clone());
        let _ = SessionReply::decode(all);
        let _ = MovedSession::decode(Bytes::from([&[1], &*bytes].concat()));
    }

    #[test]
    fn no_change_of_a_claim_makes_it_panic(at in 0usize..60, by in any::<u8>()) {
        let mut bytes = SessionRequest::Claim(claim(ClaimedBy::Exchange)).encode().to_vec();
        let at = at % bytes.len();
        bytes[at] = bytes[at].wrapping_add(by);
        let _ = SessionRequest::decode(bytes.into());
    }

    #[test]
    fn no_change_of_a_session_makes_it_panic(at in 0usize..300, by in any::<u8>()) {
        let mut bytes = session().encode().to_vec();
        let at = at % bytes.len();
        bytes[at] = bytes[at].wrapping_add(by);
        let _ = MovedSession::decode(bytes.into());
    }
}
