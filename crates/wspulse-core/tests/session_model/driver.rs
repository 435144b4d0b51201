//! One session with its queue, driven as a server would drive it, and what is known of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wspulse_core::outbound::{ControlLane, OutboundQueue};
use wspulse_core::session::{Predecessor, Session, SessionConfig};
use wspulse_core::websocket::{Flow, Progress};
use wspulse_core::{Disconnect, Frame, PanicError, SessionEvent, TransportLost};

use crate::coverage::Scene;
use crate::env::Env;
use crate::journal::{Journal, TransportNumber};
use crate::leaving::Leaving;
use crate::ledger::{Capacity, Ledger};
use crate::socket::{Socket, Takes};

pub(crate) struct Driver {
    pub(crate) session: Session,
    pub(crate) config: Arc<SessionConfig>,
    /// Whether any session may be suspended.
    pub(crate) has_places: bool,
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
    /// A producer has found the queue empty, or the socket has become writable.
    pub(crate) woken: bool,
    pub(crate) told: Expected,
    pub(crate) transports: TransportNumber,
}

pub(crate) enum Mail {
    Upgrade(Upgrade),
    End(Disconnect, Instant),
    PredecessorFinished,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Upgrade {
    pub(crate) done_at: Instant,
    pub(crate) succeeds: bool,
    pub(crate) socket_takes: Takes,
    /// Known once the session was told of it.
    pub(crate) deadline: Instant,
}

/// The current transport.
pub(crate) struct Link {
    pub(crate) number: TransportNumber,
    pub(crate) socket: Socket,
    pub(crate) lane: ControlLane,
    pub(crate) blocked: bool,
    pub(crate) blocked_since: Option<Instant>,
    pub(crate) ping_at: Instant,
    pub(crate) heard_at: Instant,
    pub(crate) pings_sent: u32,
    pub(crate) pings_received: u32,
    /// When the message that has begun must be complete.
    pub(crate) message_deadline: Option<Instant>,
}

pub(crate) struct Running {
    pub(crate) ends_at: Instant,
    /// A message callback that will panic, and where its message came from.
    pub(crate) panics: Option<TransportNumber>,
}

/// What the session is expected to know and to do next.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts, not states")]
pub(crate) struct Expected {
    pub(crate) opening: bool,
    pub(crate) suspended_until: Option<Instant>,
    pub(crate) upgrade_failed_at: Option<Instant>,
    pub(crate) end: Option<(Disconnect, Instant)>,
    /// The end as its callback is to hear of it.
    pub(crate) end_as_told: Option<Disconnect>,
    pub(crate) ended_suspended: bool,
    pub(crate) loss: Option<TransportLost>,
    /// The loss that the last transport was dismissed for, if it was told.
    pub(crate) last_loss: Option<TransportLost>,
    pub(crate) flushed: bool,
    pub(crate) asked_for_end: bool,
    pub(crate) discarded_backlog: bool,
    pub(crate) losses: u32,
    pub(crate) backlog_at_end: bool,
    pub(crate) awaits_transport: bool,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    Mail,
    Upgrade,
    Callback,
    Timer,
    Write,
}

impl Driver {
    pub(crate) fn new(
        config: &Arc<SessionConfig>,
        capacity: Capacity,
        has_places: bool,
        predecessor: Predecessor,
        mut upgrade: Upgrade,
        env: &Env,
    ) -> Self {
        upgrade.deadline = env.now + config.write_wait;
        Self {
            session: Session::new(Arc::clone(config), predecessor, env.now),
            config: Arc::clone(config),
            has_places,
            queue: OutboundQueue::new(capacity.frames).with_capacity_bytes(capacity.bytes),
            ledger: Ledger::new(capacity),
            journal: Journal::new(predecessor == Predecessor::None),
            mailbox: VecDeque::new(),
            upgrading: Some(upgrade),
            current: None,
            leaving: Vec::new(),
            running: None,
            asked: Vec::new(),
            ended: false,
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
            self.session.handle_timeout(env.now);
            self.act(env);
            return true;
        }
        match env.pick(&due) {
            Due::Mail => self.read_mail(env),
            Due::Upgrade => self.finish_upgrade(env),
            Due::Callback => self.finish_callback(env),
            Due::Timer => self.session.handle_timeout(env.now),
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

    /// The transport delivers frames, as many as are welcome.
    pub(crate) fn receive(&mut self, frames: usize, env: &mut Env) {
        let Some(number) = self.current.as_ref().map(|link| link.number) else {
            return;
        };
        for _ in 0..frames {
            if !self.session.wants_inbound() {
                Scene::ReadingPaused.seen();
                break;
            }
            self.hear(env);
            let message = self.journal.next_received();
            if self.told.end.is_none() {
                self.journal.wait(message, number);
            } else {
                self.journal.give_up(1);
            }
            let frame = Frame::default().with_payload(message.to_be_bytes().to_vec());
            if self.session.start_message() {
                self.start_callback(&SessionEvent::Message(frame), env);
            } else {
                let flow = self.session.handle_frame(frame);
                assert_eq!(flow == Flow::Pause, self.is_paused());
            }
            self.act(env);
        }
    }

    pub(crate) fn receive_ping(&mut self, env: &mut Env) {
        self.hear(env);
        let pings = if env.chance(10) { 20 } else { 1 };
        if let Some(link) = &mut self.current {
            for _ in 0..pings {
                link.pings_received += 1;
                link.lane.queue_pong(&link.pings_received.to_be_bytes());
            }
            self.woken = true;
        }
    }

    /// What has been read ends within a message, or behind one.
    pub(crate) fn progress(&mut self, env: &mut Env) {
        self.hear(env);
        if let Some(link) = &mut self.current {
            let incomplete = if link.message_deadline.is_some() && env.chance(50) {
                Progress::Continued
            } else {
                Progress::Begun
            };
            let progress = env.pick(&[Progress::Complete, incomplete, incomplete]);
            if self.told.end.is_none() {
                match progress {
                    Progress::Complete => link.message_deadline = None,
                    Progress::Begun => {
                        link.message_deadline = Some(env.now + self.config.message_timeout);
                    }
                    Progress::Continued => {}
                }
            }
            self.session.handle_progress(progress, env.now);
            self.act(env);
        }
    }

    fn hear(&mut self, env: &Env) {
        if let Some(link) = &mut self.current {
            link.heard_at = env.now;
            self.session.handle_activity(env.now);
        }
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
        self.leaving.retain_mut(|leaving| !leaving.see_off(env));
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
            Mail::PredecessorFinished => {
                Scene::HeldByPredecessor.seen_if(self.current.is_some());
                self.journal.may_start = true;
                self.session.handle_predecessor_finished();
            }
        }
    }

    fn end(&mut self, disconnect: Disconnect, deadline: Instant, env: &mut Env) {
        let peer_went = matches!(
            disconnect,
            Disconnect::TransportLost(_)
                | Disconnect::GraceExpired(_)
                | Disconnect::SuspendedLimit(_)
        );
        if !peer_went {
            self.journal.give_up_waiting();
        }
        self.told.opening = false;
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

    fn finish_upgrade(&mut self, env: &mut Env) {
        let upgrade = self.upgrading.take().expect("an upgrade is due");
        if !upgrade.succeeds {
            let cause = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            let cause = TransportLost::UpgradeFailed(Arc::new(cause));
            self.session.handle_upgrade_failed(cause, env.now);
            self.upgrade_failed(env);
            return;
        }
        Scene::AttachedAfterLoss.seen_if(self.told.asked_for_end && self.told.end.is_none());
        if let Some(link) = self.current.take() {
            Scene::TakenOver.seen();
            self.told.losses += u32::from(self.told.end.is_none());
            self.part_with(
                link,
                TransportLost::Superseded.dismissal(),
                env.now + self.config.write_wait,
            );
        }
        self.session.handle_attached(self.queue.resumed(), env.now);
        self.transports += 1;
        self.told.opening = false;
        self.told.suspended_until = None;
        self.woken = true;
        self.current = Some(Link {
            number: self.transports,
            socket: Socket::new(upgrade.socket_takes),
            lane: ControlLane::default(),
            blocked: false,
            blocked_since: None,
            ping_at: env.now + self.config.heartbeat.ping_interval,
            heard_at: env.now,
            pings_sent: 0,
            pings_received: 0,
            message_deadline: None,
        });
    }

    fn finish_callback(&mut self, env: &mut Env) {
        let running = self.running.take().expect("a callback is due");
        if let Some(from) = running.panics {
            let is_current = self.current.as_ref().is_some_and(|it| it.number == from);
            let error = PanicError::new(&"boom", None);
            if is_current && self.told.end.is_none() {
                self.told.loss = Some(TransportLost::HandlerPanicked(error.clone()));
                self.journal.give_up_waiting();
                Scene::PanicLostTransport.seen();
            }
            Scene::PanicDuringFlush.seen_if(is_current && self.told.end.is_some());
            Scene::PanicSparedTransport.seen_if(!is_current && self.current.is_some());
            self.session.handle_message_panicked(error, env.now);
            self.act(env);
        }
        if self.is_paused()
            && let Some(link) = &mut self.current
        {
            link.heard_at = env.now;
        }
        self.journal.finish();
        self.session.handle_callback_finished(env.now);
    }
}
