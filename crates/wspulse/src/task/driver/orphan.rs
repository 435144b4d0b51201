//! A driver that is dropped before its end, because its runtime ends or it has panicked: everybody
//! who waits for it is told, and the last callback is called on a runtime that is left.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tracing::Instrument;
use wspulse_core::session::{Predecessor, Session};
use wspulse_core::{Disconnect, Escaped, TransportLost};

use super::callback::report_panic;
use super::{Driver, now};
use crate::ground::panics;
use crate::membership::mailbox::Mail;
use crate::observe::spans;

/// What remains of a driver: a connection that has ended and has callbacks to run.
struct Orphan {
    /// `None` once it has gone on to another runtime.
    driver: Option<Driver>,
    /// Where it lives.
    runtime: Handle,
    /// Where else it may.
    others: Vec<Handle>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.leave_ping_group();
        if self.session.is_finished() {
            return;
        }
        self.end_early();
        let nothing = Session::new(
            Arc::clone(self.connection.server.session_config()),
            Predecessor::None,
            now(),
        );
        let driver = Self {
            connection: Arc::clone(&self.connection),
            session: mem::replace(&mut self.session, nothing),
            transport: None,
            arrivals: mem::take(&mut self.arrivals),
            callback: None,
            timer: None,
            ping_place: None,
            callback_deadline: self.callback_deadline,
        };
        self.session.handle_abandoned();
        let runtimes = self.connection.server.runtimes().known();
        driver.move_on(runtimes);
    }
}

impl Driver {
    /// Ends the connection and lets go of all that may belong to the runtime. What remains are the
    /// callbacks that the session still wants to call.
    fn end_early(&mut self) {
        let server = self.connection.server.clone();
        server.end(&self.connection, Disconnect::ServerClosed);
        // Whoever has ended it before may not be done with that, and `on_disconnect` finds it in none.
        server.leave_all(&self.connection);
        if let Some(running) = self.callback.take() {
            let kind = running.kind;
            if let Err(panic) = running.discard(&self.connection, std::time::Instant::now()) {
                report_panic(&self.connection, kind, &panic);
            }
        }
        self.timer = None;
        self.leave_ping_group();
        let last = self.connection.mailbox.collect_last();
        let transport = self.transport.take().or(last.transport);
        let upgrade = self.arrivals.take_upgrade();
        let mail = last.mail.map(|mail| *mail).unwrap_or_default();
        let Mail {
            upgrade: next_upgrade,
            rooms,
            end,
            predecessor_finished,
            callback_deadline,
            expires_at: _,
            is_cut: _,
            moving: _,
            write_error: _,
        } = mail;
        if panics::catch(|| drop((transport, upgrade, next_upgrade))).is_err() {
            tracing::error!(
                id = Escaped::new(&self.connection.id).as_str(),
                "a transport panicked when it was dropped"
            );
        }
        if predecessor_finished {
            self.session.handle_predecessor_finished();
        }
        if callback_deadline.is_some() {
            self.callback_deadline = callback_deadline;
        }
        self.hear_of_rooms(rooms);
        if let Some(end) = end {
            spans::record_end(&end.disconnect);
            self.note_end(&end.disconnect);
            self.session.handle_end(end.disconnect, end.deadline.into_std());
        }
        self.session.handle_upgrade_failed(TransportLost::EndOfStream, now());
        self.session.handle_transport_lost(TransportLost::EndOfStream, now());
        if self.session.runs_callback() {
            self.session.handle_callback_given_up(now());
        }
        self.connection.discard_backlog();
        self.connection.ended.notify_waiters();
    }

    /// Runs the callbacks that remain on the last of these runtimes that lives.
    fn move_on(mut self, mut runtimes: Vec<Handle>) {
        let Some(runtime) = runtimes.pop() else {
            self.abandon();
            return;
        };
        let server = self.connection.server.clone();
        let orphan = Orphan { driver: Some(self), runtime: runtime.clone(), others: runtimes };
        // Seldom, so that the span of nobody may be with it.
        server.spawn_on(&runtime, orphan.in_current_span());
    }

    /// No runtime is left that could call anything; those of others go on.
    fn abandon(&mut self) {
        if !self.session.callbacks_are_over() {
            tracing::debug!(
                id = Escaped::new(&self.connection.id).as_str(),
                room = Escaped::new(self.connection.room()).as_str(),
                "no runtime is left to call on_disconnect"
            );
        }
        self.session.handle_abandoned();
        self.settle();
        self.connection.mailbox.finish_callbacks();
        self.connection.server.forget_task(&self.connection);
    }
}

impl Future for Orphan {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(driver) = &mut self.get_mut().driver else { return Poll::Ready(()) };
        driver.settle();
        Pin::new(driver).poll(cx)
    }
}

impl Drop for Orphan {
    /// This runtime ends, or has ended before.
    fn drop(&mut self) {
        let Some(mut driver) = self.driver.take() else { return };
        if driver.session.is_finished() {
            return;
        }
        driver.connection.server.runtimes().forget(self.runtime.id());
        driver.end_early();
        driver.move_on(mem::take(&mut self.others));
    }
}
