//! What another server says is no order to do harm: what cannot be read is told as a gap.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wspulse::cluster::{Engine, EngineStatus, Gap, GroupKey, Missed, NodeId, Reply, Sink, Topic};
use wspulse::testing::cluster::MemoryNetwork;
use wspulse_core::cluster::{Batch, Said};
use wspulse_core::{EncodedFrame, MessageKind};

use super::support::clients::hears_nothing;
use super::{come, node, rooms};

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
