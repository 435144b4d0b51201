//! Running the application's callbacks, one at a time, beside the transport.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;
use tracing::Span;
use wspulse_core::codec::DecodeError;
use wspulse_core::session::Session;
use wspulse_core::{Escaped, Frame, PanicError, SessionEvent};

use super::arrivals::Arrivals;
use super::watch::{self, EventName, Watch};
use super::{Driver, now};
use crate::app::connection::Connection;
use crate::app::handler::Outcome;
use crate::app::room::Room;
use crate::ground::BoxFuture;
use crate::ground::panics::{self, Catching};
use crate::ground::reentrancy::InCallback;
use crate::ground::running_time::LATE_MAX;
use crate::membership::shared::{ConnectionShared, ConnectionState};
use crate::observe::metrics::{CallbackKind, CallbackPanicked};
use crate::observe::spans;

/// A callback that has not returned yet.
pub(super) struct RunningCallback {
    pub(super) kind: CallbackKind,
    pub(super) future: BoxFuture<()>,
    event: EventName,
    /// It has held its thread, for longer than a busy moment.
    has_held: bool,
    /// The message's, if anybody wants it.
    span: Span,
}

impl RunningCallback {
    /// Drops it. What it holds is the application's as well: it may panic, and hold the thread, which
    /// the callback has held since `held_since`.
    pub(super) fn discard(
        self,
        connection: &ConnectionShared,
        held_since: std::time::Instant,
    ) -> Result<(), PanicError> {
        let Self { kind, future, event, has_held: _, span } = self;
        let _in_span = span.enter();
        let dropped = panics::catch(|| drop(future));
        if dropped.is_ok() {
            watch::check(connection, kind, &event, held_since.elapsed());
        }
        dropped
    }
}

/// A time in which a connection's callbacks are run, as many as there are.
pub(super) struct Turn<'a> {
    pub(super) connection: &'a Arc<ConnectionShared>,
    pub(super) session: &'a mut Session,
    running: &'a mut Option<Box<RunningCallback>>,
    watch: Watch,
    catching: Catching,
    _inside: InCallback,
}

impl<'a> Turn<'a> {
    pub(super) fn begin(
        connection: &'a Arc<ConnectionShared>,
        session: &'a mut Session,
        running: &'a mut Option<Box<RunningCallback>>,
    ) -> Self {
        let inside = InCallback::enter(connection.server.address(), connection.address());
        let (watch, catching) = (Watch::begin(), Catching::begin());
        Self { connection, session, running, watch, catching, _inside: inside }
    }

    /// Starts the callback for an event. A plain one has returned by then.
    fn start(&mut self, event: SessionEvent, arrivals: &mut Arrivals, now: std::time::Instant) {
        // The callback before it may have renewed or ended the connection in this very turn.
        if matches!(event, SessionEvent::Expiring) && !self.connection.mailbox.is_expiring() {
            return self.returned(now);
        }
        let callbacks = self.connection.server.callbacks();
        let measured = self.watch.before(self.connection.server.blocking());
        let (kind, called) = match event {
            SessionEvent::Message(frame) => return self.start_message(frame, now),
            SessionEvent::Undecodable(error) => return self.start_undecodable(error, now),
            SessionEvent::Opened => (
                CallbackKind::Connect,
                self.call(callbacks.connect.as_ref(), |call, own| call(own)),
            ),
            SessionEvent::Suspended(cause) => {
                spans::tell_suspended(&cause);
                let callback = callbacks.transport_drop.as_ref();
                let called = self.call(callback, |call, own| call(own, cause));
                (CallbackKind::TransportDrop, called)
            }
            SessionEvent::Resumed(missed) => {
                spans::tell_resumed();
                let restored = arrivals.take_restored(missed, self.connection);
                let callback = callbacks.transport_restore.as_ref();
                let called = self.call(callback, |call, own| call(own, restored));
                (CallbackKind::TransportRestore, called)
            }
            SessionEvent::Joined(room) => {
                let room = Room::new(self.connection.server.clone(), room);
                let called = self.call(callbacks.join.as_ref(), |call, own| call(own, room));
                (CallbackKind::Join, called)
            }
            SessionEvent::Left(room) => {
                let room = Room::new(self.connection.server.clone(), room);
                let called = self.call(callbacks.leave.as_ref(), |call, own| call(own, room));
                (CallbackKind::Leave, called)
            }
            SessionEvent::Expiring => (
                CallbackKind::Expiring,
                self.call(callbacks.expiring.as_ref(), |call, own| call(own)),
            ),
            SessionEvent::Closed(disconnect) => (
                CallbackKind::Disconnect,
                self.call(callbacks.disconnect.as_ref(), |call, own| call(own, disconnect)),
            ),
        };
        let event = EventName::NONE;
        if measured && called.is_ok() {
            self.watch.after(self.connection, kind, &event);
        }
        self.called(kind, event, called, now);
    }

    /// Starts the callback for a frame, as [`start`](Self::start) does: the hot path.
    #[expect(clippy::inline_always, reason = "29 of 377 instructions for each small message")]
    #[inline(always)]
    pub(super) fn start_message(&mut self, frame: Frame, now: std::time::Instant) {
        if self.connection.mailbox.discards_received() {
            return self.session.handle_message_skipped(now);
        }
        let server = &self.connection.server;
        if self.watch.before(server.blocking()) {
            return self.start_message_measured(frame, now);
        }
        self.watch.note(CallbackKind::Message);
        let called = self.call(server.callbacks().message.as_ref(), |call, own| call(own, frame));
        self.called(CallbackKind::Message, EventName::NONE, called, now);
    }

    /// The first of a turn, or each where somebody looks closely.
    fn start_message_measured(&mut self, frame: Frame, now: std::time::Instant) {
        let (kind, event) = (CallbackKind::Message, EventName::of(frame.event()));
        let span = spans::message(frame.event(), frame.payload().len());
        let in_span = span.enter();
        let callback = self.connection.server.callbacks().message.as_ref();
        let called = self.call(callback, |call, own| call(own, frame));
        if called.is_ok() {
            self.watch.after(self.connection, kind, &event);
        }
        drop(in_span);
        self.called(kind, event, called, now);
        if let Some(running) = self.running {
            running.span = span;
        }
    }

    /// Starts the callback for a message that is no frame.
    #[cold]
    pub(super) fn start_undecodable(&mut self, error: DecodeError, now: std::time::Instant) {
        if self.connection.mailbox.discards_received() {
            return self.session.handle_undecodable_skipped(now);
        }
        let (kind, event) = (CallbackKind::Undecodable, EventName::NONE);
        let measured = self.watch.before(self.connection.server.blocking());
        self.watch.note(kind);
        let callback = self.connection.server.callbacks().undecodable.as_ref();
        let called = self.call(callback, |call, own| call(own, error));
        if measured && called.is_ok() {
            self.watch.after(self.connection, kind, &event);
        }
        self.called(kind, event, called, now);
    }

    /// Calls the application, if it has such a callback.
    #[inline]
    fn call<C>(
        &self,
        callback: Option<&C>,
        call: impl FnOnce(&C, Connection) -> Outcome,
    ) -> Result<Outcome, PanicError> {
        let Some(callback) = callback else { return Ok(Outcome::Done) };
        let own = Connection::new(Arc::clone(self.connection));
        self.catching.catch(|| call(callback, own))
    }

    #[expect(clippy::inline_always, reason = "29 of 377 instructions for each small message")]
    #[inline(always)]
    fn called(
        &mut self,
        kind: CallbackKind,
        event: EventName,
        called: Result<Outcome, PanicError>,
        now: std::time::Instant,
    ) {
        match called {
            Ok(Outcome::Pending(future)) => {
                let span = Span::none();
                let running = RunningCallback { kind, future, event, has_held: false, span };
                *self.running = Some(Box::new(running));
            }
            Ok(Outcome::Done) => self.returned(now),
            Err(panic) => self.panicked(kind, panic, now),
        }
    }

    #[inline]
    fn returned(&mut self, now: std::time::Instant) {
        self.session.handle_callback_finished(now);
        if self.session.callbacks_are_over() {
            self.connection.mailbox.finish_callbacks();
        }
    }

    #[cold]
    fn panicked(&mut self, kind: CallbackKind, panic: PanicError, now: std::time::Instant) {
        report_panic(self.connection, kind, &panic);
        self.watch.after_panic();
        match kind {
            // An end that was posted meanwhile wins: the peer is told of that.
            CallbackKind::Message | CallbackKind::Undecodable
                if self.connection.mailbox.state() == ConnectionState::Closed => {}
            CallbackKind::Message | CallbackKind::Undecodable => {
                self.session.handle_message_panicked(panic, now);
            }
            // The connect function comes before there is a turn.
            CallbackKind::ConnectFunction
            | CallbackKind::Connect
            | CallbackKind::TransportDrop
            | CallbackKind::TransportRestore
            | CallbackKind::Join
            | CallbackKind::Leave
            | CallbackKind::Expiring
            | CallbackKind::Presence
            | CallbackKind::Disconnect => {}
        }
        self.returned(now);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.watch.end(self.connection);
    }
}

pub(super) fn report_panic(connection: &ConnectionShared, kind: CallbackKind, panic: &PanicError) {
    let (id, room) = (&*connection.id, connection.room());
    tracing::error!(
        id = Escaped::new(id).as_str(),
        room = Escaped::new(room).as_str(),
        callback = kind.as_str(),
        location = panic.location(),
        backtrace = panics::logged_backtrace(panic),
        "{panic}"
    );
    let panicked = CallbackPanicked { room, id, callback: kind };
    connection.server.metrics().record(|hooks| hooks.callback_panicked(&panicked));
}

impl Driver {
    pub(super) fn start_callback(&mut self, event: SessionEvent) {
        if matches!(event, SessionEvent::Closed(_)) {
            self.allow_for_last_callback();
        }
        let mut turn = Turn::begin(&self.connection, &mut self.session, &mut self.callback);
        turn.start(event, &mut self.arrivals, now());
    }

    fn turn(&mut self) -> Turn<'_> {
        Turn::begin(&self.connection, &mut self.session, &mut self.callback)
    }

    /// Polls the running callback. Tells whether it has returned.
    pub(super) fn drive_callback(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(running) = &mut self.callback else {
            return false;
        };
        let kind = running.kind;
        let (server, connection) = (self.connection.server.address(), self.connection.address());
        let inside = InCallback::enter(server, connection);
        let catching = Catching::begin();
        let polled_at = std::time::Instant::now();
        // By the clock of the deadline.
        let begun = self.callback_deadline.map(|_| Instant::now());
        let RunningCallback { kind: _, future, event, has_held, span } = &mut **running;
        let in_span = span.enter();
        let polled = catching.catch(|| future.as_mut().poll(cx));
        if matches!(polled, Ok(Poll::Pending)) {
            watch::check(&self.connection, kind, event, polled_at.elapsed());
            // Once may be a stop. Twice it is code that blocks, which would be spared for ever.
            let holds = begun.is_some_and(|begun| begun.elapsed() > LATE_MAX);
            let blocks = holds && std::mem::replace(has_held, true);
            drop((in_span, catching, inside));
            if blocks && self.callback_deadline.is_some_and(|at| Instant::now() >= at) {
                self.give_up_callback();
                self.settle();
                return true;
            }
            return false;
        }
        drop(in_span);
        // What a panic takes does not count.
        let held_since = if polled.is_ok() { polled_at } else { std::time::Instant::now() };
        let callback = self.callback.take();
        let dropped = callback.map_or(Ok(()), |done| done.discard(&self.connection, held_since));
        drop((catching, inside));
        match (polled, dropped) {
            (Ok(_), Ok(())) => self.turn().returned(now()),
            (Err(panic), Ok(())) | (Ok(_), Err(panic)) => self.turn().panicked(kind, panic, now()),
            (Err(panic), Err(another)) => {
                report_panic(&self.connection, kind, &another);
                self.turn().panicked(kind, panic, now());
            }
        }
        if self.session.is_awaiting() {
            self.forget_room_awaited();
        }
        self.settle();
        true
    }

    /// Whether the running callback has spent the budget of this poll, and of all of them perhaps.
    pub(super) fn is_starved(&self) -> bool {
        self.callback.is_some() && !has_budget_remaining()
    }

    /// Drops a callback that has outlasted the server's drain timeout.
    pub(super) fn give_up_callback(&mut self) {
        let Some(running) = self.callback.take() else {
            return;
        };
        let kind = running.kind;
        tracing::warn!(
            id = %Escaped::new(&self.connection.id),
            room = %Escaped::new(self.connection.room()),
            callback = kind.as_str(),
            "callback outlasted the drain_timeout of the closing server and was cancelled"
        );
        let dropped = running.discard(&self.connection, std::time::Instant::now());
        if let Err(panic) = dropped {
            report_panic(&self.connection, kind, &panic);
        }
        self.session.handle_callback_given_up(now());
        if self.session.callbacks_are_over() {
            self.connection.mailbox.finish_callbacks();
        }
    }

    /// `on_disconnect` gets the server's drain timeout once more, from now on: what went before,
    /// maybe a predecessor's callbacks, is not to take it away.
    fn allow_for_last_callback(&mut self) {
        let more = self.connection.server.options().drain_timeout;
        if let Some(deadline) = &mut self.callback_deadline {
            *deadline = Instant::now() + more;
        }
    }
}
