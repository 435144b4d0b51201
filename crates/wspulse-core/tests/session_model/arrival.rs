//! A transport comes, or does not.

use std::collections::VecDeque;
use std::sync::Arc;

use wspulse_core::outbound::ControlLane;
use wspulse_core::protocol::{Control, Hello, SessionKind};
use wspulse_core::{Disconnect, Resumed, TransportLost};

use crate::asking::Asking;
use crate::coverage::Scene;
use crate::driver::Driver;
use crate::env::Env;
use crate::kept::Kept;
use crate::link::Link;
use crate::socket::{Socket, Takes};

impl Driver {
    pub(crate) fn finish_upgrade(&mut self, env: &mut Env) {
        let upgrade = self.upgrading.take().expect("an upgrade is due");
        if !upgrade.succeeds {
            let cause = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            let cause = TransportLost::UpgradeFailed(Arc::new(cause));
            self.session.handle_upgrade_failed(cause, env.now);
            self.upgrade_failed(env);
            return;
        }
        Scene::AttachedAfterLoss.seen_if(self.told.asked_for_end && self.told.end.is_none());
        if let Some(link) = self.current.take() {
            Scene::TakenOver.seen();
            self.told.losses += u32::from(self.told.end.is_none());
            self.part_with(
                link,
                TransportLost::Superseded.dismissal(),
                env.now + self.config.write_wait,
                env,
            );
        }
        let may_go_on = upgrade.count.is_none_or(|count| self.resume_at(count));
        let missed = self.queue.resumed();
        self.check_missed(missed);
        self.session.handle_attached(missed, env.now);
        let was_opening = std::mem::take(&mut self.told.opening);
        self.told.suspended_until = None;
        self.woken = true;
        self.transports += 1;
        self.current = Some(self.link(upgrade.socket_takes, upgrade.attempt, env));
        self.expect_overload();
        self.begin_to_ask(may_go_on, (!was_opening).then_some(missed), env);
        if !may_go_on {
            self.leave_gap();
        }
    }

    fn link(&self, socket_takes: Takes, attempt: u32, env: &mut Env) -> Link {
        Link {
            number: self.transports,
            socket: Socket::new(socket_takes),
            lane: ControlLane::default(),
            blocked: false,
            blocked_since: None,
            ping_at: env.now + self.config.heartbeat.ping_interval,
            heard_at: env.now,
            pings_sent: 0,
            pings_received: 0,
            message_deadline: None,
            attempt,
            said: VecDeque::new(),
            nonce: None,
            is_greeted: false,
            asked_through: 0,
            answered: None,
        }
    }

    /// Goes on where the client says that it was, if that is possible.
    fn resume_at(&mut self, count: u64) -> bool {
        let resumed = self.queue.resume_at(count);
        let pending_before = self.ledger.pending();
        let may_go_on = self.ledger.resume_at(count);
        assert_eq!(resumed.is_ok(), may_go_on, "{resumed:?}");
        if let Ok(resumed) = resumed {
            let is_finished = self.ledger.pending() < pending_before;
            assert_eq!(resumed.finished.is_some(), is_finished);
            Scene::FinishedWhileParted.seen_if(is_finished);
        }
        Scene::ResumedElsewhere.seen_if(!may_go_on);
        may_go_on
    }

    fn check_missed(&self, missed: Resumed) {
        let replayed = self.ledger.kept.as_ref().map_or(0, Kept::len);
        assert_eq!((missed.replayed, missed.waited), (replayed, self.ledger.pending()));
        Scene::Replayed.seen_if(replayed > 0);
    }

    /// Begins a transport with what the client must know, and with questions of its own.
    fn begin_to_ask(&mut self, may_go_on: bool, missed: Option<Resumed>, env: &mut Env) {
        let Some(link) = &mut self.current else { return };
        if let Some(ask) = self.config.ask
            && self.told.end.is_none()
        {
            let pong_timeout = self.config.heartbeat.pong_timeout;
            let exchanges = self.client.exchanges();
            let asking = Asking::new(ask, pong_timeout, exchanges);
            self.asking.get_or_insert(asking).begin_anew();
        }
        if !may_go_on {
            return;
        }
        if !self.client.exchanges() {
            if self.session.asks() {
                link.nonce = Some(env.nonce());
            }
            return;
        }
        let mut hello = Hello::new("id", "token");
        if let Some(missed) = missed {
            hello.session = SessionKind::Resumed;
            hello.replay = (missed.replayed + missed.waited) as u64;
        }
        hello.received = self.session.received();
        hello.handled = self.session.handled();
        let text = Control::Hello(Box::new(hello)).to_text().expect("a hello is known");
        link.lane.queue_hello(&text);
        link.is_greeted = true;
    }

    /// A frame of a promise is lost: nothing behind it is written.
    pub(crate) fn leave_gap(&mut self) {
        self.told.gap = true;
        assert_eq!(self.queue.discard(), self.ledger.discard());
        self.asked.push(Disconnect::FramesLost);
    }
}
