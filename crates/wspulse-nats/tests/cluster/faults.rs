//! A server that stops, that is about to end, and that takes only so much.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use wspulse::cluster::{
    Engine, EngineStatus, GroupKey, NodeId, Reply, Sink, Topic, TopicFilter, Unavailable,
};
use wspulse_nats::NatsEngine;

use crate::nats_server::NatsServer;

const PATIENCE: Duration = Duration::from_secs(30);
const TOPIC: Topic = Topic::Group(GroupKey::new([7; 16]));

/// What a sink was given.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Message(Bytes),
    Status(EngineStatus),
}

struct Told(mpsc::UnboundedSender<Word>);

impl Sink for Told {
    fn message(&self, _: Topic, message: Bytes) {
        let _ = self.0.send(Word::Message(message));
    }

    fn request(&self, message: Bytes, reply: Reply) {
        reply.send(message);
    }

    fn status(&self, status: EngineStatus) {
        let _ = self.0.send(Word::Status(status));
    }
}

struct Node {
    engine: NatsEngine,
    told: mpsc::UnboundedReceiver<Word>,
}

impl Node {
    async fn connect(server: &NatsServer, number: u8) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let engine = server.builder().build().unwrap();
        engine.start(NodeId::new([number; 16]), Arc::new(Told(sender))).await.unwrap();
        let mut node = Self { engine, told };
        node.expect(&Word::Status(EngineStatus::Connected)).await;
        node
    }

    /// Waits for this, and passes over all else.
    async fn expect(&mut self, expected: &Word) {
        let wait = async {
            while let Some(word) = self.told.recv().await {
                if word == *expected {
                    return;
                }
            }
            panic!("the engine is gone");
        };
        let in_time = timeout(PATIENCE, wait).await.is_ok();
        assert!(in_time, "{expected:?} should come within {PATIENCE:?}");
    }
}

/// The test has the only thread: if `publish` waited for its tasks, or for the server, nobody would be
/// there to end that, and the test would not either.
#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn publish_does_not_wait_for_a_server_that_has_stopped() {
    let server = NatsServer::start();
    let mut ann = Node::connect(&server, 1).await;
    let mut bob = Node::connect(&server, 2).await;
    bob.engine.subscribe(TopicFilter::Topic(TOPIC)).await.unwrap();
    server.signal("-STOP");
    // Until everything is full: the sockets, the client, the queue.
    let message = Bytes::from(vec![0; 64 * 1024]);
    let (mut taken, mut refused) = (0, false);
    while !refused {
        refused = ann.engine.publish(TOPIC, message.clone()) == Err(Unavailable);
        taken += 1;
        if taken % 64 == 0 {
            tokio::task::yield_now().await;
        }
        assert!(taken < 10_000, "{taken} messages of 64 KiB are somewhere");
    }
    // The Pings find out, and then nothing is taken at all.
    ann.expect(&Word::Status(EngineStatus::Disconnected)).await;
    bob.expect(&Word::Status(EngineStatus::Disconnected)).await;
    assert_eq!(ann.engine.publish(TOPIC, Bytes::from("lost")), Err(Unavailable));
    server.signal("-CONT");
    ann.expect(&Word::Status(EngineStatus::Connected)).await;
    bob.expect(&Word::Status(EngineStatus::Connected)).await;
    ann.engine.publish(TOPIC, Bytes::from("on it goes")).unwrap();
    bob.expect(&Word::Message(Bytes::from("on it goes"))).await;
    ann.engine.close().await;
    bob.engine.close().await;
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn a_server_that_is_about_to_end_is_left_for_another_one() {
    let first = NatsServer::start();
    let second = NatsServer::start();
    // Both are named, and the first one is the only one that is there at the beginning.
    second.kill();
    let (sender, told) = mpsc::unbounded_channel();
    let engine = first.builder().server(second.url()).build().unwrap();
    engine.start(NodeId::new([1; 16]), Arc::new(Told(sender))).await.unwrap();
    let mut ann = Node { engine, told };
    ann.expect(&Word::Status(EngineStatus::Connected)).await;
    second.start_again();
    first.signal("-USR2");
    let mut bob = Node::connect(&second, 2).await;
    bob.engine.subscribe(TopicFilter::Topic(TOPIC)).await.unwrap();
    // What arrives at the second one can only come from there: within the ten seconds that a server
    // in lame duck mode waits before it closes anything.
    let mut number = 0_u32;
    let heard = async {
        loop {
            number += 1;
            let _ = ann.engine.publish(TOPIC, number.to_be_bytes().to_vec().into());
            let wait = Duration::from_millis(50);
            if let Ok(Some(Word::Message(_))) = timeout(wait, bob.told.recv()).await {
                return;
            }
        }
    };
    assert!(timeout(Duration::from_secs(9), heard).await.is_ok(), "it stays with a lame duck");
    ann.engine.close().await;
    bob.engine.close().await;
}

#[tokio::test]
#[ignore = "it needs a NATS server: run by `.ci/run cluster`"]
async fn the_largest_message_is_what_the_server_takes() {
    let server = NatsServer::with_config("max_payload: 65536");
    let (ann, mut bob) = (Node::connect(&server, 1).await, Node::connect(&server, 2).await);
    bob.engine.subscribe(TopicFilter::Topic(TOPIC)).await.unwrap();
    let bytes = ann.engine.message_bytes_max();
    assert_eq!(bytes, 65_536 - 256);
    assert_eq!(ann.engine.publish(TOPIC, vec![0; bytes + 1].into()), Err(Unavailable));
    ann.engine.publish(TOPIC, vec![0; bytes].into()).unwrap();
    bob.expect(&Word::Message(vec![0; bytes].into())).await;
    ann.engine.close().await;
    bob.engine.close().await;
}
