//! Whether the server is still there.

use std::time::{Duration, Instant};

use crate::event::Cause;

/// A timer that is heard so much too late tells that this process stood still, not the server.
const LATE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Watch {
    /// Unless something comes within this time the server is asked for a sign of life.
    silence: Option<Duration>,
    probe_timeout: Duration,
    heard_at: Instant,
    /// When the sign of life must have come, once the server was asked for it.
    answer_deadline: Option<Instant>,
    owes_probe: bool,
}

impl Watch {
    pub(super) const fn new(
        silence: Option<Duration>,
        probe_timeout: Duration,
        now: Instant,
    ) -> Self {
        Self { silence, probe_timeout, heard_at: now, answer_deadline: None, owes_probe: false }
    }

    pub(super) const fn handle_heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.answer_deadline = None;
        self.owes_probe = false;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let silence = self.silence?;
        Some(self.answer_deadline.unwrap_or(self.heard_at + silence))
    }

    /// Asks for a sign of life once it is time, or finds that none has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Cause> {
        let due = self.poll_timeout().filter(|due| now >= *due)?;
        let is_late = now.duration_since(due) > LATE;
        if self.answer_deadline.is_some() && !is_late {
            return Some(Cause::Silent);
        }
        // An answer may lie in the socket, which nobody has read meanwhile.
        self.owes_probe = true;
        self.answer_deadline = Some(now + self.probe_timeout);
        None
    }

    /// Whether a probe is to be written, which from now on is.
    pub(super) const fn take_probe(&mut self) -> bool {
        std::mem::replace(&mut self.owes_probe, false)
    }
}
