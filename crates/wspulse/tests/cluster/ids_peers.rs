//! Other servers of a cluster that answer anything when they are asked for an id.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use wspulse::Server;
use wspulse::cluster::{Engine, EngineStatus, NodeId, Reply, Sink, Topic};
use wspulse::testing::TestClient;
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork};
use wspulse_core::cluster::{
    Beat, Claim, ClaimedBy, MovedSession, NodeState, NotGiven, SessionReply, SessionRequest,
};

use super::support::clients::close_frame;
use super::support::speaker::Speaker;
use super::traveller::exactly_once;
use super::{node, rooms};

/// What this peer replies; nothing where it is `None`.
type Script = fn(SessionRequest) -> Option<Bytes>;

struct Peer(Script);

impl Sink for Peer {
    fn message(&self, _: Topic, _: Bytes) {}
    fn request(&self, message: Bytes, reply: Reply) {
        // It is also asked for what it has said.
        if let Ok(request) = SessionRequest::decode(message)
            && let Some(answer) = (self.0)(request)
        {
            reply.send(answer);
        }
    }
    fn status(&self, _: EngineStatus) {}
}

/// A server that knows a peer which replies this.
async fn beside(script: Script) -> (Server, MemoryEngine) {
    let network = MemoryNetwork::new();
    let (server, _) = node(&network, rooms().resume_window(Duration::from_secs(30)));
    let peer = network.engine();
    let origin = NodeId::new([7; 16]);
    peer.start(origin, Arc::new(Peer(script))).await.unwrap();
    let cluster = server.cluster().unwrap();
    cluster.started().await.unwrap();
    let state = NodeState::Serving;
    let beat = Beat { origin, number: 1, state, connections: 1, moved: Vec::new() };
    while cluster.nodes().is_empty() {
        peer.publish(Topic::Beats, beat.encode()).unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    (server, peer)
}

/// How the server answers a client, and after which time.
async fn comes(script: Script) -> (Result<(), u16>, Duration) {
    let (server, _peer) = beside(script).await;
    let began = Instant::now();
    let came = TestClient::connect(&server, "/ws?room=lobby&id=ann").await;
    let time = began.elapsed();
    assert_eq!(server.connection("ann").is_some(), came.is_ok());
    (came.map(drop).map_err(|refused| refused.status().as_u16()), time)
}

#[tokio::test(start_paused = true)]
async fn words_that_are_none_and_silence_keep_nobody_out() {
    let scripts: [Script; 4] = [
        |_| None,
        |_| Some(Bytes::from_static(&[0xff; 40])),
        |_| Some(SessionReply::Committed.encode()),
        |_| Some(given(Bytes::from_static(b"part"))),
    ];
    for script in scripts {
        let (came, time) = comes(script).await;
        assert_eq!(came, Ok(()));
        assert!(time <= Duration::from_millis(1100), "{time:?}");
    }
}

fn held(request: &SessionRequest, goes_along: bool, released: Option<Bytes>) -> Option<Bytes> {
    if let SessionRequest::Claim(_) = request {
        return Some(SessionReply::Held { goes_along }.encode());
    }
    released
}

/// A session that this peer gives.
fn given(part: Bytes) -> Bytes {
    let bytes = u32::try_from(part.len()).unwrap();
    SessionReply::Given { ticket: 1, away_ms: 1, bytes, part }.encode()
}

#[tokio::test(start_paused = true)]
async fn what_would_end_and_is_not_given_up_keeps_nobody_out() {
    let (came, time) = comes(|request| held(&request, false, None)).await;
    assert_eq!(came, Ok(()));
    assert!(time <= Duration::from_millis(6100), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_said_to_be_there_and_is_not_given_has_its_client_come_again() {
    let scripts: [Script; 5] = [
        |request| held(&request, true, Some(SessionReply::Committed.encode())),
        |request| held(&request, true, Some(SessionReply::NotGiven(NotGiven::Busy).encode())),
        |request| held(&request, true, Some(SessionReply::NotGiven(NotGiven::Full).encode())),
        // It cannot be read.
        |request| held(&request, true, Some(given(Bytes::from_static(b"part")))),
        // It is another one.
        |request| {
            if let SessionRequest::Commit { .. } = request {
                return Some(SessionReply::Committed.encode());
            }
            let other = MovedSession { id: "bob".into(), ..MovedSession::default() };
            held(&request, true, Some(given(other.encode())))
        },
    ];
    for (place, script) in scripts.into_iter().enumerate() {
        let (came, time) = comes(script).await;
        assert_eq!(came, Err(503), "{place}");
        assert!(time <= Duration::from_millis(6100), "{place}: {time:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn places_that_were_not_asked_about_end_nothing() {
    // It answers no claim, so it is asked again, about whom it has.
    let script: Script = |request| {
        let SessionRequest::Twice(twice) = request else { return None };
        assert_eq!((twice.ids.len(), &*twice.ids[0].id), (1, "ann"));
        Some(SessionReply::Ending(vec![1, 255, u16::MAX]).encode())
    };
    let (server, _peer) = beside(script).await;
    let _ann = TestClient::connect(&server, "/ws?room=lobby&id=ann").await.expect("let in");
    sleep(Duration::from_secs(2)).await;
    assert!(server.connection("ann").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_ends_there_ends_once() {
    let script: Script = |request| {
        let SessionRequest::Twice(_) = request else { return None };
        Some(SessionReply::Ending(vec![0, 0]).encode())
    };
    let (server, _peer) = beside(script).await;
    let mut ann = TestClient::connect(&server, "/ws?room=lobby&id=ann").await.expect("let in");
    assert_eq!(close_frame(&mut ann).await.expect("a close frame").code().as_u16(), 1000);
    assert!(server.connection("ann").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_another_server_is_the_clients_answer() {
    let refusals: [(Script, u16); 2] = [
        (|_| Some(SessionReply::NotGiven(NotGiven::OtherUser).encode()), 403),
        (|_| Some(SessionReply::NotGiven(NotGiven::OtherRoom).encode()), 409),
    ];
    for (script, status) in refusals {
        assert_eq!(comes(script).await.0, Err(status));
    }
}

const ANN: &str = "/ws?room=lobby&id=ann";

/// Ann has come to another server than her session's.
#[derive(Clone, Copy)]
struct Comes {
    codec: &'static str,
    with_token: bool,
    /// That long ago.
    age_ms: u32,
    /// Once she has come back to her session, six seconds after it began.
    is_back: bool,
}

const JUST_NOW: Comes = Comes { codec: "json", with_token: false, age_ms: 0, is_back: false };

/// What the server of her session, to which she has come a second ago, answers that other one.
async fn answers(comes: Comes) -> SessionReply {
    let network = MemoryNetwork::new();
    let (server, _) = node(&network, exactly_once());
    let peer = network.engine();
    peer.start(NodeId::new([7; 16]), Arc::new(Peer(|_| None))).await.unwrap();
    let cluster = server.cluster().unwrap();
    cluster.started().await.unwrap();
    let (mut ann, mut hello) = Speaker::begin(&server, ANN).await;
    ann.say("it has read its hello").await;
    if comes.is_back {
        sleep(Duration::from_secs(6)).await;
        drop(ann);
        (ann, hello) = Speaker::resume(&server, ANN, &hello.token, 0).await;
        ann.say("it has read its hello").await;
    }
    sleep(Duration::from_secs(1)).await;
    let claim = SessionRequest::Claim(Claim {
        node: NodeId::new([7; 16]),
        id: "ann".into(),
        room: "lobby".into(),
        user: None,
        codec: comes.codec.into(),
        token: comes.with_token.then(|| hello.token.into()),
        age_ms: comes.age_ms,
        by: ClaimedBy::Exchange,
    });
    let within = Duration::from_secs(1);
    let answer = peer.request(cluster.id(), claim.encode(), within).await.expect("an answer");
    SessionReply::decode(answer).expect("it can be read")
}

const ENDS: SessionReply = SessionReply::Held { goes_along: false };

#[tokio::test(start_paused = true)]
async fn a_client_whose_token_led_nowhere_does_not_end_the_session_that_it_is_for() {
    assert_eq!(answers(JUST_NOW).await, ENDS);
    let with_token = Comes { with_token: true, ..JUST_NOW };
    assert_eq!(answers(with_token).await, SessionReply::NotGiven(NotGiven::Outdated));
}

#[tokio::test(start_paused = true)]
async fn a_token_with_another_codec_leads_nowhere_and_ends_the_session_that_it_is_for() {
    assert_eq!(answers(Comes { codec: "other", with_token: true, ..JUST_NOW }).await, ENDS);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_began_before_the_client_came_does_not_end_its_session() {
    for is_back in [false, true] {
        let comes = Comes { is_back, ..JUST_NOW };
        assert_eq!(answers(Comes { age_ms: 500, ..comes }).await, ENDS);
        let stale = answers(Comes { age_ms: 2_000, ..comes }).await;
        assert_eq!(stale, SessionReply::NotGiven(NotGiven::Overtaken));
    }
}
