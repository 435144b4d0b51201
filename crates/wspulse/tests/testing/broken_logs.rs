//! The suite for engines finds each rule broken that it names of logs: a log in memory that breaks one.

#![allow(clippy::wildcard_enum_match_arm, reason = "each fault is in one place, and in no other")]

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use wspulse::cluster::{
    AppendFailed, AppendId, Engine, EngineError, EngineFuture, EngineStatus, GroupKey, Log,
    LogPosition, LogRead, LogStart, NodeId, ReadFailed, Reply, RequestFailed, Sink, Topic,
    TopicFilter, Unavailable,
};
use wspulse::testing::cluster::{Engines, Interruption, MemoryEngine, MemoryNetwork, conformance};

/// What is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    AcknowledgesWhatIsLost,
    SkipsNumbers,
    HasAnOrderForEach,
    AppendsAgain,
    BeginsAtTheStart,
    ReadsMoreThanIsAskedFor,
    DoesNotKnowTheNewest,
    TellsNobody,
    TellsOthersOnly,
    TellsItAsMessages,
    WaitsForTheNetwork,
    AppendsWithoutNetwork,
    ReadsWithoutNetwork,
}

/// Engines in memory, all with one fault.
struct Broken {
    fault: Fault,
    network: MemoryNetwork,
    is_down: Arc<AtomicBool>,
    made: AtomicU64,
}

#[derive(Debug)]
struct BrokenEngine {
    fault: Fault,
    engine: MemoryEngine,
    is_down: Arc<AtomicBool>,
    /// The how manieth of all engines it is.
    place: u64,
    appended: Arc<AtomicU64>,
}

struct BrokenSink {
    fault: Fault,
    sink: Arc<dyn Sink>,
    /// How many its own engine has appended.
    appended: Arc<AtomicU64>,
}

impl Engines for Broken {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(BrokenEngine {
            fault: self.fault,
            engine: self.network.engine(),
            is_down: Arc::clone(&self.is_down),
            place: self.made.fetch_add(1, Ordering::SeqCst),
            appended: Arc::default(),
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
        let appended = Arc::clone(&self.appended);
        self.engine.start(node, Arc::new(BrokenSink { fault: self.fault, sink, appended }))
    }

    fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Unavailable> {
        self.engine.publish(topic, message)
    }

    fn subscribe(&self, filter: TopicFilter) -> EngineFuture<'_, Result<(), EngineError>> {
        self.engine.subscribe(filter)
    }

    fn unsubscribe(&self, filter: TopicFilter) {
        self.engine.unsubscribe(filter);
    }

    fn request(
        &self,
        to: NodeId,
        message: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<Bytes, RequestFailed>> {
        self.engine.request(to, message, within)
    }

    fn log(&self) -> Option<&dyn Log> {
        Some(self)
    }

    fn message_bytes_max(&self) -> usize {
        self.engine.message_bytes_max()
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        self.engine.close()
    }
}

impl Log for BrokenEngine {
    fn append(
        &self,
        key: GroupKey,
        id: AppendId,
        entry: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<LogPosition, AppendFailed>> {
        let is_down = self.is_down.load(Ordering::SeqCst);
        let number = self.appended.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move {
            match self.fault {
                Fault::WaitsForTheNetwork if is_down => future::pending().await,
                Fault::AppendsWithoutNetwork if is_down => Ok(LogPosition { epoch: 1, number: 2 }),
                Fault::AcknowledgesWhatIsLost if number == 20 => {
                    let last = self.engine.read(key, LogStart::Last(0), 0, within).await;
                    let last = last.ok().and_then(|read| read.newest).expect("some were appended");
                    Ok(LogPosition { number: last.number + 1, ..last })
                }
                Fault::AppendsAgain => {
                    self.engine.append(key, AppendId::random(), entry, within).await
                }
                Fault::SkipsNumbers => {
                    let position = self.engine.append(key, id, entry, within).await?;
                    Ok(LogPosition { number: 2 * position.number, ..position })
                }
                _ => self.engine.append(key, id, entry, within).await,
            }
        })
    }

    fn read(
        &self,
        key: GroupKey,
        from: LogStart,
        max: usize,
        within: Duration,
    ) -> EngineFuture<'_, Result<LogRead, ReadFailed>> {
        let is_down = self.is_down.load(Ordering::SeqCst);
        let (from, max) = match self.fault {
            Fault::BeginsAtTheStart => (LogStart::Last(usize::MAX), max),
            Fault::ReadsMoreThanIsAskedFor => (from, usize::MAX),
            _ => (from, max),
        };
        Box::pin(async move {
            if self.fault == Fault::ReadsWithoutNetwork && is_down {
                return Ok(LogRead::default());
            }
            let mut read = self.engine.read(key, from, max, within).await?;
            let entries = &mut read.entries;
            match self.fault {
                Fault::HasAnOrderForEach if self.place % 2 == 1 && entries.len() == 40 => {
                    let first = entries[0].entry.clone();
                    entries[0].entry = std::mem::replace(&mut entries[1].entry, first);
                }
                Fault::DoesNotKnowTheNewest if from == LogStart::Last(0) => read.newest = None,
                _ => {}
            }
            Ok(read)
        })
    }
}

impl Sink for BrokenSink {
    fn message(&self, topic: Topic, message: Bytes) {
        self.sink.message(topic, message);
    }

    fn logged(&self, key: GroupKey, position: LogPosition, entry: Bytes) {
        let has_appended = self.appended.load(Ordering::SeqCst) > 0;
        match self.fault {
            Fault::TellsNobody => {}
            Fault::TellsOthersOnly if has_appended => {}
            Fault::TellsItAsMessages => {
                self.sink.message(Topic::Group(key), entry.clone());
                self.sink.logged(key, position, entry);
            }
            _ => self.sink.logged(key, position, entry),
        }
    }

    fn request(&self, message: Bytes, reply: Reply) {
        self.sink.request(message, reply);
    }

    fn status(&self, status: EngineStatus) {
        self.sink.status(status);
    }
}

/// With this fault, this rule is found broken and no other, and so much is said of it.
async fn is_found(fault: Fault, rule: &str, said: &str) {
    let (network, is_down) = (MemoryNetwork::new(), Arc::default());
    let engines = Broken { fault, network, is_down, made: AtomicU64::new(0) };
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

// Each test is called as the rule that its logs break.
broken! {
    what_is_acknowledged_is_in_the_log_under_rising_numbers:
        AcknowledgesWhatIsLost says "20 entries were appended, 19 are read",
        SkipsNumbers says "numbers have no holes";
    what_two_append_at_once_has_one_order_for_all:
        HasAnOrderForEach says "all read one order";
    an_id_that_was_appended_is_not_appended_again:
        AppendsAgain says "is where it was";
    a_log_is_read_from_any_place_on:
        BeginsAtTheStart says "left: [1, 2",
        ReadsMoreThanIsAskedFor says "no more than were asked for",
        DoesNotKnowTheNewest says "where the newest is";
    what_is_appended_is_told_to_all_who_are_subscribed:
        TellsNobody says "should be told, to its appender too",
        TellsOthersOnly says "should be told, to its appender too",
        TellsItAsMessages says "it is no message";
    a_log_that_cannot_be_reached_says_so_in_time:
        WaitsForTheNetwork says "an append should say so in time",
        AppendsWithoutNetwork says "an append should say so in time",
        ReadsWithoutNetwork says "so should a read";
}
