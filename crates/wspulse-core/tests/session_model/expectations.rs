//! What holds after every step, and at the end of a session.

use std::time::Instant;

use wspulse_core::session::SessionConfig;

use crate::coverage::Scene;
use crate::driver::Driver;
use crate::env::Env;

impl Driver {
    /// After every step, once all actions are taken.
    pub(crate) fn check(&self) {
        let told = &self.told;
        assert!(told.loss.is_none(), "a lost transport is dismissed");
        assert!(!told.flushed, "a flushed transport is dismissed");
        self.journal.check_declared();
        self.ledger.check(self.queue.stats());
        assert_eq!(self.session.is_writable(), self.current.is_some());
        assert_eq!(self.session.is_suspended(), told.suspended_until.is_some());
        assert_eq!(self.session.wants_inbound(), !self.is_paused());
        assert_eq!(self.session.callbacks_are_over(), self.journal.is_over());
        assert!(self.journal.waiting() <= self.config.awaited.messages_max);
        assert_eq!(self.session.is_awaiting(), told.awaits_client);
        assert!(!told.awaits_client || !self.is_paused(), "what is awaited is heard, or cannot be");
        if self.client.exchanges() {
            assert_eq!(self.session.received(), u64::from(told.received));
            assert_eq!(self.session.handled(), u64::from(self.journal.handled()));
        }
        if let Some(kept) = self.ledger.kept.as_ref().filter(|_| !told.gap && told.end.is_none()) {
            self.client.check_forgotten(kept.forgotten());
        }
        assert!(self.current.is_some() || !self.ledger.is_begun());
        let is_waiting = told.opening || told.suspended_until.is_some() || told.end.is_some();
        assert!(self.current.is_some() || is_waiting || told.asked_for_end);
        assert_eq!(self.session.poll_timeout(), self.expected_timeout());
    }

    /// Nothing is due at this time any more.
    pub(crate) fn check_idle(&self, env: &Env) {
        let timeout = self.session.poll_timeout();
        assert!(timeout.is_none_or(|at| at > env.now), "no busy loop");
        if let Some(link) = &self.current {
            let nothing_waits = !self.queue.is_writable() && link.lane.is_empty();
            assert!(nothing_waits || link.blocked, "whoever writes is woken");
            let is_answer_due = self.asking.is_some_and(|asking| asking.is_asking());
            let waits_for_answer = self.queue.has_waiting() && !link.blocked;
            assert!(is_answer_due || !waits_for_answer, "what waits for room is asked about");
            let handled_all = self.journal.handled() >= link.asked_through;
            let answered = link.answered.is_some_and(|count| count >= link.asked_through.into());
            let is_told = answered || !link.is_greeted || link.asked_through == 0;
            assert!(is_told || !handled_all, "who asks is answered once all is handled");
            let silent_for = env.now - link.heard_at;
            let spared = self.is_paused() && silent_for > self.config.heartbeat.pong_timeout;
            Scene::SilentWhilePaused.seen_if(spared);
            let answered = link.socket.peer.newest_pong() == link.pings_received;
            assert!(answered || !link.lane.is_empty(), "the newest ping is answered");
        }
        if self.session.is_finished() {
            self.check_finished();
        }
    }

    fn check_finished(&self) {
        let stats = self.queue.stats();
        assert!(self.session.is_closed() && self.told.end.is_some());
        assert!(self.told.discarded_backlog && self.queue.held() == 0);
        assert_eq!(stats.accepted, stats.sent + stats.dropped + stats.conflated);
        assert!(self.journal.is_over() && self.journal.waiting() == 0);
        assert!(self.current.is_none() && self.upgrading.is_none());
        assert_eq!(self.session.poll_timeout(), None);
    }

    /// Whether the peer is not read because too much waits for its callback.
    pub(crate) fn is_paused(&self) -> bool {
        self.told.end.is_none()
            && self.current.is_some()
            && self.journal.waiting() >= self.waiting_max()
    }

    fn waiting_max(&self) -> usize {
        let SessionConfig { inbound_frames_max, awaited, .. } = &*self.config;
        if self.told.awaits_client { awaited.messages_max } else { *inbound_frames_max }
    }

    /// Whether a session without a transport may wait for the next one.
    pub(crate) fn may_suspend(&self) -> bool {
        !self.config.resume_window.is_zero() && self.has_places
    }

    fn expected_timeout(&self) -> Option<Instant> {
        let upgrade = self.upgrading.map(|upgrade| upgrade.deadline);
        let state = match (&self.told.end, &self.current, self.told.suspended_until) {
            (Some(_), None, _) if upgrade.is_none() => None,
            (Some((_, deadline)), _, _) => Some(*deadline),
            (None, Some(link), _) => {
                let heartbeat = &self.config.heartbeat;
                let silent = link.heard_at + heartbeat.pong_timeout;
                let blocked = link.blocked_since.map(|since| since + self.config.write_wait);
                let silent = (!self.is_paused()).then_some(silent);
                let incomplete = link.message_deadline.filter(|_| !self.is_paused());
                let asking = self.asking.and_then(|asking| asking.deadline(self.is_paused()));
                let deadlines = [silent, blocked, incomplete, asking];
                deadlines.into_iter().flatten().chain([link.ping_at]).min()
            }
            (None, None, Some(deadline)) => upgrade.is_none().then_some(deadline),
            (None, None, None) => None,
        };
        state.into_iter().chain(upgrade).chain(self.expiry_deadline()).min()
    }
}
