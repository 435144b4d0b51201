//! A session that goes over to another server.

use tokio::time::Instant;
use wspulse_core::cluster::MovedSession;
use wspulse_core::{CloseFrame, Dismissal, TransportLost};

use super::{Driver, now};
use crate::membership::mailbox::{Leave, LeaveReason, Left, Moving};
use crate::wire::transport::ComesBack;

/// A session on its way out.
#[derive(Default)]
pub(super) struct Leaving {
    leave: Option<Leave>,
    /// It has been asked to end.
    is_ending: bool,
    left: Option<Left>,
}

impl Driver {
    #[cold]
    pub(super) fn hear_of_moving(&mut self, moving: Moving) {
        let Moving { sent_away, leave, left } = moving;
        if let Some(close) = sent_away {
            self.send_away(close);
        }
        if let Some(leave) = leave {
            self.begin_leaving(leave);
        }
        if let Some(left) = left {
            self.note_left(left);
        }
    }

    /// The server takes its leave: the client is told to come back, to another one, and the session waits
    /// for it.
    fn send_away(&mut self, close: CloseFrame) {
        if self.session.is_connected() {
            let deadline = now() + self.connection.server.session_config().write_wait;
            self.dismiss(Dismissal::Close(close), deadline.into());
            self.lose(TransportLost::Cut);
        }
    }

    /// Another server asks for the session: its transport is lost, and nothing more is handed in.
    fn begin_leaving(&mut self, leave: Leave) {
        self.part_with_transport(leave.reason);
        self.session.handle_leaving(now());
        self.arrivals.leaving_mut().leave = Some(leave);
        self.settle();
        self.tell_if_suspended();
    }

    /// As where a transport of this server takes over: a client of `wspulse.1` may be the one that has come
    /// elsewhere, by a handshake that took longer than its next one.
    fn part_with_transport(&mut self, reason: LeaveReason) {
        let LeaveReason::ClientIsElsewhere { token } = reason else { return };
        if self.transport.is_some() {
            let comes_back = self.session.exchanges().then_some(ComesBack { received: 0, token });
            let deadline = now() + self.connection.server.session_config().write_wait;
            self.dismiss(self.supersession(comes_back), deadline.into());
        }
    }

    /// Goes on with that, as soon as nothing runs and nothing waits to be told. Tells whether it has.
    #[inline(never)]
    pub(super) fn drive_leaving(&mut self) -> bool {
        let Some(leaving) = self.arrivals.leaving() else { return false };
        let Some(leave) = &leaving.leave else { return false };
        if leaving.is_ending {
            return false;
        }
        if leave.given.is_closed() {
            // It took too long.
            self.arrivals.forget_leaving();
            self.connection.mailbox.stay();
            return false;
        }
        if !self.session.is_quiet() {
            return false;
        }
        self.arrivals.leaving_mut().is_ending = true;
        self.connection.server.leave_for_good(&self.connection);
        true
    }

    fn note_left(&mut self, left: Left) {
        self.arrivals.leaving_mut().left = Some(left);
    }

    /// The connection has ended for that, and is in no group: all of the session is kept for whoever
    /// comes for it.
    pub(super) fn hand_over(&mut self) {
        let Some(Leaving { leave, left, .. }) = self.arrivals.forget_leaving() else { return };
        let Left { groups, everybody } = left.unwrap_or_default();
        let (exchange, connection) = (self.session.moved_exchange(), &self.connection);
        let queue = connection.mailbox.take_moved(connection.server.queued_bytes());
        let moved = MovedSession { groups, everybody, exchange, queue, ..MovedSession::default() };
        let ends = leave.as_ref().is_some_and(|it| it.reason == LeaveReason::ServerEnds);
        let until = self.session.waits_until().filter(|_| ends).map(Instant::from_std);
        let until = until.unwrap_or_else(|| connection.server.forgotten_at());
        let ticket = connection.server.keep_moved(connection, moved, until);
        if let Some(leave) = leave {
            // Who has asked may ask again.
            let _ = leave.given.send(ticket);
        }
    }
}
