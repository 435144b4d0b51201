//! Telling that a session has lost its transport, and that a connection has ended.

use std::sync::Arc;
use std::time::SystemTime;

use wspulse_core::Disconnect;

use super::Driver;
use crate::membership::presence::Noted;
use crate::membership::registry::EndRule;
use crate::membership::shared::ConnectionShared;
use crate::observe::departures::{Departure, DepartureKind};
use crate::observe::metrics::{DropReason, Limit, SessionSuspended};

impl Driver {
    pub(super) fn tell_if_suspended(&self) {
        if !self.session.is_suspended() {
            return;
        }
        let connection = &self.connection;
        let (is_news, faded) = connection
            .mailbox
            .set_suspended(self.arrivals.has_upgrade(), connection.server.queued_bytes());
        connection.count_dropped(faded, DropReason::Volatile);
        if is_news {
            let ConnectionShared { server, id, .. } = &*self.connection;
            let room = self.connection.room();
            let suspended = SessionSuspended { room, id };
            server.metrics().record(|hooks| hooks.session_suspended(&suspended));
            self.connection.note_presence(Noted::Suspended);
            if let Some(cause) = self.session.suspension_cause() {
                let departures = connection.server.departure_log();
                departures.note(|| self.departure(DepartureKind::Suspended(cause.clone())));
            }
        }
    }

    /// Has the connection ended for a reason of its own; the mailbox then holds the end, this one
    /// or one that came before.
    pub(super) fn end(&self, disconnect: Disconnect) {
        if matches!(disconnect, Disconnect::SuspendedLimit(_)) {
            self.connection.report_limit(Limit::Suspended);
        }
        let rule = if matches!(disconnect, Disconnect::GraceExpired(_)) {
            EndRule::UnlessAttaching
        } else if matches!(disconnect, Disconnect::Expired) {
            EndRule::UnlessRenewed
        } else {
            EndRule::Always
        };
        self.connection.server.end_if(&self.connection, disconnect, rule);
    }

    /// The connection has ended.
    pub(super) fn note_end(&self, disconnect: &Disconnect) {
        let departures = self.connection.server.departure_log();
        departures.note(|| self.departure(DepartureKind::Ended(disconnect.clone())));
    }

    fn departure(&self, kind: DepartureKind) -> Departure {
        let ConnectionShared { id, user, mailbox, .. } = &*self.connection;
        Departure {
            id: Arc::clone(id),
            user: user.as_ref().map(|user| Arc::clone(user.name())),
            room: self.connection.room_name(),
            peer_addr: mailbox.peer_addr(),
            at: SystemTime::now(),
            age: self.connection.age(),
            kind,
        }
    }
}
