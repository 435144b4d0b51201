//! What servers ask each other and reply, as bytes: as it was written, or refused.

use bytes::Bytes;
use proptest::prelude::*;
use wspulse_core::cluster::{
    ENTRIES_MAX, FullBuffer, Listed, ListedPerson, ListedState, MEMBERS_WITHIN_MAX, MemberReply,
    MembersOf, MessageError, MetaMark, NodeId, NodeReply, NodeRequest, NotQueued, PeopleChanges,
    PersonName, Said, Unreplied,
};
use wspulse_core::{CloseCode, CloseFrame, EncodedFrame, EncodedMarks, MessageKind, Overflow};

fn said() -> Said {
    let marks = EncodedMarks { key: Some(b"cursor"), is_volatile: true, ..EncodedMarks::default() };
    let frame = EncodedFrame::from_payload_marked(MessageKind::Text, b"{}", marks);
    Said { overflow: Some(Overflow::Refuse), ..Said::new(frame.unwrap()) }
}

fn listed(id: &'static str, user: Option<&'static str>) -> Listed {
    Listed { id: id.into(), room: "lobby".into(), user: user.map(Into::into), is_suspended: true }
}

fn name(id: &'static str) -> PersonName {
    PersonName { is_user: true, id: id.into() }
}

fn person(state: ListedState, meta: Option<&'static str>) -> ListedPerson {
    let meta_mark = MetaMark { number: 7, node: NodeId::new([9; NodeId::BYTES]) };
    ListedPerson { name: name("ann"), state, meta_mark, meta: meta.map(Into::into) }
}

fn people() -> Vec<ListedPerson> {
    vec![
        person(ListedState::Here, Some("{}")),
        person(ListedState::Away, None),
        person(ListedState::Gone, None),
        person(ListedState::Moved { was_here: true }, Some("7")),
        person(ListedState::Moved { was_here: false }, None),
    ]
}

fn requests() -> Vec<NodeRequest> {
    let close = CloseFrame::new(CloseCode::new(4001).unwrap(), "signed in elsewhere");
    vec![
        NodeRequest::Find { id: "ann".into() },
        NodeRequest::Send { id: "ann".into(), codec: "json".into(), said: said() },
        NodeRequest::Kick { id: "ann".into(), close: close.clone() },
        NodeRequest::KickUser { user: "ann".into(), close },
        NodeRequest::Connections { of: MembersOf::Room("lobby".into()) },
        NodeRequest::Connections { of: MembersOf::User("ann".into()) },
        NodeRequest::People { room: "lobby".into(), after: None },
        NodeRequest::People { room: "lobby".into(), after: Some(name("bob")) },
        NodeRequest::Rooms,
        NodeRequest::Counts,
        NodeRequest::AskMembers {
            room: "lobby".into(),
            within_ms: 1_000,
            codec: "".into(),
            said: said(),
        },
    ]
}

fn replies() -> Vec<NodeReply> {
    let member = |reply| MemberReply { id: "ann".into(), reply };
    let members = [
        Ok(said()),
        Err(Unreplied::TimedOut),
        Err(Unreplied::Closed),
        Err(Unreplied::NotSent),
        Err(Unreplied::Refused(said())),
        Err(Unreplied::NotExpressed),
    ];
    vec![
        NodeReply::Busy,
        NodeReply::NotFound,
        NodeReply::Found(listed("ann", Some("ann"))),
        NodeReply::Queued,
        NodeReply::NotQueued(NotQueued::Full(FullBuffer::Frames(16))),
        NodeReply::NotQueued(NotQueued::Full(FullBuffer::Bytes(16))),
        NodeReply::NotQueued(NotQueued::Full(FullBuffer::ServerBytes(16))),
        NodeReply::NotQueued(NotQueued::BreaksPromise),
        NodeReply::NotQueued(NotQueued::NotExpressed),
        NodeReply::Kicked { connections: 3 },
        NodeReply::Connections { count: 7, listed: vec![listed("ann", None)] },
        NodeReply::Rooms { count: 7, listed: vec![("lobby".into(), 12)] },
        NodeReply::People { stream: 3, number: 12, is_last: true, listed: people() },
        NodeReply::People { stream: 0, number: 0, is_last: false, listed: vec![] },
        NodeReply::Counts { connections: 3, rooms: 2, users: 1 },
        NodeReply::Members { count: 9, codec: "json".into(), replies: members.map(member).into() },
    ]
}

/// With one byte after the other changed or all after it gone, what is read is read anew as itself.
fn is_read_whatever_comes(encoded: &Bytes, read: impl Fn(Bytes) -> Option<Bytes>) {
    for at in 0..encoded.len() {
        assert_eq!(read(encoded.slice(..at)), None, "it ends early at {at}");
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = encoded.to_vec();
            changed[at] = byte;
            if let Some(again) = read(Bytes::from(changed)) {
                assert!(again.len() <= encoded.len());
            }
        }
    }
    let longer = [encoded, &b"!"[..]].concat();
    assert_eq!(read(longer.into()), None, "something follows");
}

#[test]
fn each_request_and_reply_is_read_as_it_was_written() {
    for request in requests() {
        assert!(NodeRequest::is_meant(&request.encode()));
        assert_eq!(NodeRequest::decode(request.encode()), Ok(request));
    }
    for reply in replies() {
        assert!(!NodeRequest::is_meant(&reply.encode()));
        assert_eq!(NodeReply::decode(reply.encode()), Ok(reply));
    }
}

#[test]
fn a_request_or_reply_that_is_cut_or_changed_is_refused_or_another_one() {
    for request in requests() {
        is_read_whatever_comes(&request.encode(), |it| {
            Some(NodeRequest::decode(it).ok()?.encode())
        });
    }
    for reply in replies() {
        is_read_whatever_comes(&reply.encode(), |it| Some(NodeReply::decode(it).ok()?.encode()));
    }
}

#[test]
fn what_has_changed_among_people_is_read_as_it_was_written_and_refused_if_it_is_not() {
    let changes = PeopleChanges(people());
    assert_eq!(PeopleChanges::decode(changes.encode()), Ok(changes.clone()));
    let read = |it| Some(PeopleChanges::decode(it).ok()?.encode());
    is_read_whatever_comes(&changes.encode(), read);
    let mut later = changes.encode().to_vec();
    later[1] = 4;
    let unknown = MessageError::Kind { found: 4 };
    assert_eq!(PeopleChanges::decode(later.into()), Err(unknown), "of a later version");
}

#[test]
fn a_reply_says_whether_there_are_more_than_it_holds() {
    let of = |count| NodeReply::Connections { count, listed: vec![listed("ann", None)] };
    assert!(of(2).is_truncated());
    assert!(!of(1).is_truncated());
    let invalid = MessageError::Invalid { what: "number of entries" };
    assert_eq!(NodeReply::decode(of(0).encode()), Err(invalid), "more than there are");
}

#[test]
fn no_reply_holds_more_than_so_many_entries() {
    let reply = NodeReply::Rooms { count: 5_000, listed: vec![("".into(), 1); ENTRIES_MAX] };
    assert_eq!(NodeReply::decode(reply.encode()), Ok(reply.clone()));
    let mut more = reply.encode().to_vec();
    // Behind the version, the kind and the count.
    let entries = u16::try_from(ENTRIES_MAX + 1).unwrap().to_be_bytes();
    more[10..12].copy_from_slice(&entries);
    more.extend([0; 12]);
    let invalid = MessageError::Invalid { what: "number of entries" };
    assert_eq!(NodeReply::decode(more.into()), Err(invalid));
}

#[test]
fn nobody_is_counted_so_high_that_a_sum_overflows() {
    let reply = NodeReply::Kicked { connections: 1 << 41 };
    let invalid = MessageError::Invalid { what: "count" };
    assert_eq!(NodeReply::decode(reply.encode()), Err(invalid));
}

#[test]
fn no_server_waits_for_members_longer_than_it_may_be_asked_to() {
    let within_ms = u32::try_from(MEMBERS_WITHIN_MAX.as_millis()).unwrap();
    let request = |within_ms| NodeRequest::AskMembers {
        room: "lobby".into(),
        within_ms,
        codec: "json".into(),
        said: said(),
    };
    assert!(NodeRequest::decode(request(within_ms).encode()).is_ok());
    let invalid = MessageError::Invalid { what: "time" };
    assert_eq!(NodeRequest::decode(request(within_ms + 1).encode()), Err(invalid));
}

proptest! {
    #[test]
    fn whatever_bytes_come_are_read_or_refused(
        kind in 64_u8..92,
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = Bytes::from([&[1, kind], &rest[..]].concat());
        if let Ok(request) = NodeRequest::decode(bytes.clone()) {
            prop_assert_eq!(request.encode(), &bytes);
        }
        if let Ok(reply) = NodeReply::decode(bytes.clone()) {
            prop_assert_eq!(reply.encode(), bytes);
        }
    }
}
