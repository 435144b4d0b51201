//! Running the application's callbacks, one at a time, beside the transport.

use std::task::{Context, Poll};

use tokio::time::Instant;
use wspulse_core::{PanicError, SessionEvent};

use super::{Driver, now};
use crate::connection::Connection;
use crate::handler::{BoxFuture, Outcome};
use crate::metrics::CallbackKind;
use crate::panics;
use crate::reentrancy::InCallback;

/// A callback that has not returned yet.
pub(super) struct RunningCallback {
    kind: CallbackKind,
    future: BoxFuture<()>,
}

impl Driver {
    /// Starts the callback for an event. A plain one has returned by then.
    pub(super) fn start_callback(&mut self, event: SessionEvent) {
        let connection = Connection::new(self.connection.clone());
        let server = connection.server().clone();
        let callbacks = server.callbacks();
        let _inside = InCallback::enter(&server);
        let (kind, outcome) = match event {
            SessionEvent::Opened => (
                CallbackKind::Connect,
                panics::catch(|| callbacks.connect.as_ref().map(|call| call(connection))),
            ),
            SessionEvent::Message(frame) => (
                CallbackKind::Message,
                panics::catch(|| callbacks.message.as_ref().map(|call| call(connection, frame))),
            ),
            SessionEvent::Suspended(cause) => (
                CallbackKind::TransportDrop,
                panics::catch(|| {
                    callbacks.transport_drop.as_ref().map(|call| call(connection, cause))
                }),
            ),
            SessionEvent::Resumed => (
                CallbackKind::TransportRestore,
                panics::catch(|| callbacks.transport_restore.as_ref().map(|call| call(connection))),
            ),
            SessionEvent::Closed(disconnect) => {
                self.allow_for_last_callback();
                let called = panics::catch(|| {
                    callbacks.disconnect.as_ref().map(|call| call(connection, disconnect))
                });
                (CallbackKind::Disconnect, called)
            }
        };
        match outcome {
            Ok(Some(Outcome::Pending(future))) => {
                self.callback = Some(RunningCallback { kind, future });
            }
            Ok(None | Some(Outcome::Done)) => self.callback_returned(),
            Err(panic) => self.finish_panicked(kind, panic),
        }
    }

    /// Polls the running callback. Tells whether it has returned.
    pub(super) fn drive_callback(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(RunningCallback { kind, future }) = &mut self.callback else {
            return false;
        };
        let kind = *kind;
        let inside = InCallback::enter(&self.connection.server);
        let polled = panics::catch(|| future.as_mut().poll(cx));
        drop(inside);
        match polled {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(())) => {
                self.callback = None;
                self.callback_returned();
            }
            Err(panic) => {
                self.callback = None;
                self.finish_panicked(kind, panic);
            }
        }
        self.settle();
        true
    }

    /// Drops a callback that has outlasted the server's drain timeout.
    pub(super) fn give_up_callback(&mut self) {
        let Some(RunningCallback { kind, future }) = self.callback.take() else {
            return;
        };
        tracing::warn!(
            id = %self.connection.id,
            room = %self.connection.room,
            callback = kind.as_str(),
            "callback outlasted the drain_timeout of the closing server and was cancelled"
        );
        if let Err(panic) = panics::catch(|| drop(future)) {
            self.report_panic(kind, &panic);
        }
        self.session.handle_callback_given_up(now());
        self.tell_if_over();
    }

    /// `on_disconnect` gets the server's drain timeout once more if that is over already.
    fn allow_for_last_callback(&mut self) {
        let more = self.connection.server.options().drain_timeout;
        if let Some(deadline) = &mut self.callback_deadline
            && *deadline <= Instant::now()
        {
            *deadline += more;
        }
    }

    fn callback_returned(&mut self) {
        self.session.handle_callback_finished(now());
        self.tell_if_over();
    }

    fn tell_if_over(&self) {
        if self.session.callbacks_are_over() {
            self.connection.mailbox.finish_callbacks();
        }
    }

    fn finish_panicked(&mut self, kind: CallbackKind, panic: PanicError) {
        self.report_panic(kind, &panic);
        match kind {
            CallbackKind::Message => self.session.handle_message_panicked(panic, now()),
            CallbackKind::Connect
            | CallbackKind::TransportDrop
            | CallbackKind::TransportRestore
            | CallbackKind::Disconnect => {}
        }
        self.callback_returned();
    }

    pub(super) fn report_panic(&self, kind: CallbackKind, panic: &PanicError) {
        let (id, room) = (&*self.connection.id, &*self.connection.room);
        tracing::error!(
            id,
            room,
            callback = kind.as_str(),
            backtrace = ?panic.backtrace(),
            "{panic}"
        );
        let metrics = self.connection.server.metrics();
        metrics.record(|hooks| hooks.callback_panicked(room, id, kind));
    }
}
