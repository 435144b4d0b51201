//! Servers that ask too much, reply what is no answer, or reply nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use wspulse::cluster::{
    Engine, EngineStatus, Found, NodeId, NotKicked, NotSent, Reply, Sink, Topic,
};
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork};
use wspulse::{Server, ServerBuilder};
use wspulse_core::cluster::{
    Beat, Listed, MembersOf, NodeReply, NodeRequest, NodeState, Said, SessionReply, SessionRequest,
};
use wspulse_core::{EncodedFrame, MessageKind};

use super::asking::asking;
use super::support::clients::{hears_nothing, numbered};
use super::{come, node, rooms};

const SECOND: Duration = Duration::from_secs(1);

/// What this peer replies to a request; nothing where it is `None`.
pub(super) type Script = fn(NodeRequest) -> Option<Bytes>;

struct Peer(Script);

impl Sink for Peer {
    fn message(&self, _: Topic, _: Bytes) {}
    fn request(&self, message: Bytes, reply: Reply) {
        // Nobody is kept out by it.
        if let Ok(SessionRequest::Claim(_)) = SessionRequest::decode(message.clone()) {
            return reply.send(SessionReply::Free.encode());
        }
        let request = NodeRequest::decode(message).expect("only such requests come");
        if let Some(answer) = (self.0)(request) {
            reply.send(answer);
        }
    }
    fn status(&self, _: EngineStatus) {}
}

pub(super) const PEER: NodeId = NodeId::new([7; 16]);

/// A server that knows a peer which replies this.
async fn beside(script: Script) -> (Server, MemoryEngine) {
    beside_of(rooms(), script).await
}

pub(super) async fn beside_of(builder: ServerBuilder, script: Script) -> (Server, MemoryEngine) {
    let network = MemoryNetwork::new();
    let (server, _) = node(&network, builder);
    let peer = network.engine();
    peer.start(PEER, Arc::new(Peer(script))).await.unwrap();
    asking(&server).started().await.unwrap();
    let beat = Beat {
        origin: PEER,
        number: 1,
        state: NodeState::Serving,
        connections: 1,
        moved: Vec::new(),
    };
    while asking(&server).nodes().is_empty() {
        peer.publish(Topic::Beats, beat.encode()).unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    (server, peer)
}

fn found(id: &'static str) -> Bytes {
    let listed = Listed { id: id.into(), room: "lobby".into(), user: None, is_suspended: false };
    NodeReply::Found(listed).encode()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_the_connection_and_does_not_say_what_became_of_the_frame_may_have_it() {
    let (server, _peer) =
        beside(|it| matches!(it, NodeRequest::Find { .. }).then(|| found("ann"))).await;
    match asking(&server).send("ann", numbered(1)).await {
        Err(NotSent::Unknown { frame, id, node }) => {
            assert_eq!((*frame, &*id, node), (numbered(1), "ann", PEER));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_gone_between_two_requests_is_not_found() {
    let (server, _peer) = beside(|it| {
        let is_first = matches!(it, NodeRequest::Find { .. });
        Some(if is_first { found("ann") } else { NodeReply::NotFound.encode() })
    })
    .await;
    let sent = asking(&server).send("ann", numbered(1)).await;
    assert!(matches!(sent, Err(NotSent::NotFound { .. })), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_has_done_nothing() {
    let (server, _peer) = beside(|_| Some(NodeReply::Busy.encode())).await;
    let (silent, gone) = (Vec::new(), vec![PEER]);
    let kicked = asking(&server).kick("ann").await;
    assert_eq!(kicked, Err(NotKicked::Unknown { id: "ann".into(), silent, gone }));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_to_the_question_is_as_good_as_none() {
    let scripts: [Script; 4] = [
        |_| Some(Bytes::from_static(&[0xff; 40])),
        |_| Some(Bytes::new()),
        |_| Some(NodeReply::Queued.encode()),
        // Another one than was asked for.
        |_| Some(found("bob")),
    ];
    for script in scripts {
        let (server, _peer) = beside(script).await;
        let cluster = asking(&server);
        let (silent, gone) = (vec![PEER], Vec::new());
        assert_eq!(cluster.find("ann").await, Found::Unknown { silent, gone });
        assert_eq!(cluster.connections("lobby").await.silent, [PEER]);
        assert_eq!(cluster.rooms().await.silent, [PEER]);
        assert_eq!(cluster.counts().await.silent, [PEER]);
        assert_eq!(cluster.kick_user("ann").await.silent, [PEER]);
    }
}

fn asks_members(id: &str) -> Bytes {
    let payload = format!(r#"{{"id":"{id}","event":"vote"}}"#);
    let frame = EncodedFrame::from_payload(MessageKind::Text, payload.as_bytes());
    let (room, codec, said) = ("lobby".into(), "json".into(), Said::new(frame));
    NodeRequest::AskMembers { room, within_ms: 60_000, codec, said }.encode()
}

#[tokio::test(start_paused = true)]
async fn of_requests_that_wait_for_clients_no_more_than_so_many_are_taken_and_the_rest_counted() {
    let (server, peer) = beside(|_| None).await;
    let _ann = come(&server, "room=lobby&id=ann").await;
    let to = asking(&server).id();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..300 {
        let (peer, message) = (peer.clone(), asks_members(&number.to_string()));
        asked.spawn(async move { peer.request(to, message, SECOND).await });
    }
    let mut busy = 0;
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap().ok().map(|it| NodeReply::decode(it).unwrap());
        busy += u64::from(answer == Some(NodeReply::Busy));
    }
    assert_eq!((busy, asking(&server).readings().requests_refused), (44, 44));
    // They keep nobody else out.
    let request = NodeRequest::Find { id: "ann".into() }.encode();
    let answer = peer.request(to, request, SECOND).await.unwrap();
    assert!(matches!(NodeReply::decode(answer), Ok(NodeReply::Found(_))));
    // Their places are free again once their time is over.
    sleep(60 * SECOND).await;
    let message = asks_members("last");
    assert!(timeout(SECOND, peer.request(to, message, 2 * SECOND)).await.is_err(), "it is taken");
    assert_eq!(asking(&server).readings().requests_refused, 44);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_read_is_counted_and_has_no_answer() {
    let (server, peer) = beside(|_| None).await;
    let mut ann = come(&server, "room=lobby&id=ann").await;
    let to = asking(&server).id();
    let before = asking(&server).readings().unreadable;
    let frame = EncodedFrame::from_payload(MessageKind::Text, b"{}");
    let said = Said::new(frame);
    let whole = NodeRequest::Send { id: "ann".into(), codec: "json".into(), said }.encode();
    let hostile = [whole.slice(..whole.len() - 1), [&whole[..], b"!"].concat().into()];
    for message in hostile {
        assert!(peer.request(to, message, SECOND).await.is_err());
    }
    assert_eq!(asking(&server).readings().unreadable - before, 2);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_room_or_a_user_that_nobody_is_in_is_answered_as_empty() {
    let (server, peer) = beside(|_| None).await;
    let to = asking(&server).id();
    for of in [MembersOf::Room("none".into()), MembersOf::User("none".into())] {
        let request = NodeRequest::Connections { of }.encode();
        let answer = NodeReply::decode(peer.request(to, request, SECOND).await.unwrap());
        assert_eq!(answer, Ok(NodeReply::Connections { count: 0, listed: Vec::new() }));
    }
}
