//! A session of another server that this one has, and whose client is not let in yet.

use std::mem;

use tokio::time::{Duration, Instant};
use tokio_util::task::task_tracker::TaskTrackerToken;
use wspulse_core::cluster::MovedSession;

use crate::app::server::Server;

/// If its client is not let in, it is kept for when that comes again. Until either, whoever asks for it
/// is told to ask again.
pub(crate) struct Arrived {
    server: Server,
    session: Box<MovedSession>,
    /// When it has left its groups.
    left_at: Instant,
    is_taken: bool,
    /// A server that is drained waits for it.
    _on_its_way: Option<TaskTrackerToken>,
}

impl Arrived {
    pub(super) fn new(server: &Server, (session, left_at): (MovedSession, Instant)) -> Self {
        server.shelf().begin_arriving(&session.id);
        let on_its_way = server.attachment().map(|it| it.arrivals().token());
        let (server, session) = (server.clone(), Box::new(session));
        Self { server, session, left_at, is_taken: false, _on_its_way: on_its_way }
    }

    pub(super) const fn session(&self) -> &MovedSession {
        &self.session
    }

    /// For how long it has existed, wherever that was.
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.session.age_ms.into()).saturating_add(self.left_at.elapsed())
    }

    /// The session, with when it has left its groups: it is let in, or somebody else has it.
    pub(super) fn take(mut self) -> (MovedSession, Instant) {
        self.is_taken = true;
        self.server.shelf().end_arriving(&self.session.id);
        (mem::take(&mut *self.session), self.left_at)
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        if !self.is_taken {
            let Self { server, session, left_at, .. } = self;
            server.shelf().keep(session, *left_at, server.forgotten_at());
            server.shelf().end_arriving(&session.id);
        }
    }
}
