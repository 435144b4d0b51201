//! What is due once time has passed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::State;
use super::{Action, Session, SessionConfig};
use crate::clock::{after, put_off};
use crate::disconnect::{Disconnect, Dismissal, TransportLost};

impl Session {
    /// Whether a Ping is due by `now` and nothing has run out, which is for
    /// [`handle_timeout`](Self::handle_timeout) to see. The caller then sends it: this spares an
    /// idle connection an action.
    pub fn poll_ping(&mut self, now: Instant) -> bool {
        let has_run_out = self.strict_deadline().is_some_and(|strict| now >= strict);
        match &mut self.state {
            State::Connected(link) if !has_run_out => {
                link.heartbeat.poll_ping(&self.config.heartbeat, now)
            }
            State::Connected(_)
            | State::Opening
            | State::Suspended { .. }
            | State::Lost { .. }
            | State::Flushing { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => false,
        }
    }

    /// Somebody else has sent the Ping that was due, `at` a time that was right for it.
    pub fn handle_pinged(&mut self, at: Instant) {
        if let State::Connected(link) = &mut self.state {
            link.heartbeat.handle_pinged(&self.config.heartbeat, at);
        }
    }

    /// The driver comes late by `missed`, since it, or the whole process, stood still. In that time
    /// nobody was asked, heard or written to: it counts against no peer, and there is time to see
    /// what has come meanwhile before anybody is judged. An [expiry](Self::handle_expiry) is no
    /// judgement, and is not put off. To be told before
    /// [`handle_timeout`](Self::handle_timeout), for delays that are more than a busy moment.
    pub fn handle_stall(&mut self, missed: Duration, now: Instant) {
        let SessionConfig { write_wait, resume_window, .. } = *self.config;
        self.rare.put_off_upgrade(missed, write_wait, now);
        if let Some(watch) = &mut self.inbound {
            watch.handle_stall(missed, &self.config, now);
        }
        if let Some(acks) = &mut self.acks {
            acks.handle_stall(missed, self.config.heartbeat.pong_timeout, now);
        }
        match &mut self.state {
            State::Connected(link) => {
                link.heartbeat.handle_stall(&self.config.heartbeat, missed, now);
                if let Some(deadline) = link.writing.deadline_mut() {
                    *deadline = put_off(*deadline, missed, write_wait, now);
                }
            }
            State::Suspended { grace_deadline, .. } => {
                // The stall may have begun before the suspension.
                let whole = after(now, resume_window);
                *grace_deadline = put_off(*grace_deadline, missed, resume_window, now).min(whole);
            }
            State::Flushing { deadline, .. } | State::AwaitingTransport { deadline, .. } => {
                *deadline = put_off(*deadline, missed, write_wait, now);
            }
            State::Opening | State::Lost { .. } | State::Closed => {}
        }
    }

    /// Time has passed; does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.handle_expiry_timeout(now) {
            return;
        }
        if self.rare.upgrade().is_some_and(|deadline| now >= deadline) {
            self.actions.push_back(Action::AbandonUpgrade);
            let timed_out = std::io::Error::from(std::io::ErrorKind::TimedOut);
            self.handle_upgrade_failed(TransportLost::UpgradeFailed(Arc::new(timed_out)), now);
        }
        self.end_pause(now);
        let paused = !self.wants_inbound();
        let message_deadline = self.message_deadline();
        match &mut self.state {
            State::Connected(link) => {
                let config = &self.config.heartbeat;
                if link.writing.deadline(!paused).is_some_and(|deadline| now >= deadline) {
                    let cause = link.writing.cause();
                    self.handle_transport_lost(cause, now);
                } else if !paused && now >= link.heartbeat.pong_deadline(config) {
                    self.actions.push_back(Action::PongTimeout);
                    self.handle_transport_lost(TransportLost::PongTimeout, now);
                } else if message_deadline.is_some_and(|deadline| now >= deadline) {
                    self.actions.push_back(Action::MessageTimeout);
                    self.handle_transport_lost(TransportLost::MessageTimeout, now);
                } else if link.heartbeat.poll_ping(config, now) {
                    self.actions.push_back(Action::Ping);
                } else if self.acks.is_some() {
                    let heard_out_at = link.heartbeat.pong_deadline(config);
                    self.handle_ask_timeout(!paused, heard_out_at, now);
                }
            }
            State::Suspended { grace_deadline, cause } => {
                // A transport on its way holds the expiry: its client has come back in time.
                if now >= *grace_deadline && !self.rare.is_upgrading() {
                    let disconnect = Disconnect::GraceExpired(cause.clone());
                    self.actions.push_back(Action::End(disconnect));
                }
            }
            State::Flushing { deadline, .. } if now >= *deadline => {
                self.actions.push_back(Action::Dismiss(Dismissal::Abort, now));
                self.abandon_upgrade();
                self.finish();
            }
            State::AwaitingTransport { deadline, .. } if now >= *deadline => {
                self.abandon_upgrade();
                self.finish();
            }
            State::Opening
            | State::Lost { .. }
            | State::Flushing { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => {}
        }
    }
}
