//! The engine itself: what a server asks of it, handed on to its tasks.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use wspulse::cluster::{
    Engine, EngineError, EngineFuture, Log, NodeId, Reply, RequestFailed, Sink, Topic, TopicFilter,
    Unavailable,
};

use crate::asked::{Answer, Asked};
use crate::builder::Builder;
use crate::client::{Client, ConnectFailed, Headers, Message, Settings, Subscription};
use crate::connection::{Connection, Signals, Told};
use crate::interest::Interest;
use crate::log::{Connected, Lasts, LogOptions, NatsLog};
use crate::outgoing::Outgoing;
use crate::readers::Readers;
use crate::subjects::Subjects;

/// What a message may have beside its payload, of what the NATS server takes: subjects, and what the
/// servers of a cluster may add.
const ENVELOPE_BYTES: usize = 256;

/// The largest message of a NATS server by default.
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// How long what was published before an engine is closed has to get out.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Carries what the servers of a cluster tell each other, by NATS.
///
/// [`start`](Engine::start) begins as well if no NATS server is there yet, and goes on trying; it
/// fails if a server refuses the credentials, or if there is no TLS with it.
///
/// It needs a tokio runtime with I/O and time, on which [`start`](Engine::start) spawns its tasks.
/// [`close`](Engine::close) ends them; dropping the engine has them end by themselves. Only the
/// search for a NATS server, if there is none at that time, goes on until there is one or until the
/// runtime ends.
pub struct NatsEngine {
    settings: Settings,
    subjects: Arc<Subjects>,
    outgoing: Arc<Outgoing>,
    interest: Arc<Interest>,
    asked: Arc<Asked>,
    signals: Arc<Signals>,
    log: Option<Arc<NatsLog>>,
    started: OnceLock<Started>,
    tasks: Mutex<Option<Tasks>>,
}

struct Started {
    node: NodeId,
    client: Client,
}

struct Tasks {
    publisher: JoinHandle<()>,
    connection: JoinHandle<()>,
}

impl NatsEngine {
    /// Sets options; [`Builder::build`] makes the engine. The URL is `nats://host:4222`, or
    /// `tls://host:4222` for a server that must be spoken to with TLS.
    pub fn builder(server: impl Into<String>) -> Builder {
        Builder::new(server.into())
    }

    pub(crate) fn new(settings: Settings, subjects: Subjects, log: Option<LogOptions>) -> Self {
        let (subjects, outgoing) = (Arc::new(subjects), Arc::new(Outgoing::new()));
        let asked = Arc::<Asked>::default();
        let log = log.map(|options| {
            let (subjects, outgoing) = (Arc::clone(&subjects), Arc::clone(&outgoing));
            Arc::new(NatsLog::new(options, subjects, outgoing, Arc::clone(&asked)))
        });
        Self {
            settings,
            subjects,
            outgoing,
            interest: Arc::default(),
            asked,
            log,
            signals: Arc::default(),
            started: OnceLock::new(),
            tasks: Mutex::new(None),
        }
    }

    async fn begin(&self, node: NodeId, sink: Arc<dyn Sink>) -> Result<(), EngineError> {
        let signals = Arc::clone(&self.signals);
        let connecting = Client::connect(&self.settings, move |happened| signals.hear(happened));
        let client = connecting.await.map_err(|failed| self.explained(failed))?;
        let ended = |_| EngineError::new("the NATS client has ended", None);
        let inbox = client.subscribe(self.subjects.inbox(node)).await.map_err(ended)?;
        let replies = client.subscribe(self.subjects.replies(node)).await.map_err(ended)?;
        let connection = Connection {
            client: client.clone(),
            node,
            subjects: Arc::clone(&self.subjects),
            signals: Arc::clone(&self.signals),
            outgoing: Arc::clone(&self.outgoing),
            asked: Arc::clone(&self.asked),
            interest: Arc::clone(&self.interest),
            readers: Readers::new(Arc::clone(&self.subjects), Arc::clone(&sink), self.lasts()),
            made: HashSet::new(),
            told: Told::Nothing,
            leave_at: None,
            left: None,
            inbox: JoinSet::new(),
            replies: JoinSet::new(),
            sink: Arc::clone(&sink),
        };
        if let Some(log) = &self.log {
            log.begin(Connected { node, client: client.clone() });
        }
        self.spawn(connection, inbox, replies);
        // Twice, it was started twice.
        let is_first = self.started.set(Started { node, client }).is_ok();
        assert!(is_first, "an engine is started once");
        Ok(())
    }

    fn spawn(&self, mut connection: Connection, inbox: Subscription, replies: Subscription) {
        let (sink, outgoing) = (Arc::clone(&connection.sink), Arc::clone(&self.outgoing));
        connection.inbox.spawn(read_inbox(inbox, sink, outgoing));
        connection.replies.spawn(read_replies(replies, Arc::clone(&self.asked)));
        let publishing = publish_all(connection.client.clone(), Arc::clone(&self.outgoing));
        *self.tasks.lock() = Some(Tasks {
            publisher: tokio::spawn(publishing),
            connection: tokio::spawn(connection.run()),
        });
    }

    /// What a person can do about it.
    fn explained(&self, failed: ConnectFailed) -> EngineError {
        let servers: Vec<_> = self.settings.servers.iter().map(ToString::to_string).collect();
        let servers = servers.join(", ");
        match failed {
            ConnectFailed::Refused(error) => EngineError::new(
                format!(
                    "the NATS server ({servers}) refuses these credentials: check what \
                     `user_and_password`, `token`, `nkey` or `credentials` was given"
                ),
                Some(error.into()),
            ),
            ConnectFailed::NoTls(error) => EngineError::new(
                format!(
                    "no TLS with the NATS server ({servers}): check its certificate and \
                     `root_certificates`, and `client_certificate` if it asks for one; if it is to \
                     have no TLS, `allow_plaintext`"
                ),
                Some(error.into()),
            ),
            ConnectFailed::NotThere(error) => EngineError::new(
                format!("cannot look for a NATS server ({servers})"),
                Some(error.into()),
            ),
        }
    }

    fn lasts(&self) -> Option<Arc<Lasts>> {
        self.log.as_ref().map(|log| Arc::clone(log.lasts()))
    }

    fn connected(&self) -> Option<&Started> {
        self.started.get().filter(|started| started.client.is_connected())
    }

    async fn ask(
        &self,
        to: NodeId,
        message: Bytes,
        within: Duration,
    ) -> Result<Bytes, RequestFailed> {
        let started = self.connected().ok_or(Unavailable)?;
        if message.len() > self.message_bytes_max() {
            return Err(Unavailable.into());
        }
        let mut question = self.asked.begin();
        self.outgoing.push(Message {
            subject: self.subjects.inbox(to),
            reply: Some(self.subjects.reply(started.node, question.number())),
            headers: Headers::new(),
            payload: message,
        })?;
        match timeout(within, question.answered()).await {
            Ok(Answer::Reply(reply)) => Ok(reply.into_payload()),
            Ok(Answer::Nobody) => Err(RequestFailed::NoNode { node: to }),
            Err(_) => Err(RequestFailed::Timeout { node: to, within }),
        }
    }
}

impl Engine for NatsEngine {
    /// # Panics
    ///
    /// If it was started before.
    fn start(
        &self,
        node: NodeId,
        sink: Arc<dyn Sink>,
    ) -> EngineFuture<'_, Result<(), EngineError>> {
        assert!(self.started.get().is_none(), "an engine is started once");
        Box::pin(self.begin(node, sink))
    }

    fn publish(&self, topic: Topic, message: Bytes) -> Result<(), Unavailable> {
        self.connected().ok_or(Unavailable)?;
        if message.len() > self.message_bytes_max() {
            return Err(Unavailable);
        }
        let subject = self.subjects.topic(topic).ok_or(Unavailable)?;
        self.outgoing.push(Message {
            subject,
            reply: None,
            headers: Headers::new(),
            payload: message,
        })
    }

    fn subscribe(&self, filter: TopicFilter) -> EngineFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let in_force = self.interest.want(filter);
            self.signals.wake.notify_one();
            in_force
                .await
                .map_err(|_| EngineError::new("cannot subscribe", Some(Unavailable.into())))
        })
    }

    fn unsubscribe(&self, filter: TopicFilter) {
        self.interest.unwant(filter);
        self.signals.wake.notify_one();
    }

    fn request(
        &self,
        to: NodeId,
        message: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<Bytes, RequestFailed>> {
        Box::pin(self.ask(to, message, within))
    }

    /// If [`log`](crate::Builder::log) was called.
    fn log(&self) -> Option<&dyn Log> {
        self.log.as_deref().map(|log| log as &dyn Log)
    }

    /// What the NATS server takes (`max_payload`, 1 MiB by default) less 256 bytes. Another server, by
    /// a later connection, may take less or more.
    fn message_bytes_max(&self) -> usize {
        let payload = self
            .started
            .get()
            .map_or(PAYLOAD_BYTES_MAX, |started| started.client.payload_bytes_max());
        payload.saturating_sub(ENVELOPE_BYTES)
    }

    fn close(&self) -> EngineFuture<'_, ()> {
        Box::pin(async move {
            self.outgoing.end();
            let tasks = self.tasks.lock().take();
            if let Some(mut tasks) = tasks {
                if timeout(LAST_WORDS, &mut tasks.publisher).await.is_err() {
                    tasks.publisher.abort();
                }
                self.signals.close();
                if let Err(error) = tasks.connection.await
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
            self.interest.give_up();
        })
    }
}

impl Drop for NatsEngine {
    fn drop(&mut self) {
        self.outgoing.end();
        self.signals.close();
    }
}

impl fmt::Debug for NatsEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsEngine")
            .field("settings", &self.settings)
            .field("subjects", &self.subjects)
            .field("is_connected", &self.connected().is_some())
            .finish_non_exhaustive()
    }
}

/// Hands on what is to be published, as fast as the client takes it.
async fn publish_all(client: Client, outgoing: Arc<Outgoing>) {
    while let Some(message) = outgoing.next().await {
        // What is handed on without a connection would be said when that is back: too late, and
        // before others are subscribed again.
        if client.is_connected()
            && let Err(error) = client.publish(message).await
        {
            tracing::debug!(error, "a message of the cluster was not published");
        }
    }
}

async fn read_inbox(mut inbox: Subscription, sink: Arc<dyn Sink>, outgoing: Arc<Outgoing>) {
    while let Some(request) = inbox.next().await {
        let Some(to) = request.reply().map(str::to_owned) else { continue };
        let outgoing = Arc::clone(&outgoing);
        let reply = Reply::new(move |payload| {
            // If there is no connection, the asker hears nothing, as if the reply was lost.
            let _ = outgoing.push(Message {
                subject: to,
                reply: None,
                headers: Headers::new(),
                payload,
            });
        });
        sink.request(request.into_payload(), reply);
    }
}

async fn read_replies(mut replies: Subscription, asked: Arc<Asked>) {
    while let Some(reply) = replies.next().await {
        asked.answer(reply);
    }
}
