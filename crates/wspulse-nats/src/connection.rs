//! The task that looks after a connection: tells how it is, makes subscriptions, leaves servers that
//! are about to end.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wspulse::cluster::{EngineStatus, NodeId, Sink, TopicFilter};

use crate::asked::Asked;
use crate::client::{Client, Happened, Headers, Message};
use crate::interest::{Change, Interest, Waiters};
use crate::outgoing::Outgoing;
use crate::readers::Readers;
use crate::subjects::Subjects;

/// The client's events can be lost when many come at once, so the connection is looked at as often.
const LOOK: Duration = Duration::from_millis(250);

/// How long a server that is about to end is stayed with at most; each node leaves at a time of its
/// own, so that not all come to the next one at once. A server gives ten seconds at the least.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);

/// How long what was said before has to get out, when leaving or ending.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a round trip may take, before the connection is taken for one that does not do what it
/// should. One whose server has stopped ends before.
const ROUND_TRIP: Duration = Duration::from_secs(10);

/// What the client's events have told, until it is looked at.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    pub(crate) wake: Notify,
    slow: AtomicBool,
    lame_duck: AtomicBool,
    /// The server forbids something, and it was logged: once for each engine is enough.
    forbidden: Mutex<Option<String>>,
    closing: AtomicBool,
}

impl Signals {
    pub(crate) fn hear(&self, happened: Happened) {
        match happened {
            Happened::Changed => {}
            Happened::LameDuck => self.lame_duck.store(true, Ordering::Relaxed),
            Happened::Slow => self.slow.store(true, Ordering::Relaxed),
            Happened::Forbidden(what) => *self.forbidden.lock() = Some(what),
        }
        self.wake.notify_one();
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

/// What the task has.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) node: NodeId,
    pub(crate) subjects: Arc<Subjects>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) asked: Arc<Asked>,
    pub(crate) interest: Arc<Interest>,
    pub(crate) readers: Readers,
    /// Filters that have a subscription.
    pub(crate) made: HashSet<TopicFilter>,
    pub(crate) told: Told,
    /// When a server that is about to end is left.
    pub(crate) leave_at: Option<Instant>,
    /// The connection that was given up for that, by its number.
    pub(crate) left: Option<u64>,
    /// Reads what other nodes ask, and what they answer.
    pub(crate) inbox: JoinSet<()>,
    pub(crate) replies: JoinSet<()>,
}

/// What the sink was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Disconnected,
    /// That there is a connection: the one with this number.
    Connected(u64),
}

/// The connection was lost meanwhile.
struct Lost;

impl Connection {
    /// Runs until the engine is closed, and ends the readers and the client.
    pub(crate) async fn run(mut self) {
        while !self.signals.is_closing() {
            self.look().await;
            let leave = async {
                match self.leave_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.signals.wake.notified() => {}
                () = sleep(LOOK) => {}
                () = leave => self.leave().await,
            }
        }
        self.readers.end().await;
        self.inbox.shutdown().await;
        // Once the server knows that the inbox is gone, whoever asks hears that nobody is there.
        let _ =
            timeout(LAST_WORDS, round_trip(&self.client, &self.asked, &self.subjects, self.node))
                .await;
        self.replies.shutdown().await;
        let _ = timeout(LAST_WORDS, self.client.end()).await;
    }

    async fn look(&mut self) {
        if self.signals.slow.swap(false, Ordering::Relaxed) {
            self.sink.status(EngineStatus::Lost);
        }
        if let Some(what) = self.signals.forbidden.lock().take() {
            let subjects = self.subjects.all();
            tracing::error!(
                error = what,
                "the NATS server forbids what the cluster needs: let this user publish and \
                 subscribe to {subjects}"
            );
        }
        if self.signals.lame_duck.swap(false, Ordering::Relaxed) && self.leave_at.is_none() {
            let within = rand::rng().random_range(Duration::ZERO..LEAVE_WITHIN);
            self.leave_at = Some(Instant::now() + within);
        }
        let number = self.client.connections();
        let is_there = self.client.is_connected() && self.left != Some(number);
        let is_same = self.told == Told::Connected(number);
        if !is_there || (!is_same && self.told != Told::Disconnected) {
            self.tell_disconnected();
        }
        if !is_there {
            self.interest.give_up();
            return;
        }
        match self.settle(is_same).await {
            Ok(waiters) => {
                if !is_same {
                    // Of a connection before: this one is to another server, or the same again.
                    self.leave_at = None;
                    self.told = Told::Connected(number);
                    self.outgoing.open();
                    self.sink.status(EngineStatus::Connected);
                }
                for waiter in waiters {
                    let _ = waiter.send(());
                }
            }
            // The next look finds out why.
            Err(Lost) => self.signals.wake.notify_one(),
        }
    }

    fn tell_disconnected(&mut self) {
        if self.told != Told::Disconnected {
            self.told = Told::Disconnected;
            self.outgoing.shut();
            self.sink.status(EngineStatus::Disconnected);
        }
    }

    /// Makes the subscriptions that are wanted, and waits until all of them are in force; returns who
    /// waits for them. The client makes those of the connection before again by itself.
    async fn settle(&mut self, was_settled: bool) -> Result<Waiters, Lost> {
        let mut waiters = Waiters::new();
        let mut is_new = !was_settled;
        let mut changes = self.interest.take().into_iter();
        while let Some(change) = changes.next() {
            match change {
                Change::Wanted(filter, waiting) => {
                    waiters.extend(waiting);
                    is_new = true;
                    if !self.made.contains(&filter) && self.make(filter).await.is_err() {
                        self.interest.put_back(filter);
                        changes.for_each(|change| match change {
                            Change::Wanted(filter, _) | Change::Unwanted(filter) => {
                                self.interest.put_back(filter);
                            }
                        });
                        return Err(Lost);
                    }
                }
                Change::Unwanted(filter) => {
                    if self.made.remove(&filter) {
                        self.readers.leave(filter).await;
                    }
                }
            }
        }
        if is_new {
            self.round_trip().await?;
        }
        Ok(waiters)
    }

    async fn make(&mut self, filter: TopicFilter) -> Result<(), Lost> {
        let Some(subject) = self.subjects.filter(filter) else { return Ok(()) };
        let subscription =
            self.unless_lost(self.client.subscribe(subject)).await?.map_err(|_| Lost)?;
        self.made.insert(filter);
        self.readers.read(filter, subscription).await;
        Ok(())
    }

    async fn round_trip(&self) -> Result<(), Lost> {
        let trip = round_trip(&self.client, &self.asked, &self.subjects, self.node);
        match timeout(ROUND_TRIP, self.unless_lost(trip)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Lost),
        }
    }

    /// Gives up waiting when the connection is gone.
    async fn unless_lost<T>(&self, wait: impl Future<Output = T>) -> Result<T, Lost> {
        let number = self.client.connections();
        let lost = async {
            loop {
                tokio::select! {
                    () = self.signals.wake.notified() => {}
                    () = sleep(LOOK) => {}
                }
                let is_same = self.client.connections() == number && self.client.is_connected();
                if !is_same || self.signals.is_closing() {
                    return;
                }
            }
        };
        let outcome = tokio::select! {
            biased;
            value = wait => Ok(value),
            () = lost => Err(Lost),
        };
        // What has woken it may be something else to look at.
        self.signals.wake.notify_one();
        outcome
    }

    /// Leaves a server that is about to end, after what was said to it.
    async fn leave(&mut self) {
        self.leave_at = None;
        self.left = Some(self.client.connections());
        self.tell_disconnected();
        let _ = timeout(LAST_WORDS, self.client.flush()).await;
        let _ = timeout(LAST_WORDS, self.client.reconnect()).await;
    }
}

/// The server handles in order what comes on a connection: once it has answered, it knows of all
/// that was said before. It answers at once that there is nobody.
async fn round_trip(client: &Client, asked: &Arc<Asked>, subjects: &Subjects, node: NodeId) {
    let mut question = asked.begin();
    let message = Message {
        subject: subjects.nobody(),
        reply: Some(subjects.reply(node, question.number())),
        headers: Headers::new(),
        payload: Bytes::new(),
    };
    // If it was not said, there is no answer either.
    let _ = client.publish(message).await;
    question.answered().await;
}
