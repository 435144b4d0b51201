//! What another server says is no order to do harm: what cannot be read is told as a gap.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wspulse::Server;
use wspulse::cluster::{
    AppendId, Engine, EngineStatus, Gap, GroupKey, Log, Missed, NodeId, NodeState, Reply, Sink,
    Topic,
};
use wspulse::testing::cluster::{MemoryEngine, MemoryNetwork};
use wspulse_core::cluster::{Batch, Beat, Moved, Said, Target};
use wspulse_core::{EncodedFrame, MessageKind};

use super::support::clients::{Client, hears_nothing, numbered};
use super::{come, hears, node, rooms};

/// Another server hears nothing here.
struct Deaf;

impl Sink for Deaf {
    fn message(&self, _: Topic, _: Bytes) {}
    fn request(&self, _: Bytes, _: Reply) {}
    fn status(&self, _: EngineStatus) {}
}

/// How a room is called between servers.
fn topic(room: &str) -> Topic {
    let hash = Sha256::digest(format!("room:{room}"));
    let mut key = [0; GroupKey::BYTES];
    key.copy_from_slice(&hash[..GroupKey::BYTES]);
    Topic::Group(GroupKey::new(key))
}

fn target(room: &str) -> Target {
    let Topic::Group(key) = topic(room) else { panic!("a room is a group") };
    Target::Group(key)
}

fn batch(codec: &str, beside: &'static [u8]) -> Batch {
    let frame = EncodedFrame::from_payload(MessageKind::Text, br#"{"event":"n","payload":1}"#);
    Batch {
        origin: NodeId::new([7; 16]),
        stream: 1,
        first: 1,
        quiet_ms: u32::MAX,
        sent_ms: 0,
        codec: codec.to_owned().into(),
        said: vec![Said { beside: Bytes::from_static(beside), ..Said::new(frame) }],
    }
}

/// The gaps that a server is told whose member hears nothing of this.
async fn gaps_of(batch: Batch) -> Vec<Missed> {
    let network = MemoryNetwork::new();
    let told: Arc<Mutex<Vec<Gap>>> = Arc::default();
    let tells = Arc::clone(&told);
    let (server, _) = node(&network, rooms().on_gap(move |gap| tells.lock().unwrap().push(gap)));
    let mut bob = come(&server, "room=lobby&id=bob").await;
    let other = network.engine();
    other.start(batch.origin, Arc::new(Deaf)).await.unwrap();
    other.publish(topic("lobby"), batch.encode()).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    hears_nothing(&mut bob).await;
    let told = told.lock().unwrap();
    told.iter().map(|gap| gap.missed).collect()
}

#[tokio::test(start_paused = true)]
async fn a_frame_whose_exceptions_cannot_be_read_reaches_nobody_and_is_told_as_lost() {
    assert_eq!(gaps_of(batch("json", &[9])).await, [Missed::Frames(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_a_codec_that_is_not_known_here_is_told_as_lost() {
    assert_eq!(gaps_of(batch("morse", &[])).await, [Missed::Frames(1)]);
}

/// A server whose room has a log, a member of that, the gaps that are told, and one who says nonsense.
async fn logged() -> (Server, Client, Arc<Mutex<Vec<Gap>>>, MemoryEngine) {
    let network = MemoryNetwork::new();
    let told: Arc<Mutex<Vec<Gap>>> = Arc::default();
    let tells = Arc::clone(&told);
    let builder = rooms().logged_rooms(|_| true);
    let (server, _) = node(&network, builder.on_gap(move |gap| tells.lock().unwrap().push(gap)));
    let mut bob = come(&server, "room=lobby&id=bob").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    server.room("lobby").append(numbered(1)).await.unwrap();
    assert_eq!(hears(&mut bob, 1).await, [1]);
    let other = network.engine();
    other.start(NodeId::new([7; 16]), Arc::new(Deaf)).await.unwrap();
    (server, bob, told, other)
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_in_a_log_is_a_gap_of_one_and_holds_up_nothing() {
    let (server, mut bob, told, other) = logged().await;
    let Topic::Group(key) = topic("lobby") else { panic!("a room is a group") };
    let (nonsense, within) = (Bytes::from_static(b"nonsense"), Duration::from_secs(1));
    other.append(key, AppendId::random(), nonsense, within).await.unwrap();
    for number in 3..5 {
        server.room("lobby").append(numbered(number)).await.unwrap();
    }
    assert_eq!(hears(&mut bob, 2).await, [3, 4]);
    let told: Vec<_> = told.lock().unwrap().iter().map(|gap| gap.missed).collect();
    assert_eq!(told, [Missed::Frames(1)]);
    let read = server.room("lobby").history(10).await.unwrap();
    let read: Vec<_> = read.iter().map(|it| (it.position.number, it.frame.is_some())).collect();
    assert_eq!(read, [(1, true), (2, false), (3, true), (4, true)]);
}

#[tokio::test(start_paused = true)]
async fn where_a_log_ends_is_not_believed_but_looked_at() {
    let (server, mut bob, told, other) = logged().await;
    let moved = vec![Moved { target: target("lobby"), stream: u32::MAX, newest: 1 << 60 }];
    let (origin, state) = (NodeId::LOG, NodeState::Serving);
    let beat = Beat { origin, number: 1 << 60, state, connections: 0, moved };
    other.publish(Topic::Beats, beat.encode()).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    server.room("lobby").append(numbered(2)).await.unwrap();
    assert_eq!(hears(&mut bob, 1).await, [2]);
    assert!(told.lock().unwrap().is_empty());
}
