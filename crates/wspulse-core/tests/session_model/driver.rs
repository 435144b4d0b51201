//! One session with its queue, driven as a server would drive it, and what is known of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wspulse_core::outbound::{OutboundQueue, Window};
use wspulse_core::session::{Predecessor, Session, SessionConfig};
use wspulse_core::{Disconnect, PanicError, TransportLost};

use crate::asking::{Asking, Peer, Unanswered};
use crate::client::Client;
use crate::coverage::Scene;
use crate::env::Env;
use crate::journal::{Journal, TransportNumber};
use crate::leaving::Leaving;
use crate::ledger::{Capacity, Ledger};
use crate::link::{Expected, Link, Mail, Running, Upgrade};
use crate::socket::Takes;

#[expect(clippy::struct_excessive_bools, reason = "facts, not states")]
pub(crate) struct Driver {
    pub(crate) session: Session,
    pub(crate) config: Arc<SessionConfig>,
    /// Whether any session may be suspended.
    pub(crate) has_places: bool,
    pub(crate) client: Client,
    /// Under a promise.
    pub(crate) asking: Option<Asking>,
    pub(crate) queue: OutboundQueue,
    pub(crate) ledger: Ledger,
    pub(crate) journal: Journal,
    pub(crate) mailbox: VecDeque<Mail>,
    pub(crate) upgrading: Option<Upgrade>,
    pub(crate) current: Option<Link>,
    pub(crate) leaving: Vec<Leaving>,
    pub(crate) running: Option<Running>,
    /// What the session has asked the registry for.
    pub(crate) asked: Vec<Disconnect>,
    /// The registry has settled on an end: nothing more is accepted.
    pub(crate) ended: bool,
    /// When it expires, as the registry knows it.
    pub(crate) expires_at: Option<Instant>,
    /// With it, nothing that was received is handed on any more.
    pub(crate) discards_received: bool,
    /// A producer has found the queue empty, or the socket has become writable.
    pub(crate) woken: bool,
    pub(crate) told: Expected,
    pub(crate) transports: TransportNumber,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    Mail,
    Upgrade,
    Callback,
    Timer,
    Write,
}

/// What all sessions of a life have in common.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) config: Arc<SessionConfig>,
    pub(crate) has_places: bool,
    pub(crate) capacity: Capacity,
    pub(crate) window: Option<Window>,
}

impl Driver {
    pub(crate) fn new(
        terms: &Terms,
        client: Client,
        predecessor: Predecessor,
        mut upgrade: Upgrade,
        env: &Env,
    ) -> Self {
        let Terms { config, has_places, capacity, window } = terms.clone();
        upgrade.deadline = env.now + config.write_wait;
        let mut session = Session::new(Arc::clone(&config), predecessor, env.now);
        if client.exchanges() {
            session.begin_exchange();
        }
        let queue = OutboundQueue::new(capacity.frames).with_capacity_bytes(capacity.bytes);
        let pong_timeout = config.heartbeat.pong_timeout;
        let exchanges = client.exchanges();
        Self {
            session,
            // A plain client is asked from its first transport on.
            asking: config
                .ask
                .filter(|_| exchanges)
                .map(|ask| Asking::new(ask, pong_timeout, true)),
            config,
            has_places,
            queue: match window {
                Some(window) => queue.with_window(window),
                None => queue,
            },
            ledger: Ledger::new(capacity, window),
            journal: Journal::new(predecessor == Predecessor::None, exchanges),
            client,
            mailbox: VecDeque::new(),
            upgrading: Some(upgrade),
            current: None,
            leaving: Vec::new(),
            running: None,
            asked: Vec::new(),
            ended: false,
            expires_at: None,
            discards_received: false,
            woken: false,
            told: Expected { opening: true, ..Expected::default() },
            transports: 0,
        }
    }

    /// Does one thing that is due; false if there is none.
    pub(crate) fn step(&mut self, env: &mut Env) -> bool {
        let due = self.due(env);
        if due.is_empty() {
            self.check_idle(env);
            return false;
        }
        // A driver may come too early, whatever it was that woke it.
        if env.chance(20) {
            self.handle_timeout(env);
            self.act(env);
            return true;
        }
        match env.pick(&due) {
            Due::Mail => self.read_mail(env),
            Due::Upgrade => self.finish_upgrade(env),
            Due::Callback => self.finish_callback(env),
            Due::Timer => self.handle_timeout(env),
            Due::Write => self.write(env),
        }
        self.act(env);
        true
    }

    fn due(&self, env: &Env) -> Vec<Due> {
        let reached = |at: Option<Instant>| at.is_some_and(|at| at <= env.now);
        let ready = self.current.as_ref().is_some_and(|link| !link.blocked);
        [
            (!self.mailbox.is_empty(), Due::Mail),
            (reached(self.upgrading.map(|it| it.done_at)), Due::Upgrade),
            (reached(self.running.as_ref().map(|it| it.ends_at)), Due::Callback),
            (reached(self.session.poll_timeout()), Due::Timer),
            (self.woken && ready, Due::Write),
        ]
        .into_iter()
        .filter_map(|(is_due, due)| is_due.then_some(due))
        .collect()
    }

    /// Time has passed. What is expected of a question is known before the session is told.
    fn handle_timeout(&mut self, env: &Env) {
        if !self.has_expired(env) {
            self.expect_unanswered(env);
            self.expect_notice(env);
        }
        self.session.handle_timeout(env.now);
    }

    fn expect_unanswered(&mut self, env: &Env) {
        let is_paused = self.is_paused();
        let heartbeat = &self.config.heartbeat;
        if let (Some(link), Some(asking)) = (&self.current, &mut self.asking)
            && self.told.end.is_none()
        {
            let heard_out_at = link.heard_at + heartbeat.pong_timeout;
            let blocked = link.blocked_since.map(|since| since + self.config.write_wait);
            let silent = (!is_paused).then_some(heard_out_at);
            let incomplete = link.message_deadline.filter(|_| !is_paused);
            let before = [blocked, silent, incomplete, Some(link.ping_at)];
            let is_before = before.into_iter().flatten().any(|at| at <= env.now);
            if is_before {
                return;
            }
            asking.look(env.now);
            if !asking.is_asking() || !asking.is_due(is_paused, env.now) {
                return;
            }
            let is_news = asking.peer == Peer::Unknown;
            match asking.give_up(heard_out_at, env.now) {
                Unanswered::Lost => self.told.unanswered = true,
                Unanswered::Presumed(number) => self.told.presumed = Some((number, is_news)),
                Unanswered::Undecided => Scene::SilenceDecides.seen(),
            }
        }
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let leaving = self.leaving.iter().map(|leaving| leaving.deadline);
        self.session
            .poll_timeout()
            .into_iter()
            .chain(self.upgrading.map(|it| it.done_at))
            .chain(self.running.as_ref().map(|it| it.ends_at))
            .chain(leaving)
            .min()
    }

    /// Nothing is left to do for it, and for its transports neither.
    pub(crate) fn is_done(&self) -> bool {
        self.session.is_finished() && self.leaving.is_empty() && self.mailbox.is_empty()
    }

    pub(crate) fn lose(&mut self, cause: TransportLost, env: &mut Env) {
        if self.current.is_some() {
            Scene::FlushCutByPeer.seen_if(self.told.end.is_some());
            self.told.loss = Some(cause.clone());
            self.session.handle_transport_lost(cause, env.now);
            self.act(env);
        }
    }

    pub(crate) fn become_writable(&mut self, takes: Takes) {
        if let Some(link) = &mut self.current {
            link.socket.takes = takes;
            link.blocked = false;
            self.woken = true;
        }
    }

    pub(crate) fn see_off(&mut self, env: &mut Env) {
        for mut leaving in std::mem::take(&mut self.leaving) {
            if !leaving.see_off(env) {
                self.leaving.push(leaving);
            } else if env.chance(50) {
                // What is on its way breaks off anywhere, if at all.
                let bytes = leaving.socket.peer.bytes_on_the_way();
                let bytes = if env.chance(70) { bytes } else { env.up_to(bytes) };
                self.arrive_from(&mut leaving.socket, leaving.attempt, bytes, env);
            }
        }
    }

    fn read_mail(&mut self, env: &mut Env) {
        match self.mailbox.pop_front().expect("mail is due") {
            Mail::Upgrade(mut upgrade) => {
                // One at a time: an older one is forgotten.
                upgrade.deadline = env.now + self.config.write_wait;
                self.upgrading = Some(upgrade);
                self.session.handle_upgrade_started(env.now);
            }
            Mail::End(disconnect, deadline) => self.end(disconnect, deadline, env),
            Mail::Expiry(at) => self.expect_expiry(at),
            Mail::PredecessorFinished => {
                Scene::HeldByPredecessor.seen_if(self.current.is_some());
                self.journal.may_start = true;
                self.session.handle_predecessor_finished();
            }
        }
    }

    fn end(&mut self, disconnect: Disconnect, deadline: Instant, env: &mut Env) {
        if !hands_on_received(&disconnect) {
            let waiting = self.journal.give_up_waiting();
            self.told.take_back(waiting);
        }
        self.told.opening = false;
        self.told.notice_waits = false;
        self.told.ended_suspended = self.told.suspended_until.take().is_some();
        let expected = match (&disconnect, &self.told.last_loss) {
            // The application agrees with a peer that has taken its leave.
            (
                Disconnect::Closed | Disconnect::ClosedWith(_),
                Some(cause @ TransportLost::PeerClosed(_)),
            ) if self.told.ended_suspended => Disconnect::TransportLost(cause.clone()),
            (disconnect, _) => Disconnect::clone(disconnect),
        };
        self.told.end = Some((disconnect.clone(), deadline));
        self.told.end_as_told = Some(expected);
        self.told.backlog_at_end = !self.ledger.is_empty();
        self.told.awaits_transport = self.current.is_none();
        self.woken = true;
        self.session.handle_end(disconnect, deadline);
        if env.chance(10) {
            self.session.handle_end(Disconnect::ServerClosed, env.now);
        }
    }

    fn finish_callback(&mut self, env: &mut Env) {
        let running = self.running.take().expect("a callback is due");
        if let Some(from) = running.panics {
            let is_current = self.current.as_ref().is_some_and(|it| it.number == from);
            let error = PanicError::new(&"boom");
            if is_current && self.told.end.is_none() {
                self.told.loss = Some(TransportLost::HandlerPanicked(error.clone()));
                let waiting = self.journal.give_up_waiting();
                self.told.take_back(waiting);
                Scene::PanicLostTransport.seen();
            }
            Scene::PanicDuringFlush.seen_if(is_current && self.told.end.is_some());
            Scene::PanicSparedTransport.seen_if(!is_current && self.current.is_some());
            self.session.handle_message_panicked(error, env.now);
            self.act(env);
        }
        self.hear_again_if_paused(env);
        self.journal.finish();
        self.session.handle_callback_finished(env.now);
    }

    /// A place becomes free: what the peer may have said meanwhile is read from now on.
    pub(crate) fn hear_again_if_paused(&mut self, env: &Env) {
        if self.is_paused() {
            self.hear_again(env);
        }
    }

    /// Reading goes on: nothing that the peer did not say meanwhile counts against it.
    pub(crate) fn hear_again(&mut self, env: &Env) {
        if let Some(link) = &mut self.current {
            link.heard_at = env.now;
            if let Some(deadline) = &mut link.message_deadline {
                *deadline = env.now + self.config.message_timeout;
            }
            if let Some(asking) = &mut self.asking {
                asking.heard_again(env.now);
            }
        }
    }
}

/// Whether a connection that ends so hands on what it has received.
pub(crate) fn hands_on_received(disconnect: &Disconnect) -> bool {
    matches!(
        disconnect,
        Disconnect::TransportLost(_)
            | Disconnect::GraceExpired(_)
            | Disconnect::SuspendedLimit(_)
            | Disconnect::FramesLost
            | Disconnect::SlowConsumer(_)
            | Disconnect::Drained { .. }
    )
}
