//! A session under test: it takes actions, remembers them, and finishes callbacks when told to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wspulse_core::session::{Action, AwaitedConfig, Predecessor, Session, SessionConfig};
use wspulse_core::websocket::Flow;
use wspulse_core::{
    CloseCode, Disconnect, Dismissal, Frame, HeartbeatConfig, PanicError, Resumed, SessionEvent,
    TransportLost,
};

pub(crate) struct Rig {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    pub(crate) actions: Vec<Action>,
    pub(crate) discarded: usize,
    events: Vec<SessionEvent>,
    running: bool,
}

pub(crate) fn kicked() -> Disconnect {
    Disconnect::Kicked(wspulse_core::CloseFrame::new(CloseCode::NORMAL, "kicked"))
}

pub(crate) const WRITE_WAIT: Duration = Duration::from_secs(10);
/// Bytes a second: 1,000 in the write wait.
pub(crate) const WRITE_RATE: u32 = 100;
pub(crate) const WINDOW: Duration = Duration::from_secs(30);
pub(crate) const PING: Duration = Duration::from_secs(5);
pub(crate) const PONG: Duration = Duration::from_secs(12);
pub(crate) const FLUSH: Duration = Duration::from_secs(3);

pub(crate) const MOMENT: Duration = Duration::from_millis(1);

/// A moment less than `time`.
pub(crate) fn just_before(time: Duration) -> Duration {
    time.checked_sub(MOMENT).expect("more than a moment")
}

pub(crate) fn config() -> SessionConfig {
    SessionConfig {
        heartbeat: HeartbeatConfig { ping_interval: PING, pong_timeout: PONG },
        write_wait: WRITE_WAIT,
        write_rate_min: WRITE_RATE,
        resume_window: WINDOW,
        inbound_frames_max: 3,
        awaited: AwaitedConfig { messages_max: 8, bytes_max: 100 },
        inbound_rate: None,
        message_timeout: Duration::from_mins(1),
        ask: None,
        duplicate_close: CloseCode::NORMAL,
        expiry_notice: None,
        suspension_limit: None,
    }
}

impl Rig {
    /// Registered, its first transport on its way.
    pub(crate) fn opening(config: SessionConfig) -> Self {
        Self::with_predecessor(config, Predecessor::None)
    }

    pub(crate) fn with_predecessor(config: SessionConfig, predecessor: Predecessor) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(Arc::new(config), predecessor, now),
            now,
            actions: Vec::new(),
            discarded: 0,
            events: Vec::new(),
            running: false,
        }
    }

    /// Connected, its `Opened` callback over.
    pub(crate) fn connected() -> Self {
        Self::connected_with(config())
    }

    pub(crate) fn connected_without_window() -> Self {
        Self::connected_with(SessionConfig { resume_window: Duration::ZERO, ..config() })
    }

    pub(crate) fn connected_with(config: SessionConfig) -> Self {
        let mut rig = Self::opening(config);
        rig.attach();
        rig.finish();
        rig
    }

    pub(crate) fn suspended() -> Self {
        let mut rig = Self::connected();
        rig.lose(TransportLost::EndOfStream);
        rig.actions.clear();
        rig
    }

    /// Takes all actions.
    pub(crate) fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Call(event) => {
                    assert!(!self.running, "one callback at a time");
                    self.running = true;
                    self.events.push(event);
                }
                Action::Discarded(messages) => self.discarded += messages,
                action @ (Action::Ping
                | Action::Presume { .. }
                | Action::Answer(_)
                | Action::Overloaded
                | Action::PongTimeout
                | Action::MessageTimeout
                | Action::Dismiss(..)
                | Action::AbandonUpgrade
                | Action::End(_)
                | Action::DiscardBacklog) => self.actions.push(action),
            }
        }
    }

    pub(crate) fn attach(&mut self) {
        self.session.handle_attached(Resumed::default(), self.now);
        self.act();
    }

    pub(crate) fn start_upgrade(&mut self) {
        self.session.handle_upgrade_started(self.now);
        self.act();
    }

    pub(crate) fn fail_upgrade(&mut self) {
        let cause = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let cause = TransportLost::UpgradeFailed(Arc::new(cause));
        self.session.handle_upgrade_failed(cause, self.now);
        self.act();
    }

    pub(crate) fn lose(&mut self, cause: TransportLost) {
        self.session.handle_transport_lost(cause, self.now);
        self.act();
    }

    pub(crate) fn end(&mut self, disconnect: Disconnect) {
        self.session.handle_end(disconnect, self.now + FLUSH);
        self.act();
    }

    pub(crate) fn flush(&mut self) {
        self.session.handle_flushed();
        self.act();
    }

    pub(crate) fn frame(&mut self) -> Flow {
        let frame = Frame::new("event");
        let flow = if self.session.start_message() {
            self.running = true;
            self.events.push(SessionEvent::Message(frame));
            Flow::Continue
        } else {
            self.session.handle_frame(frame)
        };
        self.act();
        flow
    }

    /// The running callback returns.
    pub(crate) fn finish(&mut self) {
        assert!(std::mem::take(&mut self.running), "no callback runs");
        self.session.handle_callback_finished(self.now);
        self.act();
    }

    pub(crate) fn finish_all(&mut self) {
        while self.running {
            self.finish();
        }
    }

    /// The running message callback panics; it has not returned to the session yet.
    pub(crate) fn panic(&mut self) {
        assert!(matches!(self.events.last(), Some(SessionEvent::Message(_))));
        let error = PanicError::new(&"boom");
        self.session.handle_message_panicked(error, self.now);
        self.act();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now);
        self.act();
    }

    /// When the session wants to be woken, counted from now.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let at = self.session.poll_timeout()?;
        Some(at.saturating_duration_since(self.now))
    }

    /// The oldest dismissal that was not looked at yet.
    pub(crate) fn dismissal(&mut self) -> Option<Dismissal> {
        let is_dismissal = |action: &Action| matches!(action, Action::Dismiss(..));
        let at = self.actions.iter().position(is_dismissal)?;
        let Action::Dismiss(dismissal, _) = self.actions.remove(at) else {
            unreachable!("it was found as one");
        };
        Some(dismissal)
    }

    /// Code and reason of the Close frame that a dismissed transport's peer is told, if it is.
    pub(crate) fn close_told(&mut self) -> Option<(u16, String)> {
        let close = match self.dismissal()? {
            Dismissal::Close(close) | Dismissal::Fail(close) => close,
            Dismissal::Echo(close) => close?,
            Dismissal::Abort => return None,
        };
        Some((close.code().as_u16(), close.reason().to_owned()))
    }

    /// The names of the actions that were not looked at yet, apart from callbacks.
    pub(crate) fn actions(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.actions)
            .iter()
            .map(|action| match action {
                Action::Call(_) => "Call",
                Action::Ping => "Ping",
                Action::Presume { .. } => "Presume",
                Action::Answer(_) => "Answer",
                Action::Overloaded => "Overloaded",
                Action::PongTimeout => "PongTimeout",
                Action::MessageTimeout => "MessageTimeout",
                Action::Dismiss(Dismissal::Close(_), _) => "Close",
                Action::Dismiss(Dismissal::Echo(_), _) => "Echo",
                Action::Dismiss(Dismissal::Fail(_), _) => "Fail",
                Action::Dismiss(Dismissal::Abort, _) => "Abort",
                Action::AbandonUpgrade => "AbandonUpgrade",
                Action::End(_) => "End",
                Action::DiscardBacklog => "DiscardBacklog",
                Action::Discarded(_) => "Discarded",
            })
            .collect()
    }

    /// The end that the session asks for.
    pub(crate) fn asked_end(&self) -> Option<&Disconnect> {
        self.actions.iter().find_map(|action| match action {
            Action::End(disconnect) => Some(disconnect),
            Action::Call(_)
            | Action::Ping
            | Action::Presume { .. }
            | Action::Answer(_)
            | Action::Overloaded
            | Action::PongTimeout
            | Action::MessageTimeout
            | Action::Dismiss(..)
            | Action::AbandonUpgrade
            | Action::DiscardBacklog
            | Action::Discarded(_) => None,
        })
    }

    /// The names of the callbacks that were started so far.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.events
            .iter()
            .map(|event| match event {
                SessionEvent::Opened => "Opened",
                SessionEvent::Message(_) => "Message",
                SessionEvent::Undecodable(_) => "Undecodable",
                SessionEvent::Suspended(_) => "Suspended",
                SessionEvent::Resumed(_) => "Resumed",
                SessionEvent::Joined(_) => "Joined",
                SessionEvent::Left(_) => "Left",
                SessionEvent::Expiring => "Expiring",
                SessionEvent::Closed(_) => "Closed",
            })
            .collect()
    }

    /// What the last callback was told.
    pub(crate) fn last_call(&self) -> &SessionEvent {
        self.events.last().expect("a callback was started")
    }
}
