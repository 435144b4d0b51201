//! The suite for engines finds each rule broken that it names: an engine in memory that breaks one.

#![allow(clippy::wildcard_enum_match_arm, reason = "each fault is in one place, and in no other")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use wspulse::cluster::{
    Engine, EngineError, EngineFuture, EngineStatus, NodeId, Reply, RequestFailed, Sink, Topic,
    TopicFilter, Unavailable,
};
use wspulse::testing::cluster::{Engines, Interruption, MemoryEngine, MemoryNetwork, conformance};

/// What is wrong with an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    SaysAnotherTopic,
    LosesWhatIsForEverybody,
    TurnsTwoRound,
    SubscribesLate,
    KnowsNoShards,
    EndsAllThatCoverATopic,
    EndsNothing,
    CutsMessages,
    LosesEmptyMessages,
    WaitsInPublish,
    MixesUpReplies,
    CutsReplies,
    TakesNobodyForSlow,
    TakesSlowForNobody,
    LivesOn,
    PublishesOnceClosed,
    ForgetsSubscriptions,
    KeepsQuietAboutTheEnd,
    PublishesWithoutNetwork,
    BeginsWithANetworkOnly,
}

/// Engines in memory, all with one fault.
struct Broken {
    fault: Fault,
    network: MemoryNetwork,
    is_down: Arc<AtomicBool>,
}

struct BrokenEngine {
    fault: Fault,
    engine: MemoryEngine,
    is_down: Arc<AtomicBool>,
    subscriptions: Arc<Mutex<Vec<TopicFilter>>>,
    is_closed: AtomicBool,
    last_reply: Mutex<Bytes>,
    published: AtomicU32,
}

struct BrokenSink {
    fault: Fault,
    sink: Arc<dyn Sink>,
    engine: MemoryEngine,
    subscriptions: Arc<Mutex<Vec<TopicFilter>>>,
    /// The first message of a pair that is turned round.
    first: Mutex<Option<(Topic, Bytes)>>,
    heard: AtomicU32,
}

/// More than anything but the largest message has.
const LARGE: usize = 64 * 1024;

impl fmt::Debug for BrokenEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokenEngine").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Engines for Broken {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(BrokenEngine {
            fault: self.fault,
            engine: self.network.engine(),
            is_down: Arc::clone(&self.is_down),
            subscriptions: Arc::default(),
            is_closed: AtomicBool::new(false),
            last_reply: Mutex::default(),
            published: AtomicU32::new(0),
        })
    }

    fn interruption(&self) -> Option<&dyn Interruption> {
        Some(self)
    }
}

impl Interruption for Broken {
    fn interrupt(&self) -> EngineFuture<'_, ()> {
        self.is_down.store(true, Ordering::SeqCst);
        Box::pin(async { self.network.interrupt() })
    }

    fn restore(&self) -> EngineFuture<'_, ()> {
        self.is_down.store(false, Ordering::SeqCst);
        Box::pin(async { self.network.restore() })
    }
}

impl Engine for BrokenEngine {
    fn start(
        &self,
        node: NodeId,
        sink: Arc<dyn Sink>,
    ) -> EngineFuture<'_, Result<(), EngineError>> {
        let is_down = self.is_down.load(Ordering::SeqCst);
        if self.fault == Fault::BeginsWithANetworkOnly && is_down {
            return Box::pin(async { Err(EngineError::new("there is no network", None)) });
        }
        let sink = BrokenSink {
            fault: self.fault,
            sink,
            engine: self.engine.clone(),
            subscriptions: Arc::clone(&self.subscriptions),
            first: Mutex::default(),
            heard: AtomicU32::new(0),
        };
        self.engine.start(node, Arc::new(sink))
    }

    fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Unavailable> {
        match self.fault {
            Fault::WaitsInPublish => self.wait(),
            Fault::PublishesOnceClosed if self.is_closed.load(Ordering::SeqCst) => return Ok(()),
            Fault::PublishesWithoutNetwork if self.is_down.load(Ordering::SeqCst) => return Ok(()),
            Fault::LosesWhatIsForEverybody if topic == Topic::Everybody => return Ok(()),
            _ => {}
        }
        self.engine.publish(topic, message)
    }

    fn subscribe(&self, filter: TopicFilter) -> EngineFuture<'_, Result<(), EngineError>> {
        /// Those of the checks before are in time.
        const IN_TIME: usize = 10;
        let is_shard = matches!(filter, TopicFilter::Shard(_));
        let before = {
            let mut subscriptions = self.subscriptions.lock();
            subscriptions.push(filter);
            subscriptions.len()
        };
        let engine = self.engine.clone();
        match self.fault {
            Fault::KnowsNoShards if is_shard => Box::pin(async { Ok(()) }),
            Fault::SubscribesLate if before > IN_TIME => Box::pin(async move {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    engine.subscribe(filter).await
                });
                Ok(())
            }),
            _ => self.engine.subscribe(filter),
        }
    }

    fn unsubscribe(&self, filter: TopicFilter) {
        match (self.fault, filter) {
            (Fault::EndsNothing, _) => {}
            (Fault::EndsAllThatCoverATopic, TopicFilter::Topic(Topic::Group(group))) => {
                self.engine.unsubscribe(filter);
                self.engine.unsubscribe(TopicFilter::Shard(group.shard()));
            }
            _ => self.engine.unsubscribe(filter),
        }
    }

    fn request(
        &self,
        to: NodeId,
        message: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<Bytes, RequestFailed>> {
        Box::pin(async move {
            let reply = self.engine.request(to, message, within).await;
            match (self.fault, reply) {
                (Fault::MixesUpReplies, Ok(reply)) => {
                    Ok(std::mem::replace(&mut *self.last_reply.lock(), reply))
                }
                (Fault::CutsReplies, Ok(reply)) => Ok(reply.slice(..reply.len().min(LARGE))),
                (Fault::TakesNobodyForSlow, Err(RequestFailed::NoNode { node })) => {
                    Err(RequestFailed::Timeout { node, within })
                }
                (Fault::TakesSlowForNobody, Err(RequestFailed::Timeout { node, .. })) => {
                    Err(RequestFailed::NoNode { node })
                }
                (_, reply) => reply,
            }
        })
    }

    fn message_bytes_max(&self) -> usize {
        self.engine.message_bytes_max()
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        self.is_closed.store(true, Ordering::SeqCst);
        if self.fault == Fault::LivesOn { Box::pin(async {}) } else { self.engine.close() }
    }
}

impl BrokenEngine {
    /// From the thousandth message on: longer than anybody has the patience for.
    fn wait(&self) {
        if self.published.fetch_add(1, Ordering::Relaxed) >= 1_000 {
            thread::park_timeout(Duration::from_secs(20));
        }
    }
}

impl Sink for BrokenSink {
    fn message(&self, topic: Topic, message: Bytes) {
        let heard = self.heard.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::SaysAnotherTopic if topic == Topic::Beats => {
                self.sink.message(Topic::Everybody, message);
            }
            // The checks before hear fewer than these.
            Fault::TurnsTwoRound if heard == 100 => *self.first.lock() = Some((topic, message)),
            Fault::TurnsTwoRound if self.is_second(topic, &message) => {
                let first = self.first.lock().take();
                self.sink.message(topic, message);
                if let Some((topic, message)) = first {
                    self.sink.message(topic, message);
                }
            }
            Fault::CutsMessages if message.len() > LARGE => {
                self.sink.message(topic, message.slice(..LARGE));
            }
            Fault::LosesEmptyMessages if message.is_empty() => {}
            _ => self.sink.message(topic, message),
        }
    }

    fn request(&self, message: Bytes, reply: Reply) {
        self.sink.request(message, reply);
    }

    fn status(&self, status: EngineStatus) {
        match (self.fault, status) {
            (Fault::KeepsQuietAboutTheEnd, EngineStatus::Disconnected) => return,
            (Fault::ForgetsSubscriptions, EngineStatus::Disconnected) => {
                for filter in self.subscriptions.lock().iter() {
                    self.engine.unsubscribe(*filter);
                }
            }
            _ => {}
        }
        self.sink.status(status);
    }
}

impl BrokenSink {
    /// Whether it is the next message of whose first one has been kept back.
    fn is_second(&self, topic: Topic, message: &Bytes) -> bool {
        let first = self.first.lock();
        first.as_ref().is_some_and(|(of, first)| *of == topic && first.first() == message.first())
    }
}

/// With this fault, this rule is found broken and no other, and so much is said of it.
async fn is_found(fault: Fault, rule: &str, said: &str) {
    let engines =
        Broken { fault, network: MemoryNetwork::new(), is_down: Arc::new(AtomicBool::new(false)) };
    let suite = tokio::spawn(async move { conformance(&engines).await });
    let panic = suite.await.expect_err("the suite has passed").into_panic();
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.starts_with(&format!("{rule}: ")), "{fault:?}: {text}");
    assert!(text.contains(said), "{fault:?}: {text}");
}

macro_rules! broken {
    ($($test:ident: $($fault:ident says $said:literal),+;)+) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                $(is_found(Fault::$fault, stringify!($test), $said).await;)+
            }
        )+
    };
}

// Each test is called as the rule that its engines break.
broken! {
    a_message_reaches_all_who_are_subscribed_to_its_topic_and_says_which:
        SaysAnotherTopic says "to Beats should come",
        LosesWhatIsForEverybody says "to Everybody should come";
    what_one_publishes_to_one_topic_arrives_in_order:
        TurnsTwoRound says "came in another order";
    a_subscription_is_in_force_once_it_is_ready:
        SubscribesLate says "should come";
    a_filter_of_a_shard_hears_all_of_its_groups:
        KnowsNoShards says "should come";
    a_topic_that_two_filters_cover_stays_in_order:
        EndsAllThatCoverATopic says "should come";
    an_ended_subscription_falls_silent:
        EndsNothing says "should fall silent";
    the_smallest_and_the_largest_message_arrive_whole:
        CutsMessages says "should come",
        LosesEmptyMessages says "should come";
    publish_never_waits:
        WaitsInPublish says "publish should never wait";
    a_request_reaches_the_node_it_is_for_and_the_reply_its_asker:
        MixesUpReplies says "the reply to another request came";
    the_largest_request_and_reply_arrive_whole:
        CutsReplies says "came as 65536";
    a_node_that_never_was_is_told_from_one_that_does_not_answer:
        TakesNobodyForSlow says "NoNode is expected",
        TakesSlowForNobody says "Timeout is expected";
    a_node_that_has_closed_is_not_there:
        LivesOn says "for a node that has closed NoNode is expected";
    a_closed_engine_says_nothing_more:
        PublishesOnceClosed says "a closed engine publishes nothing";
    after_an_interruption_all_subscriptions_are_in_force:
        ForgetsSubscriptions says "should come",
        KeepsQuietAboutTheEnd says "should tell that it is disconnected",
        PublishesWithoutNetwork says "a disconnected engine publishes nothing";
    an_engine_begins_without_a_network:
        BeginsWithANetworkOnly says "an engine should begin";
}
