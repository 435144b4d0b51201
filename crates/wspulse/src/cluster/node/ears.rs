//! What the engine gives this server, and what follows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use wspulse_core::cluster::{
    ASK_WITHIN, Addressee, Answer, Ask, Batch, Beat, GroupKey, Inbox, LogPosition, MessageError,
    NodeId, NodeState, Output, Question, Target,
};

use super::{HeardIn, Listening, Node, SILENT_AFTER, Telling, Told, now};
use crate::cluster::engine::{EngineStatus, Reply, RequestFailed, Sink, Topic};
use crate::ground::sync::Mutex;

/// What the engine gives.
pub(super) struct Ears(pub(super) Arc<Node>);

impl Sink for Ears {
    fn message(&self, topic: Topic, message: Bytes) {
        self.0.hear_message(topic, message);
    }

    fn request(&self, message: Bytes, reply: Reply) {
        match self.0.read(Addressee::of(&message)) {
            Some(Addressee::Outbox) => {
                if let Some(ask) = self.0.read(Ask::decode(message)) {
                    *self.0.asked_at.lock() = Some(Instant::now());
                    let answer = self.0.speaker.outbox(|outbox| outbox.answer(&ask, now()));
                    reply.send(answer.encode());
                }
            }
            Some(Addressee::Server) => (self.0.serve)(message, reply),
            None => {}
        }
    }

    fn logged(&self, key: GroupKey, position: LogPosition, entry: Bytes) {
        self.0.hear_logged(key, position, entry);
    }

    fn status(&self, status: EngineStatus) {
        match status {
            EngineStatus::Connected => {
                self.0.is_connected.store(true, Ordering::Release);
                self.0.doubt_logs();
            }
            EngineStatus::Disconnected => self.0.is_connected.store(false, Ordering::Release),
            // The numbers and beats of the others show what it was.
            EngineStatus::Lost => self.0.doubt_logs(),
        }
    }
}

impl Node {
    pub(super) async fn time(self: Arc<Self>) {
        loop {
            let at = {
                let mut listening = self.inbox.lock();
                listening.armed = listening.poll_timeout();
                listening.armed
            };
            match at {
                Some(at) => {
                    let _ = timeout_at(Instant::from_std(at), self.is_due.notified()).await;
                }
                None => self.is_due.notified().await,
            }
            self.hear_all(|listening| {
                listening.inbox.handle_timeout(now());
                if let Some(logs) = &mut listening.logs {
                    logs.inbox.handle_timeout(now());
                }
            });
        }
    }

    fn hear(self: &Arc<Self>, heard: impl FnOnce(&mut Inbox)) {
        self.hear_all(|listening| heard(&mut listening.inbox));
    }

    /// Has the inbox, or that of the logs, hear something, and what follows from that told.
    pub(super) fn hear_all(self: &Arc<Self>, heard: impl FnOnce(&mut Listening)) {
        let mut asks = Vec::new();
        {
            let mut listening = self.inbox.lock();
            heard(&mut listening);
            let Listening { inbox, logs, .. } = &mut *listening;
            self.speaker.set_has_peers(inbox.present().next().is_some());
            let mut told = self.told.lock();
            told.waiting.extend(std::iter::from_fn(|| inbox.poll_output()).map(Telling::Heard));
            asks.extend(std::iter::from_fn(|| inbox.poll_ask()));
            if let Some(logs) = logs {
                told.waiting.extend(logs.tell());
                asks.extend(std::iter::from_fn(|| logs.inbox.poll_ask()));
            }
            drop(told);
            let next = listening.poll_timeout();
            let armed = &mut listening.armed;
            if next.is_some_and(|next| armed.is_none_or(|armed| next < armed)) {
                *armed = next;
                self.is_due.notify_one();
            }
        }
        for question in asks {
            self.ask(question);
        }
        self.tell_all();
    }

    /// Tells what waits, unless another thread is at it: in the order in which it was heard.
    fn tell_all(&self) {
        /// Another one goes on, should what is told panic.
        struct Guard<'a>(&'a Mutex<Told>);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                self.0.lock().is_told = false;
            }
        }
        if std::mem::replace(&mut self.told.lock().is_told, true) {
            return;
        }
        let guard = Guard(&self.told);
        loop {
            let mut told = self.told.lock();
            let Some(next) = told.waiting.pop_front() else {
                told.is_told = false;
                std::mem::forget(guard);
                return;
            };
            drop(told);
            match next {
                Telling::Heard(output) => {
                    if let Output::Said { said, .. } = &output {
                        self.counts.frames_heard.fetch_add(said.len() as u64, Ordering::Relaxed);
                    }
                    (self.tell)(output);
                }
                Telling::Between(act) => act(),
            }
        }
    }

    /// Does something at a moment in which nothing that others have said is told, with how far they were
    /// heard in these groups by then. It may be another thread that does it, a little later.
    pub(crate) fn between(
        &self,
        targets: &[Target],
        act: impl FnOnce(Vec<HeardIn>) + Send + 'static,
    ) {
        {
            let listening = self.inbox.lock();
            let Listening { inbox, logs, .. } = &*listening;
            let in_log = |target| logs.iter().flat_map(move |it| it.inbox.positions(target));
            let heard = targets.iter().map(|target| HeardIn {
                positions: inbox.positions(*target).chain(in_log(*target)).collect(),
                since: inbox.listens_since(*target),
                ended: inbox.ended(*target).collect(),
            });
            let heard = heard.collect();
            let act = Telling::Between(Box::new(move || act(heard)));
            self.told.lock().waiting.push_back(act);
        }
        self.tell_all();
    }

    /// Asks another server for what it has said, once.
    pub(crate) async fn ask_for(
        &self,
        node: NodeId,
        ask: &Ask,
    ) -> Result<Option<Answer>, RequestFailed> {
        let answer = self.engine.request(node, ask.encode(), ASK_WITHIN).await?;
        Ok(self.read(Answer::decode(answer)))
    }

    /// Those that are there, and say something now and then.
    pub(crate) fn living(&self) -> Vec<NodeId> {
        self.with_inbox(|inbox| {
            let all = inbox.nodes();
            let present =
                all.filter(|(_, state, _, is_silent)| !is_silent && *state != NodeState::Leaving);
            present.map(|(id, ..)| id).collect()
        })
    }

    /// Those that take sessions of a server that ends, each with how many connections it has.
    pub(crate) fn heirs(&self) -> Vec<(NodeId, u32)> {
        self.with_inbox(|inbox| {
            let all = inbox.nodes();
            let serving =
                all.filter(|(_, state, _, is_silent)| !is_silent && *state == NodeState::Serving);
            serving.map(|(id, _, connections, _)| (id, connections)).collect()
        })
    }

    /// Whether a server is taken for dead: it has said nothing for long, or since this server has begun
    /// to listen.
    pub(crate) fn is_lost(&self, node: NodeId) -> bool {
        let known = self.with_inbox(|inbox| inbox.nodes().find(|(id, ..)| *id == node));
        match known {
            Some((_, state, _, is_silent)) => is_silent || state == NodeState::Leaving,
            None => self.knows_others(),
        }
    }

    /// Whether anything has come of a server since then.
    pub(crate) fn was_heard_since(&self, node: NodeId, since: Instant) -> bool {
        let heard_at = self.with_inbox(|inbox| inbox.heard_at(node));
        heard_at.is_some_and(|at| at >= since.into_std())
    }

    /// Whether a server is known and has not taken its leave, so that more may come of it.
    pub(crate) fn may_be_heard(&self, node: NodeId) -> bool {
        self.with_inbox(|inbox| {
            inbox.nodes().any(|(id, state, ..)| id == node && state != NodeState::Leaving)
        })
    }

    /// How often a server has beaten since its start, as far as it was heard.
    pub(crate) fn beats_of(&self, node: NodeId) -> u64 {
        self.with_inbox(|inbox| inbox.beats_of(node))
    }

    /// Whether a server has taken its leave. It may still be there for those who lack something.
    pub(crate) fn has_left(&self, node: NodeId) -> bool {
        self.with_inbox(|inbox| {
            inbox.nodes().any(|(id, state, ..)| id == node && state == NodeState::Leaving)
        })
    }

    /// Whether it listens for so long that it has heard of all that are there.
    pub(crate) fn knows_others(&self) -> bool {
        self.begun_at.get().is_some_and(|at| at.elapsed() >= SILENT_AFTER)
    }

    fn ask(self: &Arc<Self>, question: Question) {
        if question.node == NodeId::LOG {
            return self.ask_log(question);
        }
        let Question { id, node: to, ask } = question;
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        let question = ask.encode();
        self.spawn(move |node| {
            let question = question.clone();
            async move {
                let answer = node.engine.request(to, question, ASK_WITHIN).await;
                if let Err(RequestFailed::Unavailable(_)) = answer {
                    return node.hear(|inbox| inbox.handle_unasked(id, now()));
                }
                let answer = answer.ok().and_then(|bytes| node.read(Answer::decode(bytes)));
                if let Some(Answer::Frames { said, .. }) = &answer {
                    node.counts.frames_repaired.fetch_add(said.len() as u64, Ordering::Relaxed);
                }
                node.hear(|inbox| inbox.handle_answer(id, answer, now()));
            }
        });
    }

    /// What cannot be read is counted and passed over, as servers of another version say it.
    pub(crate) fn read<T>(&self, read: Result<T, MessageError>) -> Option<T> {
        read.inspect_err(|error| {
            self.counts.unreadable.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%error, "a message of another server cannot be read");
        })
        .ok()
    }

    fn hear_message(self: &Arc<Self>, topic: Topic, message: Bytes) {
        let target = match topic {
            Topic::Group(key) => Target::Group(key),
            Topic::Everybody => Target::Everybody,
            Topic::Beats => {
                let beat = self.read(Beat::decode(message));
                if let Some(beat) = beat.as_ref().filter(|beat| beat.origin == NodeId::LOG) {
                    return self.hear_tails(beat.moved.clone());
                }
                if let Some(beat) = beat.filter(|beat| beat.origin != self.speaker.node()) {
                    self.hear(|inbox| inbox.handle_beat(beat, now()));
                }
                return;
            }
        };
        let batch = self.read(Batch::decode(message));
        if let Some(batch) = batch.filter(|batch| batch.origin != self.speaker.node()) {
            self.hear(|inbox| inbox.handle_batch(target, batch, now()));
        }
    }
}
