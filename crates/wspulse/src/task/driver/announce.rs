//! Telling a plain client whether it has its session, before anything else.

use wspulse_core::Resumed;
use wspulse_core::protocol::SessionKind;

use super::Driver;
use crate::ground::panics;
use crate::settings::announcement::Announcement;

impl Driver {
    /// A transport has come for a session that has `missed` so much. Its first frame goes past the
    /// queue: it belongs to this transport, and is no frame of the application's.
    pub(super) fn announce_session(&mut self, session: SessionKind, missed: Resumed) {
        let announcements = &self.connection.server.options().announcements;
        if !announcements.enabled || self.session.exchanges() {
            return;
        }
        let Some(transport) = &mut self.transport else { return };
        let replay = (missed.replayed + missed.waited) as u64;
        let announcement = Announcement { session, replay };
        match panics::catch(|| announcements.encode(announcement, self.connection.codec())) {
            Ok(Ok(frame)) => transport.lane.queue_first(frame),
            // It has written others when the server was built.
            Ok(Err(error)) => tracing::error!("a session cannot be announced: {error}"),
            Err(panic) => {
                tracing::error!(
                    location = panic.location(),
                    backtrace = panics::logged_backtrace(&panic),
                    "announcing a session: {panic}"
                );
            }
        }
    }
}
