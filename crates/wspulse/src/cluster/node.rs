//! This server as one of its cluster: its tasks, and what the engine gives it.

mod ears;
mod following;
mod subscriptions;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wspulse_core::clock::earlier;
use wspulse_core::cluster::{
    Inbox, InboxConfig, NodeId, NodeState, Output, Position, Presence, Target,
};

use super::engine::{Engine, EngineError, Reply, RequestFailed, Topic};
use super::speaker::Speaker;
use crate::ground::sync::Mutex;
use ears::Ears;
use following::{Following, Logs};
pub(crate) use following::{Kept, LoggedRooms};

/// How often a server says where its streams are. A frame that nothing follows is missed for no longer.
const BEAT: Duration = Duration::from_secs(1);

/// A server that was not heard for so long is taken for dead: three beats.
const SILENT_AFTER: Duration = Duration::from_secs(3);

/// How many messages are sent before others have their turn.
const SENT_AT_ONCE_MAX: usize = 64;

/// How long an engine may take to say what is still to be said.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// What a cluster tells the server of which it is.
pub(crate) type Tell = Box<dyn Fn(Output) + Send + Sync>;

/// How the server is: its state, and how many connections it has; `None` once it is gone.
pub(crate) type State = Box<dyn Fn() -> Option<(NodeState, u32)> + Send + Sync>;

/// Looks after what is due, and tells when something will be.
pub(crate) type LookAfter = Box<dyn Fn() -> Option<std::time::Instant> + Send + Sync>;

/// What answers requests to the server. It must not wait, as the engine reads meanwhile.
pub(crate) type Serve = Box<dyn Fn(Bytes, Reply) + Send + Sync>;

pub(crate) struct Node {
    speaker: Arc<Speaker>,
    engine: Arc<dyn Engine>,
    inbox: Mutex<Listening>,
    told: Mutex<Told>,
    tell: Tell,
    serve: Serve,
    state: State,
    look_after: LookAfter,
    /// Something is due earlier than was known.
    is_due: Notify,
    must_beat: Notify,
    is_connected: AtomicBool,
    started: Mutex<Option<Result<(), Arc<EngineError>>>>,
    has_started: Notify,
    begun_at: OnceLock<Instant>,
    /// Since 1970.
    made_at: Duration,
    /// If rooms may have a log.
    following: Option<Following>,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// When another server has asked for what it lacks, last.
    asked_at: Mutex<Option<Instant>>,
    counts: Counts,
}

struct Listening {
    inbox: Inbox,
    /// If rooms may have a log.
    logs: Option<Logs>,
    /// When the timer's task looks at it.
    armed: Option<std::time::Instant>,
}

/// What was heard and is still to be told, by one thread at a time.
#[derive(Default)]
struct Told {
    waiting: VecDeque<Telling>,
    is_told: bool,
}

/// What has its place among what is told.
enum Telling {
    Heard(Output),
    /// Something else that must not happen while something is told.
    Between(Box<dyn FnOnce() + Send>),
}

/// How far this server has heard the others in a group, and since when it listens for it.
#[derive(Debug, Default)]
pub(crate) struct HeardIn {
    pub(crate) positions: Vec<Position>,
    pub(crate) since: Option<std::time::Instant>,
    /// Those that have ended, and of which nothing more will come.
    pub(crate) ended: Vec<NodeId>,
}

/// What has happened, since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) frames_heard: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
    pub(crate) messages_unsent: AtomicU64,
    pub(crate) asked: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) requests_refused: AtomicU64,
    pub(crate) people_refused: AtomicU64,
    pub(crate) frames_repaired: AtomicU64,
    pub(crate) sessions_handed_over: AtomicU64,
    pub(crate) sessions_left_behind: AtomicU64,
    pub(crate) sessions_inherited: AtomicU64,
    pub(crate) sessions_refused: AtomicU64,
}

impl Listening {
    fn poll_timeout(&self) -> Option<std::time::Instant> {
        let of_logs = self.logs.as_ref().and_then(|logs| logs.inbox.poll_timeout());
        earlier(self.inbox.poll_timeout(), of_logs)
    }
}

impl Node {
    pub(crate) fn new(
        speaker: Arc<Speaker>,
        engine: Arc<dyn Engine>,
        tell: Tell,
        serve: Serve,
        state: State,
        look_after: LookAfter,
        logged: Option<Box<dyn LoggedRooms>>,
    ) -> Arc<Self> {
        let inbox = Inbox::new(InboxConfig::default());
        let logs = logged.is_some().then(Logs::new);
        Arc::new(Self {
            speaker,
            engine,
            inbox: Mutex::new(Listening { inbox, logs, armed: None }),
            told: Mutex::default(),
            tell,
            serve,
            state,
            look_after,
            is_due: Notify::new(),
            must_beat: Notify::new(),
            is_connected: AtomicBool::new(false),
            started: Mutex::new(None),
            has_started: Notify::new(),
            begun_at: OnceLock::new(),
            made_at: wall_clock(),
            following: logged.map(|rooms| Following { rooms }),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            asked_at: Mutex::default(),
            counts: Counts::default(),
        })
    }

    pub(crate) const fn speaker(&self) -> &Arc<Speaker> {
        &self.speaker
    }

    pub(crate) const fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// When another server has asked for what it lacks, last.
    pub(crate) fn asked_at(&self) -> Option<Instant> {
        *self.asked_at.lock()
    }

    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Acquire)
    }

    /// Waits until the engine has begun, or could not.
    pub(crate) async fn started(&self) -> Result<(), Arc<EngineError>> {
        loop {
            let mut more = std::pin::pin!(self.has_started.notified());
            more.as_mut().enable();
            if let Some(started) = &*self.started.lock() {
                return started.clone();
            }
            more.await;
        }
    }

    pub(crate) fn presence(&self) -> Presence {
        self.with_inbox(|inbox| inbox.presence(now()))
    }

    pub(crate) fn with_inbox<R>(&self, with: impl FnOnce(&Inbox) -> R) -> R {
        with(&self.inbox.lock().inbox)
    }

    /// Has all others told at once how this server is.
    pub(crate) fn tell_state(&self) {
        self.must_beat.notify_one();
    }

    pub(crate) fn message_bytes_max(&self) -> usize {
        self.engine.message_bytes_max()
    }

    /// Asks another server, for its application's side of things.
    pub(crate) async fn request(
        &self,
        to: NodeId,
        message: Bytes,
        within: Duration,
    ) -> Result<Bytes, RequestFailed> {
        self.engine.request(to, message, within).await
    }

    /// From the start to the end of the server.
    pub(crate) async fn run(self: Arc<Self>) {
        let sink = Arc::new(Ears(Arc::clone(&self)));
        let starts = self.engine.start(self.speaker.node(), sink);
        // A server that closes waits for no engine.
        let Some(started) = self.closing.run_until_cancelled(starts).await else { return };
        let started = started.map_err(Arc::new);
        if let Err(error) = &started {
            tracing::error!(%error, "this server is alone: its cluster's engine cannot begin");
        }
        let is_started = started.is_ok();
        *self.started.lock() = Some(started);
        self.has_started.notify_waiters();
        if is_started {
            let _ = self.begun_at.set(Instant::now());
            self.spawn(Self::listen);
            self.spawn(Self::send);
            self.spawn(Self::beat);
            self.spawn(Self::time);
            self.spawn(Self::look_after);
        }
        self.closing.cancelled().await;
        self.tasks.close();
        self.tasks.wait().await;
        if is_started {
            while self.send_one() {}
            self.say_beat(NodeState::Leaving);
        }
        // A broker that stands still takes no leave.
        let _ = timeout(CLOSED_WITHIN, self.engine.close()).await;
    }

    async fn look_after(self: Arc<Self>) {
        loop {
            let sooner = self.speaker.attention().sooner();
            match (self.look_after)() {
                Some(at) => {
                    let _ = timeout_at(Instant::from_std(at), sooner).await;
                }
                None => sooner.await,
            }
        }
    }

    /// Runs one of its tasks until it closes.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        task: impl Fn(Arc<Self>) -> F,
    ) {
        let (task, closing) = (task(Arc::clone(self)), self.closing.clone());
        tokio::spawn(self.tasks.track_future(async move {
            let _ = closing.run_until_cancelled(task).await;
        }));
    }

    async fn send(self: Arc<Self>) {
        loop {
            // Whoever goes on to speak must not keep others from their turn on this thread.
            let is_all = (0..SENT_AT_ONCE_MAX).any(|_| !self.send_one());
            if is_all {
                self.speaker.news().await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sends what waits for one group; tells whether there was any. What cannot be sent is not kept for
    /// that: whoever lacks it will ask. So will a server that has begun and is not known yet: while none
    /// is, nothing is sent.
    fn send_one(&self) -> bool {
        let batch = self.speaker.outbox(|outbox| outbox.take_batch(now_ms()));
        let Some((target, batch)) = batch else { return false };
        if self.speaker.has_peers() {
            self.publish(topic_of(target), batch.encode());
        }
        true
    }

    fn publish(&self, topic: Topic, message: Bytes) {
        let counts = &self.counts;
        let count = match self.engine.publish(topic, message) {
            Ok(()) => &counts.messages_sent,
            Err(_) => &counts.messages_unsent,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    async fn beat(self: Arc<Self>) {
        while let Some((state, _)) = (self.state)() {
            self.say_beat(state);
            self.beat_logs();
            // Whoever is connected again has missed some.
            let _ = timeout(BEAT, self.must_beat.notified()).await;
        }
    }

    fn say_beat(&self, state: NodeState) {
        let connections = (self.state)().map_or(0, |(_, connections)| connections);
        let beats = self.speaker.outbox(|outbox| outbox.beat(state, connections, now()));
        for beat in beats {
            self.publish(Topic::Beats, beat.encode());
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.speaker.node()).finish_non_exhaustive()
    }
}

fn topic_of(target: Target) -> Topic {
    match target {
        Target::Group(key) => Topic::Group(key),
        Target::Everybody => Topic::Everybody,
    }
}

/// By the clock of the runtime, which tests may stop.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Since 1970.
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn now_ms() -> u64 {
    u64::try_from(wall_clock().as_millis()).unwrap_or(u64::MAX)
}
