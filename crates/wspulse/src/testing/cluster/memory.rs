//! An engine whose broker is a network in memory.

use std::fmt;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::network::MemoryNetwork;
use super::state::{Item, Phase, Route, State};
use crate::cluster::{
    Engine, EngineError, EngineFuture, Log, NodeId, Reply, RequestFailed, Sink, Topic, TopicFilter,
    Unavailable,
};

/// What an engine in memory carries at most, as a NATS server does by default.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024 - 256;

/// One server's end of a [`MemoryNetwork`]. Clones are the same engine, which ends with the last of
/// them, or when it is closed.
#[derive(Clone)]
pub struct MemoryEngine(Arc<End>);

struct End {
    network: MemoryNetwork,
    place: usize,
    /// Gives the sink what comes.
    delivery: Mutex<Option<JoinHandle<()>>>,
}

impl MemoryEngine {
    pub(super) fn new(network: MemoryNetwork, place: usize) -> Self {
        Self(Arc::new(End { network, place, delivery: Mutex::new(None) }))
    }

    pub(super) fn place_in(&self, network: &MemoryNetwork) -> Option<usize> {
        Arc::ptr_eq(&self.0.network.0, &network.0).then_some(self.0.place)
    }

    pub(super) fn state<R>(&self, with: impl FnOnce(&mut State, usize) -> R) -> R {
        with(&mut self.0.network.0.lock(), self.0.place)
    }

    /// Takes this engine's connection: what is on its way is lost, and its server is told. Others are
    /// told that there is no such node if they ask it.
    pub fn interrupt(&self) {
        self.0.network.0.lock().interrupt(self.0.place);
    }

    /// Gives it a connection again, with its subscriptions in force, and tells its server. Without
    /// an interruption, nothing.
    pub fn restore(&self) {
        self.0.network.0.lock().restore(self.0.place);
    }
}

impl Engine for MemoryEngine {
    /// # Panics
    ///
    /// If it was started before.
    fn start(
        &self,
        node: NodeId,
        sink: Arc<dyn Sink>,
    ) -> EngineFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let (network, place) = (self.0.network.clone(), self.0.place);
            let wake = network.0.lock().begin(place, node);
            let task = tokio::spawn(deliver(network, place, sink, wake));
            *self.0.delivery.lock() = Some(task);
            Ok(())
        })
    }

    fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Unavailable> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Unavailable);
        }
        self.0.network.0.lock().publish(self.0.place, topic, &message)
    }

    fn subscribe(&self, filter: TopicFilter) -> EngineFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let known_at = self.0.network.0.lock().heard_at();
            sleep_until(known_at).await;
            let mut state = self.0.network.0.lock();
            let port = &mut state.ports[self.0.place];
            port.filters.insert(filter);
            match port.phase {
                Phase::Up(_) => Ok(()),
                Phase::Idle | Phase::Interrupted(_) | Phase::Ended => {
                    Err(EngineError::new("cannot subscribe", Some(Unavailable.into())))
                }
            }
        })
    }

    fn unsubscribe(&self, filter: TopicFilter) {
        self.0.network.0.lock().ports[self.0.place].filters.remove(&filter);
    }

    fn request(
        &self,
        to: NodeId,
        message: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<Bytes, RequestFailed>> {
        Box::pin(async move {
            let route = match message.len() {
                0..=MESSAGE_BYTES_MAX => self.0.network.0.lock().ask(self.0.place, to, message),
                _ => Route::Unavailable,
            };
            let answer = async {
                match route {
                    Route::Unavailable => Err(Unavailable.into()),
                    Route::Nobody(heard_at) => {
                        sleep_until(heard_at).await;
                        Err(RequestFailed::NoNode { node: to })
                    }
                    Route::Silence => future::pending().await,
                    Route::Asked(answered) => match answered.await {
                        Ok((heard_at, answer)) => {
                            sleep_until(heard_at).await;
                            Ok(answer)
                        }
                        Err(_) => future::pending().await,
                    },
                }
            };
            timeout(within, answer)
                .await
                .unwrap_or(Err(RequestFailed::Timeout { node: to, within }))
        })
    }

    fn log(&self) -> Option<&dyn Log> {
        self.0.network.0.lock().has_log.then_some(self)
    }

    fn message_bytes_max(&self) -> usize {
        MESSAGE_BYTES_MAX
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        Box::pin(async move {
            self.0.end();
            let delivery = self.0.delivery.lock().take();
            if let Some(task) = delivery
                && let Err(error) = task.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        })
    }
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = self.0.network.0.lock().ports[self.0.place].phase;
        f.debug_struct("MemoryEngine")
            .field("place", &self.0.place)
            .field("phase", &phase)
            .finish_non_exhaustive()
    }
}

impl End {
    fn end(&self) {
        let mut state = self.network.0.lock();
        let port = &mut state.ports[self.place];
        port.phase = Phase::Ended;
        port.filters.clear();
        port.waiting.clear();
        port.wake.notify_one();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.end();
    }
}

/// Gives the sink what comes, each at its time, until the engine has ended.
async fn deliver(network: MemoryNetwork, place: usize, sink: Arc<dyn Sink>, wake: Arc<Notify>) {
    loop {
        let (due, next_at) = {
            let mut state = network.0.lock();
            let port = &mut state.ports[place];
            if port.phase == Phase::Ended {
                return;
            }
            let next = port.waiting.first_entry();
            let due = next.and_then(|next| (next.key().0 <= Instant::now()).then(|| next.remove()));
            // What was unsubscribed from meanwhile is passed over.
            let due = due.filter(|due| match due {
                Item::Message(topic, _) => port.is_subscribed(*topic),
                Item::Logged(key, ..) => port.is_subscribed(Topic::Group(*key)),
                Item::Request { .. } | Item::Status(_) | Item::Restored => true,
            });
            (due, port.waiting.keys().next().map(|(at, _)| *at))
        };
        match due {
            Some(Item::Message(topic, message)) => sink.message(topic, message),
            Some(Item::Logged(key, position, entry)) => sink.logged(key, position, entry),
            Some(Item::Request { message, from, answer }) => {
                let network = network.clone();
                let reply = Reply::new(move |bytes| {
                    if let Some(heard_at) = network.0.lock().answer(place, from) {
                        let _ = answer.send((heard_at, bytes));
                    }
                });
                sink.request(message, reply);
            }
            Some(Item::Status(status)) => sink.status(status),
            Some(Item::Restored) => network.0.lock().restore(place),
            None => match next_at {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, wake.notified()).await;
                }
                None => wake.notified().await,
            },
        }
    }
}
