//! Reading what comes: a task for each shard and for each other kind of topic, so that what several
//! filters of a shard hear stays in order.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::{FutureExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, coop};
use wspulse::cluster::{Sink, Topic, TopicFilter};

use crate::client::{Received, Subscription};
use crate::log::{Lasts, read_stored};
use crate::subjects::Subjects;

/// How many orders a reader may have before it has followed them; it waits for nothing else.
const ORDERS: usize = 16;

/// The readers of all topics.
pub(crate) struct Readers {
    subjects: Arc<Subjects>,
    sink: Arc<dyn Sink>,
    /// If there are logs.
    lasts: Option<Arc<Lasts>>,
    running: HashMap<Share, Running>,
    tasks: JoinSet<()>,
}

/// What one reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Share {
    Shard(u16),
    /// All topics that no shard has.
    Other,
}

#[derive(Debug)]
struct Running {
    orders: mpsc::Sender<Order>,
    subscriptions: usize,
}

#[derive(Debug)]
enum Order {
    Read(TopicFilter, Subscription),
    Leave(TopicFilter),
}

impl Share {
    fn of(filter: TopicFilter) -> Self {
        match filter {
            TopicFilter::Topic(Topic::Group(key)) => Self::Shard(key.shard()),
            TopicFilter::Shard(shard) => Self::Shard(shard),
            // Also those of a later wspulse.
            TopicFilter::Topic(_) | _ => Self::Other,
        }
    }
}

impl Readers {
    pub(crate) fn new(
        subjects: Arc<Subjects>,
        sink: Arc<dyn Sink>,
        lasts: Option<Arc<Lasts>>,
    ) -> Self {
        Self { subjects, sink, lasts, running: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Reads one more subscription.
    pub(crate) async fn read(&mut self, filter: TopicFilter, subscription: Subscription) {
        // Those that have ended are forgotten.
        while self.tasks.try_join_next().is_some() {}
        let running = self.running.entry(Share::of(filter)).or_insert_with(|| {
            let (orders, follow) = mpsc::channel(ORDERS);
            let reader = Reader {
                subjects: Arc::clone(&self.subjects),
                sink: Arc::clone(&self.sink),
                lasts: self.lasts.clone(),
                sources: Vec::new(),
            };
            self.tasks.spawn(reader.run(follow));
            Running { orders, subscriptions: 0 }
        });
        running.subscriptions += 1;
        let _ = running.orders.send(Order::Read(filter, subscription)).await;
    }

    /// Reads what has come of a subscription, and ends it.
    pub(crate) async fn leave(&mut self, filter: TopicFilter) {
        let share = Share::of(filter);
        if let Some(running) = self.running.get_mut(&share) {
            running.subscriptions -= 1;
            let _ = running.orders.send(Order::Leave(filter)).await;
            if running.subscriptions == 0 {
                self.running.remove(&share);
            }
        }
    }

    /// Ends all of them; nothing is read afterwards.
    pub(crate) async fn end(mut self) {
        self.running.clear();
        self.tasks.shutdown().await;
    }
}

struct Reader {
    subjects: Arc<Subjects>,
    sink: Arc<dyn Sink>,
    lasts: Option<Arc<Lasts>>,
    /// The oldest first.
    sources: Vec<(TopicFilter, Subscription)>,
}

impl Reader {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Read(filter, subscription)) => {
                        self.sources.push((filter, subscription));
                    }
                    Some(Order::Leave(filter)) => self.leave(filter),
                    None => return,
                },
                (place, message) = next(&mut self.sources) => {
                    // What came before it by an older subscription lies there already: the client
                    // hands messages on in the order in which they come.
                    (0..place).for_each(|older| self.drain(older));
                    self.give(message);
                }
            }
        }
    }

    fn leave(&mut self, filter: TopicFilter) {
        if let Some(place) = self.sources.iter().position(|(of, _)| *of == filter) {
            self.drain(place);
            self.sources.remove(place);
        }
    }

    /// Gives on what lies in a subscription, without waiting.
    fn drain(&mut self, place: usize) {
        // With a budget, it could be taken for empty.
        while let Some(Some(message)) =
            coop::unconstrained(self.sources[place].1.next()).now_or_never()
        {
            self.give(message);
        }
    }

    fn give(&self, message: Received) {
        let Some(topic) = self.subjects.read(message.subject()) else { return };
        match (topic, &self.lasts) {
            // The stream says it.
            (Topic::Group(key), Some(lasts)) if message.header("Nats-Stream").is_some() => {
                if let Some(stored) = read_stored(message) {
                    lasts.note(key, stored.last());
                    self.sink.logged(key, stored.position, stored.entry);
                }
            }
            (topic, _) => self.sink.message(topic, message.into_payload()),
        }
    }
}

/// The next message of the oldest subscription that has one, and its place.
async fn next(sources: &mut [(TopicFilter, Subscription)]) -> (usize, Received) {
    poll_fn(|cx| {
        for (place, (_, subscription)) in sources.iter_mut().enumerate() {
            if let Poll::Ready(Some(message)) = Pin::new(subscription).poll_next(cx) {
                return Poll::Ready((place, message));
            }
        }
        Poll::Pending
    })
    .await
}
