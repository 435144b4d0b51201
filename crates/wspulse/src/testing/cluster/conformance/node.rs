//! A node of a cluster under test: an engine, and everything that its sink was given.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Engines;
use crate::cluster::{
    Engine, EngineStatus, GroupKey, LogPosition, NodeId, Reply, Sink, Topic, TopicFilter,
    Unavailable,
};

/// How long anything that must come may take: a real network on a machine that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How many of the last things a failed assertion shows.
const SHOWN: usize = 12;

pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) heard: Arc<Heard>,
}

/// What a sink was given, in order.
#[derive(Default)]
pub(super) struct Heard {
    all: Mutex<Vec<Word>>,
    changed: Notify,
    /// Requests that are never answered.
    kept: Mutex<Vec<Reply>>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Word {
    Message(Topic, Bytes),
    Logged(GroupKey, LogPosition, Bytes),
    Request(Bytes),
    Status(EngineStatus),
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Bytes| match bytes.len() {
            0..=64 => format!("{bytes:?}"),
            long => format!("{long} bytes"),
        };
        match self {
            Self::Message(topic, message) => write!(f, "{} to {topic:?}", text(message)),
            Self::Logged(key, position, entry) => {
                write!(f, "{} at {position} in the log of {key}", text(entry))
            }
            Self::Request(message) => write!(f, "the request {}", text(message)),
            Self::Status(status) => write!(f, "{status:?}"),
        }
    }
}

/// A request that begins so is never answered.
pub(super) const KEEP: &[u8] = b"keep";

impl Sink for Heard {
    fn message(&self, topic: Topic, message: Bytes) {
        self.hear(Word::Message(topic, message));
    }

    fn logged(&self, key: GroupKey, position: LogPosition, entry: Bytes) {
        self.hear(Word::Logged(key, position, entry));
    }

    /// Answers with the request itself.
    fn request(&self, message: Bytes, reply: Reply) {
        self.hear(Word::Request(message.clone()));
        if message.starts_with(KEEP) {
            self.kept.lock().push(reply);
        } else {
            reply.send(message);
        }
    }

    fn status(&self, status: EngineStatus) {
        self.hear(Word::Status(status));
    }
}

impl Heard {
    fn hear(&self, word: Word) {
        self.all.lock().push(word);
        self.changed.notify_waiters();
    }

    pub(super) fn count(&self) -> usize {
        self.all.lock().len()
    }

    /// What was heard on a topic, in order.
    pub(super) fn on(&self, topic: Topic) -> Vec<Bytes> {
        let of_topic = |word: &Word| match word {
            Word::Message(on, message) if *on == topic => Some(message.clone()),
            Word::Message(..) | Word::Logged(..) | Word::Request(_) | Word::Status(_) => None,
        };
        self.all.lock().iter().filter_map(of_topic).collect()
    }

    pub(super) fn has(&self, word: &Word) -> bool {
        self.all.lock().contains(word)
    }

    pub(super) fn any(&self, is_it: impl Fn(&Word) -> bool) -> bool {
        self.all.lock().iter().any(is_it)
    }

    pub(super) fn last_status(&self) -> Option<EngineStatus> {
        self.all.lock().iter().rev().find_map(|word| match word {
            Word::Status(EngineStatus::Lost)
            | Word::Message(..)
            | Word::Logged(..)
            | Word::Request(_) => None,
            Word::Status(status) => Some(*status),
        })
    }

    /// Waits until something holds.
    pub(super) async fn until(&self, expected: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        let in_time = timeout(PATIENCE, wait).await.is_ok();
        assert!(in_time, "{expected}, and has not within {PATIENCE:?}; {}", self.told());
    }

    /// Waits until this message has come.
    pub(super) async fn message_comes(&self, topic: Topic, message: &Bytes) {
        let word = Word::Message(topic, message.clone());
        self.until(&format!("{word:?} should come"), |heard| heard.has(&word)).await;
    }

    /// What was heard last, for assertions.
    pub(super) fn told(&self) -> String {
        let all = self.all.lock();
        let last = &all[all.len().saturating_sub(SHOWN)..];
        format!("of {} things heard, the last are {last:?}", all.len())
    }
}

/// Numbers nodes and groups, so that no two checks have one in common.
static DRAWN: AtomicU64 = AtomicU64::new(0);

fn fresh() -> [u8; 16] {
    let mut bytes = uuid::Uuid::new_v4().into_bytes();
    let number = DRAWN.fetch_add(1, Ordering::Relaxed);
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub(super) fn fresh_node() -> NodeId {
    NodeId::new(fresh())
}

pub(super) fn fresh_group() -> GroupKey {
    GroupKey::new(fresh())
}

/// Another group of the same shard.
pub(super) fn neighbour(of: GroupKey) -> GroupKey {
    let mut bytes = fresh();
    bytes[..2].copy_from_slice(&of.as_bytes()[..2]);
    GroupKey::new(bytes)
}

impl Node {
    /// One whose engine has begun, connected or not.
    pub(super) async fn begin(engines: &impl Engines) -> Self {
        let (id, engine, heard) = (fresh_node(), engines.engine(), Arc::<Heard>::default());
        let sink = Arc::clone(&heard) as Arc<dyn Sink>;
        if let Err(error) = engine.start(id, sink).await {
            panic!("an engine should begin: {error}");
        }
        Self { id, engine, heard }
    }

    /// One that is connected.
    pub(super) async fn connect(engines: &impl Engines) -> Self {
        let node = Self::begin(engines).await;
        node.connected().await;
        node
    }

    pub(super) async fn connected(&self) {
        let is = |heard: &Heard| heard.last_status() == Some(EngineStatus::Connected);
        self.heard.until("the engine should tell that it is connected", is).await;
    }

    pub(super) async fn subscribe(&self, filter: TopicFilter) {
        if let Err(error) = self.engine.subscribe(filter).await {
            panic!("a connected engine should subscribe to {filter:?}: {error}");
        }
    }

    pub(super) async fn hears(&self, topic: Topic) {
        self.subscribe(TopicFilter::Topic(topic)).await;
    }

    /// Publishes, and waits for room where the engine has none just now.
    pub(super) async fn publish(&self, topic: Topic, message: &Bytes) {
        let attempt = async {
            while self.engine.publish(topic, message.clone()) == Err(Unavailable) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = timeout(PATIENCE, attempt).await.is_ok();
        assert!(
            in_time,
            "a connected engine should publish, and is Unavailable for {PATIENCE:?}; {}",
            self.heard.told()
        );
    }

    pub(super) async fn close(self) {
        self.engine.close().await;
    }
}
