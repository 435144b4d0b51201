//! The life of one connection, across all its transports: the only code that changes its state.

mod acks;
mod action;
mod awaited;
mod callback;
mod config;
mod exchange;
mod expiry;
mod inbound;
mod moved;
mod state;
mod suspension;
mod timeout;
mod view;
mod writing;

use std::sync::Arc;
use std::time::Instant;

use crate::callbacks::{CallbackQueue, Resumed, SessionEvent};
use crate::clock::after;
use crate::codec::DecodeError;
use crate::disconnect::{Disconnect, TransportLost};
use crate::frame::Frame;
use crate::heartbeat::Heartbeat;
use crate::rare_queue::RareQueue;
use crate::websocket::Flow;

pub use acks::AskConfig;
use acks::{Acks, Answering};
pub use action::Action;
pub use awaited::AwaitedConfig;
pub use config::{Predecessor, SessionConfig};
pub use exchange::Counted;
use expiry::RareDeadlines;
use inbound::InboundWatch;
pub use inbound::Pace;
pub use moved::MovedExchange;
use state::{Link, State};
pub use suspension::SuspensionLimit;
pub use view::Deadlines;
pub use writing::Taken;
use writing::Writing;

/// A connection's state machine: `handle_*` tells it what happened, [`poll_action`] and
/// [`poll_timeout`] tell what to do and when to come back.
///
/// **After every `handle_*` call, take actions until there is none.** Outbound frames lie in an
/// [`OutboundQueue`](crate::outbound::OutboundQueue) beside it, since producers reach that from any
/// thread; the session decides when it is written ([`is_writable`](Self::is_writable)) and when
/// what is left of it is given up ([`Action::DiscardBacklog`]).
///
/// [`poll_action`]: Self::poll_action
/// [`poll_timeout`]: Self::poll_timeout
#[derive(Debug)]
pub struct Session {
    config: Arc<SessionConfig>,
    state: State,
    rare: RareDeadlines,
    callbacks: CallbackQueue,
    actions: RareQueue<Action>,
    /// Boxed, since most sessions have none most of the time.
    inbound: Option<Box<InboundWatch>>,
    /// Boxed, since only a promise of delivery has one, while something is on its way.
    acks: Option<Box<Acks>>,
    answering: Answering,
}

impl Session {
    /// A session whose first transport is being upgraded. With a predecessor, callbacks wait until
    /// [`handle_predecessor_finished`](Self::handle_predecessor_finished).
    pub fn new(config: Arc<SessionConfig>, predecessor: Predecessor, now: Instant) -> Self {
        let mut rare = RareDeadlines::default();
        rare.begin_upgrade(after(now, config.write_wait));
        Self {
            rare,
            inbound: config.inbound_rate.map(|rate| Box::new(InboundWatch::metering(&rate, now))),
            config,
            acks: None,
            answering: Answering::default(),
            state: State::Opening,
            callbacks: match predecessor {
                Predecessor::None => CallbackQueue::new(),
                Predecessor::Running => CallbackQueue::held(),
            },
            actions: RareQueue::new(),
        }
    }

    /// Another transport for this session is being upgraded.
    pub fn handle_upgrade_started(&mut self, now: Instant) {
        self.rare.begin_upgrade(after(now, self.config.write_wait));
    }

    /// The transport that was being upgraded is there, and is the current one from now on. If
    /// there was one already, the driver has dismissed it as [`TransportLost::Superseded`]. What
    /// waits in the outbound queue is told to the application if this is not the first.
    pub fn handle_attached(&mut self, resumed: Resumed, now: Instant) {
        self.rare.end_upgrade();
        match &self.state {
            State::Opening => {
                self.callbacks.push(SessionEvent::Opened);
                if self.comes_from_elsewhere() {
                    self.callbacks.push(SessionEvent::Resumed(resumed));
                }
            }
            State::Connected(_) => {
                self.callbacks.push(SessionEvent::Suspended(TransportLost::Superseded));
                self.callbacks.push(SessionEvent::Resumed(resumed));
            }
            State::Suspended { .. } => self.callbacks.push(SessionEvent::Resumed(resumed)),
            // The end is on its way nevertheless: this transport will be told.
            State::Lost { cause } => {
                self.callbacks.push(SessionEvent::Suspended(cause.clone()));
                self.callbacks.push(SessionEvent::Resumed(resumed));
            }
            State::AwaitingTransport { close, deadline } => {
                let flushing = State::Flushing { close: close.clone(), deadline: *deadline };
                self.enter(flushing);
                return;
            }
            State::Flushing { .. } | State::Closed => return,
        }
        let heartbeat = Heartbeat::new(&self.config.heartbeat, now);
        self.forget_message();
        self.enter(State::Connected(Link { heartbeat, writing: Writing::Flowing }));
        self.begin_asking(resumed.replayed);
        self.forget_client_asked();
        self.check_awaited();
    }

    /// The transport that was being upgraded did not come about. That takes back no more than it
    /// gave: a session that had a transport keeps it, a suspended one goes on waiting with its old
    /// deadline.
    pub fn handle_upgrade_failed(&mut self, cause: TransportLost, now: Instant) {
        self.rare.end_upgrade();
        match self.state {
            State::Opening => {
                self.callbacks.push(SessionEvent::Opened);
                self.lose_transport(cause, now);
            }
            State::AwaitingTransport { .. } => self.finish(),
            State::Connected(_)
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::Flushing { .. }
            | State::Closed => {}
        }
    }

    /// The current transport is lost.
    pub fn handle_transport_lost(&mut self, cause: TransportLost, now: Instant) {
        match &self.state {
            State::Connected(link) => {
                let is_silent = matches!(cause, TransportLost::EndOfStream | TransportLost::Io(_));
                let cause = if is_silent && link.writing.has_failed() {
                    // The peer has not said a word: what happened first is the cause.
                    link.writing.cause()
                } else {
                    cause
                };
                let deadline = after(now, self.config.write_wait);
                self.actions.push_back(Action::Dismiss(cause.dismissal(), deadline));
                self.forget_message();
                self.lose_transport(cause, now);
            }
            State::Flushing { deadline, .. } => {
                self.actions.push_back(Action::Dismiss(cause.dismissal(), *deadline));
                self.leave_flushing();
            }
            State::Opening
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => {}
        }
    }

    /// Bytes came from the peer.
    pub fn handle_activity(&mut self, now: Instant) {
        if let State::Connected(link) = &mut self.state {
            link.heartbeat.handle_activity(now);
        }
    }

    /// A frame is about to be handed in. Says whether nothing is in its way, as most of the time:
    /// then its callback has the turn, without a place in any queue.
    /// [`handle_callback_finished`](Self::handle_callback_finished) must follow, as after
    /// [`Action::Call`]. Otherwise the frame goes to [`handle_frame`](Self::handle_frame).
    #[inline]
    pub fn start_message(&mut self) -> bool {
        matches!(self.state, State::Connected(_))
            && self.actions.is_empty()
            && self.callbacks.start_message()
    }

    /// A frame came from the peer. Says whether the next one is welcome.
    pub fn handle_frame(&mut self, frame: Frame) -> Flow {
        if matches!(self.state, State::Connected(_)) {
            self.note_waiting(&frame);
            self.callbacks.push(SessionEvent::Message(frame));
        } else {
            self.actions.push_back(Action::Discarded(1));
        }
        self.flow_behind_waiting()
    }

    /// A message came that is no frame, and the application wants to hear of it. Says whether the
    /// next one is welcome.
    pub fn handle_undecodable(&mut self, error: DecodeError) -> Flow {
        if matches!(self.state, State::Connected(_)) {
            self.callbacks.push(SessionEvent::Undecodable(error));
        }
        self.flow_behind_waiting()
    }

    /// The connection has ended, for this reason and no other. What was accepted is flushed until
    /// `deadline`. Only the first call counts.
    pub fn handle_end(&mut self, disconnect: Disconnect, deadline: Instant) {
        let has_transport = match &self.state {
            State::Opening => {
                self.callbacks.push(SessionEvent::Opened);
                false
            }
            State::Connected(_) => true,
            State::Suspended { .. } | State::Lost { .. } => false,
            State::Flushing { .. } | State::AwaitingTransport { .. } | State::Closed => return,
        };
        if !disconnect.delivers_received() {
            self.take_back(self.callbacks.messages());
            self.discard_messages();
        }
        self.callbacks.take_back_notice();
        let close = self.config.close_frame(&disconnect);
        let told = match (&self.state, disconnect) {
            // The application agrees with a peer that has taken its leave.
            (
                State::Suspended { cause: cause @ TransportLost::PeerClosed(_), .. },
                Disconnect::Closed | Disconnect::ClosedWith(_),
            ) => Disconnect::TransportLost(cause.clone()),
            (_, disconnect) => disconnect,
        };
        self.callbacks.push(SessionEvent::Closed(told));
        if has_transport {
            self.answer_finally();
            self.enter(State::Flushing { close, deadline });
        } else if self.rare.is_upgrading() {
            self.enter(State::AwaitingTransport { close, deadline });
        } else {
            self.finish();
        }
    }

    /// The server closes and waits no longer than this, also for what ended before.
    pub fn handle_drain_limited(&mut self, limit: Instant) {
        match &mut self.state {
            State::Flushing { deadline, .. } | State::AwaitingTransport { deadline, .. } => {
                *deadline = limit.min(*deadline);
            }
            State::Opening
            | State::Connected(_)
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::Closed => {}
        }
    }

    /// The connection has joined a room, or is in one no more: `event` is
    /// [`Joined`](SessionEvent::Joined) or [`Left`](SessionEvent::Left). What it leaves by its end
    /// comes before that.
    pub fn handle_room(&mut self, event: SessionEvent) {
        match self.state {
            State::Opening | State::Connected(_) | State::Suspended { .. } | State::Lost { .. } => {
                self.callbacks.push(event);
            }
            // The last callback has been decided on.
            State::Flushing { .. } | State::AwaitingTransport { .. } | State::Closed => {}
        }
    }

    /// Nobody is left to run callbacks: those that wait are never called.
    pub fn handle_abandoned(&mut self) {
        self.enter(State::Closed);
        self.actions.retain(|action| matches!(action, Action::Discarded(_)));
        let discarded = self.callbacks.abandon();
        self.report_discarded(discarded);
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        // `Opened` is told before all else.
        if matches!(self.state, State::Opening) {
            return None;
        }
        self.callbacks.start_next().map(Action::Call)
    }

    fn lose_transport(&mut self, cause: TransportLost, now: Instant) {
        if self.config.resume_window.is_zero() {
            self.actions.push_back(Action::End(Disconnect::TransportLost(cause.clone())));
            self.enter(State::Lost { cause });
        } else if !self.config.may_suspend() {
            self.actions.push_back(Action::End(Disconnect::SuspendedLimit(cause.clone())));
            self.enter(State::Lost { cause });
        } else {
            self.callbacks.push(SessionEvent::Suspended(cause.clone()));
            let grace_deadline = after(now, self.config.resume_window);
            self.enter(State::Suspended { grace_deadline, cause });
        }
    }

    /// The only way from one state to the next: who leaves a suspension frees its place.
    fn enter(&mut self, state: State) {
        if self.is_suspended() {
            self.config.leave_suspension();
        }
        self.state = state;
    }

    /// The transport that was flushed is dismissed; another one on its way is told as well.
    fn leave_flushing(&mut self) {
        if let State::Flushing { close, deadline } = &self.state
            && self.rare.is_upgrading()
        {
            let awaiting = State::AwaitingTransport { close: close.clone(), deadline: *deadline };
            self.enter(awaiting);
        } else {
            self.finish();
        }
    }

    fn abandon_upgrade(&mut self) {
        if self.rare.end_upgrade() {
            self.actions.push_back(Action::AbandonUpgrade);
        }
    }

    fn finish(&mut self) {
        self.enter(State::Closed);
        self.actions.push_back(Action::DiscardBacklog);
    }

    fn discard_messages(&mut self) {
        let discarded = self.callbacks.discard_messages();
        self.report_discarded(discarded);
    }

    fn report_discarded(&mut self, discarded: usize) {
        if discarded > 0 {
            self.actions.push_back(Action::Discarded(discarded));
        }
    }
}

impl Drop for Session {
    /// A session whose driver is dropped with it does not count as suspended for ever.
    fn drop(&mut self) {
        self.enter(State::Closed);
    }
}
