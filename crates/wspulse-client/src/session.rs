//! The client's state machine: what came in, in; what is to be done, out.
//!
//! It opens nothing, reads no clock and draws no random number but from the seed that it was given.
//! **Whoever drives it does four things after each `handle_*`: takes effects until there are none,
//! writes what `poll_transmit` gives as long as the transport takes it, tells by `handle_flushed`
//! that it has, and comes back with `handle_timeout` when `poll_timeout` says.**

mod backoff;
mod config;
mod effect;
mod live;
mod outbox;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use wspulse_core::codec::InboundMessage;
use wspulse_core::protocol::{
    Control, Hello, PLAIN_SUBPROTOCOL, ResumeOffer, SUBPROTOCOL_PREFIX, SessionKind,
};
use wspulse_core::{CloseCode, Frame};

pub(crate) use self::backoff::Backoff;
pub(crate) use self::config::SessionConfig;
pub use self::config::Sessions;
pub(crate) use self::effect::{Effect, Message, Outcome, Outgoing, Refused};
use self::live::Live;
use self::outbox::Outbox;
use self::watch::Watch;
use crate::event::{Cause, EndCause, Event, SessionStart};

/// One client's session with one server, across all its transports.
///
/// `W` is whoever waits for a frame to be handled; the machine only hands it back.
#[derive(Debug)]
pub(crate) struct Session<W> {
    config: SessionConfig,
    state: State,
    backoff: Backoff,
    outbox: Outbox<W>,
    /// What the next handshake offers; there is a session while there is one.
    token: Option<String>,
    /// How many data messages of this session have come.
    received: u64,
    /// The longest message that the server takes, once a `hello` has told.
    message_bytes_max: Option<u64>,
    effects: VecDeque<Effect<W>>,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Connecting { until: Instant },
    Greeting { until: Instant },
    Live(Live),
    Plain(Watch),
    Ended,
}

impl<W> Session<W> {
    /// A client that makes its first attempt at once.
    pub(crate) fn new(config: SessionConfig, backoff: Backoff, now: Instant) -> Self {
        Self {
            outbox: Outbox::new(config.outbox_messages_max, config.outbox_bytes_max),
            config,
            state: State::Waiting { until: now },
            backoff,
            token: None,
            received: 0,
            message_bytes_max: None,
            effects: VecDeque::new(),
        }
    }

    pub(crate) const fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// What is to be done next.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect<W>> {
        self.effects.pop_front()
    }

    /// When time makes a difference.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } | State::Connecting { until } | State::Greeting { until } => {
                Some(*until)
            }
            State::Live(live) => live.poll_timeout(),
            State::Plain(watch) => watch.poll_timeout(),
            State::Ended => None,
        }
    }

    /// The next message for the transport, which counts as sent from now on.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Outgoing> {
        match &mut self.state {
            State::Live(live) => live.poll_transmit(&mut self.outbox, self.received, now),
            State::Plain(watch) => {
                if watch.take_probe() {
                    return Some(Outgoing::Ping);
                }
                self.outbox.transmit().map(Outgoing::Data)
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Ended => None,
        }
    }

    /// The socket has taken all that was transmitted. On a plain connection nothing more will ever
    /// be known of it.
    pub(crate) fn handle_flushed(&mut self) {
        if let State::Plain(_) = self.state {
            self.settle_through(self.outbox.sent());
        }
    }

    /// Takes a frame over, or says why not. `message` is the frame as its codec writes it.
    pub(crate) fn handle_send(
        &mut self,
        frame: Frame,
        message: Message,
        waiter: Option<W>,
    ) -> Result<(), (Refused, Frame)> {
        if self.is_ended() {
            return Err((Refused::Closed, frame));
        }
        let bytes = message.bytes.len();
        if let Some(bytes_max) = self.message_bytes_max.filter(|max| bytes as u64 > *max) {
            return Err((Refused::TooLong { bytes_max }, frame));
        }
        self.outbox.push(frame, message, waiter)
    }

    /// The application ends it.
    pub(crate) fn handle_close(&mut self) {
        match self.state {
            State::Ended => return,
            State::Waiting { .. } => {}
            State::Connecting { .. } => self.effects.push_back(Effect::Abandon),
            State::Greeting { .. } | State::Live(_) | State::Plain(_) => {
                self.effects.push_back(Effect::Close { code: CloseCode::NORMAL, reason: "" });
            }
        }
        self.end(EndCause::Closed);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.let_time_pass(now);
        // Whoever drives it would come back at once, again and again.
        let is_waiting = matches!(self.state, State::Waiting { .. });
        debug_assert!(is_waiting || self.poll_timeout().is_none_or(|at| at > now));
    }

    fn let_time_pass(&mut self, now: Instant) {
        let lost = match &mut self.state {
            State::Waiting { until } if now >= *until => return self.connect(now),
            State::Connecting { until } | State::Greeting { until } if now >= *until => {
                Some(Cause::ConnectTimeout)
            }
            State::Live(live) => live.handle_timeout(now),
            State::Plain(watch) => watch.handle_timeout(now),
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Ended => None,
        };
        let Some(cause) = lost else { return };
        self.effects.push_back(Effect::Abandon);
        self.lose_transport(now, cause);
    }

    fn connect(&mut self, now: Instant) {
        self.state = State::Connecting { until: now + self.config.connect_timeout };
        let mut protocols = Vec::new();
        if let Some(codec) = &self.config.codec {
            protocols.push(format!("{SUBPROTOCOL_PREFIX}{codec}"));
            if self.config.sessions != Sessions::Require {
                protocols.push(PLAIN_SUBPROTOCOL.to_owned());
            }
            if let Some(token) = &self.token {
                let offer = ResumeOffer { token: token.clone(), count: self.received };
                protocols.push(offer.to_string());
            }
        }
        self.effects.push_back(Effect::Open { protocols });
    }

    /// The transport is open, and the server has chosen this subprotocol.
    pub(crate) fn handle_open(&mut self, now: Instant, chosen: Option<&str>) {
        let State::Connecting { until } = self.state else { return };
        let codec = chosen.and_then(|chosen| chosen.strip_prefix(SUBPROTOCOL_PREFIX));
        if codec.is_some() && codec == self.config.codec.as_deref() {
            self.state = State::Greeting { until };
            return;
        }
        if self.config.sessions == Sessions::Require {
            return self.violate(now, "no wspulse.1");
        }
        self.forget_session();
        self.message_bytes_max = None;
        self.state = State::Plain(Watch::new(self.config.silence, self.config.probe_timeout, now));
        self.tell(Event::Session { session: SessionStart::Plain, replay: 0, id: String::new() });
    }

    /// Something came, if only a Ping or a Pong.
    pub(crate) fn handle_heard(&mut self, now: Instant) {
        match &mut self.state {
            State::Live(live) => live.watch.handle_heard(now),
            State::Plain(watch) => {
                watch.handle_heard(now);
                self.backoff.begin_anew();
            }
            State::Waiting { .. }
            | State::Connecting { .. }
            | State::Greeting { .. }
            | State::Ended => {}
        }
    }

    /// A text or binary message has arrived whole.
    pub(crate) fn handle_message(&mut self, now: Instant, message: Message) {
        self.handle_heard(now);
        let is_control = Control::is_meant(&InboundMessage::lent(message.kind, &message.bytes));
        match self.state {
            State::Plain(_) => self.effects.push_back(Effect::Deliver(message)),
            State::Greeting { .. } | State::Live(_) if is_control => {
                match Control::parse(&message.bytes) {
                    Ok(control) => self.handle_control(now, control),
                    Err(_) => self.violate(now, "malformed control message"),
                }
            }
            State::Greeting { .. } => self.violate(now, "no hello"),
            State::Live(_) => {
                self.received += 1;
                self.effects.push_back(Effect::Deliver(message));
            }
            State::Waiting { .. } | State::Connecting { .. } | State::Ended => {}
        }
    }

    fn handle_control(&mut self, now: Instant, control: Control) {
        match (&mut self.state, control) {
            (State::Greeting { .. }, Control::Hello(hello)) => self.handle_hello(now, *hello),
            (State::Greeting { .. }, Control::Ask | Control::Ack(_)) => {
                self.violate(now, "no hello");
            }
            (State::Live(_), Control::Hello(_)) => self.violate(now, "a second hello"),
            (State::Live(live), Control::Ask) => live.owe_answer(),
            (State::Live(live), Control::Ack(count)) => {
                if count > self.outbox.sent() {
                    self.violate(now, "acknowledged what was not sent");
                    return;
                }
                live.handle_answer(count);
                self.settle_through(count);
            }
            // `Control::Unknown`, and whatever the core may come to know: a later version's.
            (_, _) => {}
        }
    }

    fn handle_hello(&mut self, now: Instant, hello: Hello) {
        let known = match hello.session {
            SessionKind::New => 0..=0,
            SessionKind::Resumed if self.token.is_some() => self.outbox.countable(),
            SessionKind::Resumed => return self.violate(now, "resumed what was not offered"),
        };
        if !known.contains(&hello.received) {
            return self.violate(now, "received what was not sent");
        }
        let session = match hello.session {
            SessionKind::New => {
                self.forget_session();
                SessionStart::New
            }
            SessionKind::Resumed => {
                self.settle_through(hello.handled);
                self.outbox.send_again_beyond(hello.received);
                SessionStart::Resumed
            }
        };
        self.token = Some(hello.token);
        self.message_bytes_max = Some(hello.message_max);
        self.refuse_too_long(hello.message_max);
        self.backoff.begin_anew();
        let silence = self.config.silence_under(hello.silence);
        let watch = Watch::new(silence, self.config.probe_timeout, now);
        self.state = State::Live(Live::new(watch, &self.outbox, now));
        self.tell(Event::Session { session, replay: hello.replay, id: hello.id });
    }

    /// The transport is lost, or could not be opened.
    pub(crate) fn handle_transport_lost(&mut self, now: Instant, cause: Cause) {
        self.lose_transport(now, cause);
    }

    fn violate(&mut self, now: Instant, reason: &'static str) {
        self.effects.push_back(Effect::Close { code: CloseCode::PROTOCOL_ERROR, reason });
        self.lose_transport(now, Cause::Violation(reason));
    }

    fn lose_transport(&mut self, now: Instant, cause: Cause) {
        let (was_open, was_plain) = match self.state {
            State::Waiting { .. } | State::Ended => return,
            State::Connecting { .. } => (false, false),
            State::Greeting { .. } | State::Live(_) => (true, false),
            State::Plain(_) => (true, true),
        };
        let is_session_over = cause.close_code() == Some(CloseCode::FRAMES_LOST.as_u16())
            || matches!(cause, Cause::MessageTooLong);
        if was_plain || is_session_over {
            self.forget_session();
        }
        if was_open {
            self.tell(Event::Disconnected { cause: cause.clone() });
        }
        if let Some(end) = self.final_end(&cause) {
            return self.end(end);
        }
        match self.backoff.next(cause.least_delay()) {
            Some((attempt, delay)) => {
                self.state = State::Waiting { until: now + delay };
                self.tell(Event::Reconnecting { attempt, delay, cause });
            }
            None => self.end(EndCause::Exhausted { cause }),
        }
    }

    /// Whether this is the end for good.
    fn final_end(&self, cause: &Cause) -> Option<EndCause> {
        match cause {
            Cause::Closed { code, reason } if is_final_code(*code) => {
                Some(EndCause::ClosedByServer { code: *code, reason: reason.clone() })
            }
            Cause::Refused { status, .. } if (self.config.is_final_answer)(*status) => {
                Some(EndCause::Refused { status: *status })
            }
            Cause::Closed { .. }
            | Cause::Refused { .. }
            | Cause::Dropped
            | Cause::Failed(_)
            | Cause::Unreachable(_)
            | Cause::ConnectTimeout
            | Cause::MessageTooLong
            | Cause::Silent
            | Cause::Violation(_) => None,
        }
    }

    fn end(&mut self, cause: EndCause) {
        self.forget_session();
        for (frame, waiter) in self.outbox.take_all() {
            self.effects.push_back(Effect::Settle { frame, waiter, outcome: Outcome::Closed });
        }
        self.state = State::Ended;
        self.tell(Event::Ended { cause });
    }

    /// There is no session any more: of what was sent in it nothing more will be known.
    fn forget_session(&mut self) {
        self.token = None;
        self.received = 0;
        for (frame, waiter) in self.outbox.begin_anew() {
            self.effects.push_back(Effect::Settle { frame, waiter, outcome: Outcome::Lost });
        }
    }

    fn settle_through(&mut self, count: u64) {
        for (frame, waiter) in self.outbox.take_through(count) {
            self.effects.push_back(Effect::Settle { frame, waiter, outcome: Outcome::Handled });
        }
    }

    fn refuse_too_long(&mut self, bytes_max: u64) {
        for (frame, waiter) in self.outbox.take_longer_than(bytes_max) {
            let outcome = Outcome::TooLong { bytes_max };
            self.effects.push_back(Effect::Settle { frame, waiter, outcome });
        }
    }

    fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Tell(event));
    }
}

/// The application's or the server's own end of a session. After 4401 and 4410 another one begins.
const fn is_final_code(code: u16) -> bool {
    matches!(code, 1000 | 4000..=4400 | 4402..=4409 | 4411..=4999)
}
