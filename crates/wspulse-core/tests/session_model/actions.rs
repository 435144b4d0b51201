//! What the driver does when the session says so, and whether the session was right to say it.

use std::time::Instant;

use wspulse_core::outbound::Remainder;
use wspulse_core::session::Action;
use wspulse_core::{Disconnect, Dismissal, SessionEvent};

use crate::coverage::Scene;
use crate::driver::Driver;
use crate::env::Env;
use crate::leaving::Leaving;
use crate::link::{Link, Running};

impl Driver {
    /// Takes actions until there is none.
    pub(crate) fn act(&mut self, env: &mut Env) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Call(event) => self.start_callback(&event, env),
                Action::Ping => self.send_ping(env),
                Action::Presume { number, is_news } => self.presume_unanswered(number, is_news),
                Action::Answer(count) => self.answer_client(count),
                Action::Overloaded => self.check_overload(),
                // Only to be counted; the loss that follows is checked like any other.
                Action::PongTimeout | Action::MessageTimeout => {}
                Action::Dismiss(dismissal, deadline) => self.dismiss(dismissal, deadline, env),
                Action::AbandonUpgrade => self.abandon_upgrade(env),
                Action::End(disconnect) => self.ask_for_end(disconnect, env),
                Action::DiscardBacklog => self.discard_backlog(),
                Action::Discarded(messages) => {
                    Scene::MessagesDiscarded.seen();
                    self.journal.declared_discarded(messages);
                }
            }
        }
        self.check();
    }

    pub(crate) fn start_callback(&mut self, event: &SessionEvent, env: &mut Env) {
        if self.discards_received && matches!(event, SessionEvent::Message(_)) {
            Scene::MessageSkipped.seen();
            self.journal.skip();
            self.hear_again_if_paused(env);
            let waiting = u32::try_from(self.journal.waiting()).unwrap();
            self.told.take_back(1 + waiting);
            self.told.counts_no_more = true;
            self.session.handle_message_skipped(env.now);
            return;
        }
        if matches!(event, SessionEvent::Expiring) {
            Scene::ExpiryNoticed.seen();
            assert!(
                std::mem::take(&mut self.told.notice_waits),
                "once, in time, and not for nothing"
            );
        }
        let from = self.journal.start(event, self.told.ended_suspended);
        if let SessionEvent::Closed(disconnect) = event {
            Scene::SuspensionsFolded.seen_if(self.journal.suspensions < self.told.losses);
            let expected = self.told.end_as_told.as_ref().expect("an end before its callback");
            assert_eq!(disconnect.to_string(), expected.to_string(), "the first end wins");
        }
        let longest = self.client.promise.longest_callback(env);
        let ends_at = env.now + env.millis(0, longest);
        self.running = Some(Running { ends_at, panics: from.filter(|_| env.chance(15)) });
    }

    fn send_ping(&mut self, env: &Env) {
        let is_paused = self.is_paused();
        let link = self.current.as_mut().expect("somebody to ping");
        if env.now >= link.ping_at {
            link.ping_at = env.now + self.config.heartbeat.ping_interval;
        } else {
            let asking = self.asking.expect("one interval between pings");
            assert!(!asking.is_asking() && asking.is_due(is_paused, env.now), "time to ask");
            Scene::AskedInTime.seen();
        }
        self.queue_ping(env);
    }

    /// The peer does not answer, though it is heard.
    fn presume_unanswered(&mut self, number: u64, is_news: bool) {
        let presumed = self.told.presumed.take();
        assert_eq!(presumed, Some((number, is_news)), "only what nobody answers is presumed");
        assert!(!self.client.exchanges(), "who speaks the protocol answers or is gone");
        Scene::Presumed.seen();
        self.presume(number);
        self.woken = true;
    }

    /// The client is told how many of its messages are handled: no more than are.
    fn answer_client(&mut self, count: u64) {
        assert_eq!(count, u64::from(self.journal.handled()), "handled is what has returned");
        if let Some(link) = self.current.as_mut().filter(|link| link.is_greeted) {
            Scene::AnsweredPart.seen_if(count < u64::from(link.asked_through));
            Scene::AnsweredLater.seen_if(link.answered.is_some_and(|before| before < count));
            link.lane.queue_ack(count);
            link.answered = Some(count);
            self.woken = true;
        }
    }

    fn dismiss(&mut self, dismissal: Dismissal, deadline: Instant, env: &mut Env) {
        let was_paused = self.is_paused();
        self.told.last_loss.clone_from(&self.told.loss);
        let link = self.current.take();
        let link = link.expect("only a transport that is there is dismissed");
        self.check_dismissal(&dismissal, &link, was_paused, env);
        self.part_with(link, dismissal, deadline, env);
        if self.told.end.is_none() && self.may_suspend() {
            self.told.losses += 1;
            self.told.suspended_until = Some(env.now + self.config.resume_window);
            self.drop_volatile();
        }
    }

    fn check_dismissal(&mut self, dismissal: &Dismissal, link: &Link, was_paused: bool, env: &Env) {
        if let Some(cause) = self.told.loss.take() {
            assert_eq!(*dismissal, cause.dismissal());
            return;
        }
        if std::mem::take(&mut self.told.flushed) {
            let (end, _) = self.told.end.as_ref().expect("only an end is flushed");
            let Dismissal::Close(close) = dismissal else {
                panic!("a healthy transport is told of the end");
            };
            assert_eq!((close.code().as_u16(), close.reason()), close_of(end));
            assert!(self.ledger.is_empty(), "all that was accepted has arrived");
            assert!(link.lane.is_empty());
            Scene::BacklogFlushedAtEnd.seen_if(self.told.backlog_at_end);
            Scene::EndToldAfterUpgrade.seen_if(self.told.awaits_transport);
            return;
        }
        match (&self.told.end, dismissal) {
            (Some((_, deadline)), Dismissal::Abort) => {
                assert!(env.now >= *deadline);
                Scene::FlushCutByDeadline.seen();
            }
            (None, Dismissal::Abort) => {
                let since = link.blocked_since.expect("a blocked socket");
                assert!(env.now >= since + self.config.write_wait);
                Scene::WriteTimeout.seen();
            }
            (None, Dismissal::Close(close)) => {
                assert_eq!((close.code().as_u16(), close.reason()), (1001, "pong timeout"));
                assert!(!was_paused, "a peer that is not read cannot be heard");
                let is_unanswered = std::mem::take(&mut self.told.unanswered);
                let silent_at = link.heard_at + self.config.heartbeat.pong_timeout;
                assert!(is_unanswered || env.now >= silent_at);
                Scene::PongTimeout.seen_if(!is_unanswered);
                Scene::AnswerTimeout.seen_if(is_unanswered);
            }
            (None, Dismissal::Fail(close)) => {
                assert_eq!((close.code().as_u16(), close.reason()), (1008, "message timeout"));
                assert!(!was_paused, "what is not read cannot be completed");
                assert!(env.now >= link.message_deadline.expect("an incomplete message"));
                Scene::MessageTimeout.seen();
            }
            (_, Dismissal::Close(_) | Dismissal::Echo(_) | Dismissal::Fail(_)) => {
                panic!("{dismissal:?} without a reason")
            }
        }
    }

    /// Takes a half-written frame back for the next transport and leaves the old one to be told.
    pub(crate) fn part_with(
        &mut self,
        mut link: Link,
        dismissal: Dismissal,
        deadline: Instant,
        env: &mut Env,
    ) {
        if env.chance(50) {
            // It may break at any byte.
            let bytes = env.up_to(link.socket.peer.bytes_on_the_way());
            self.arrive_from(&mut link.socket, link.attempt, bytes, env);
        }
        Scene::LostOnTheWay.seen_if(link.socket.peer.bytes_on_the_way() > 0);
        let begun = link.socket.peer.begun_data_bytes();
        let remainder = self.queue.rewind();
        let completes = self.ledger.rewind();
        assert_eq!(remainder.is_some(), begun > 0, "the rest of what was begun");
        let is_dropped = remainder.as_ref().map(Remainder::is_dropped);
        assert_eq!(is_dropped, completes.map(|(_, is_dropped)| is_dropped));
        let completes = completes.map(|(number, _)| number);
        if is_dropped == Some(true) && self.ledger.kept.is_some() {
            self.drop_behind();
        }
        Scene::HalfWrittenAtLoss.seen_if(begun > 0);
        Scene::ControlHalfWrittenAtLoss.seen_if(link.lane.is_started());
        let peer = &link.socket.peer;
        assert!(peer.pings <= link.pings_sent && peer.newest_pong() <= link.pings_received);
        let close = match dismissal {
            Dismissal::Abort => return,
            Dismissal::Close(close) | Dismissal::Fail(close) => Some(close),
            Dismissal::Echo(close) => close,
        };
        let Link { socket, attempt, lane, .. } = link;
        let leaving = Leaving::new(socket, attempt, lane, remainder, completes, close, deadline);
        self.leaving.push(leaving);
    }

    /// A frame of a promise is dropped: nothing behind it is written.
    fn drop_behind(&mut self) {
        Scene::GapForLosses.seen();
        let behind = std::iter::from_fn(|| self.queue.evict_oldest()).count();
        assert_eq!(behind, self.ledger.drop_pending());
        self.told.gap = true;
        self.asked.push(Disconnect::FramesLost);
    }

    fn abandon_upgrade(&mut self, env: &Env) {
        let upgrade = self.upgrading.take().expect("an upgrade to abandon");
        Scene::UpgradeAbandoned.seen();
        let end_is_due = self.told.end.as_ref().is_some_and(|(_, at)| env.now >= *at);
        assert!(env.now >= upgrade.deadline || end_is_due, "not before time");
        if !end_is_due {
            self.upgrade_failed(env);
        }
    }

    pub(crate) fn upgrade_failed(&mut self, env: &Env) {
        self.told.upgrade_failed_at = Some(env.now);
        if std::mem::take(&mut self.told.opening) && self.may_suspend() {
            Scene::FirstUpgradeFailed.seen();
            self.told.losses += 1;
            self.told.suspended_until = Some(env.now + self.config.resume_window);
            self.drop_volatile();
        }
    }

    fn ask_for_end(&mut self, disconnect: Disconnect, env: &Env) {
        if let Disconnect::GraceExpired(_) = &disconnect {
            let deadline = self.told.suspended_until.expect("a suspended session");
            Scene::GraceExpired.seen();
            Scene::UpgradeOutlastedWindow.seen_if(env.now > deadline);
            let due_at = self.told.upgrade_failed_at.max(Some(deadline)).unwrap();
            assert!(self.upgrading.is_none(), "the client is coming back");
            assert!(env.now >= due_at, "not before time");
            assert!(env.now == due_at || !env.punctual, "exactly in time");
        } else if matches!(disconnect, Disconnect::Expired) {
            assert!(self.has_expired(env), "not before time");
            Scene::Expired.seen();
        } else {
            let for_want_of_a_place = matches!(disconnect, Disconnect::SuspendedLimit(_));
            assert!(for_want_of_a_place || matches!(disconnect, Disconnect::TransportLost(_)));
            assert_eq!(for_want_of_a_place, !self.config.resume_window.is_zero());
            assert!(!self.may_suspend() && self.current.is_none());
            Scene::NoPlaceToWait.seen_if(for_want_of_a_place);
        }
        self.told.asked_for_end = true;
        self.asked.push(disconnect);
    }

    fn discard_backlog(&mut self) {
        assert!(self.told.end.is_some(), "nothing is given up before the end");
        assert!(self.current.is_none() && self.upgrading.is_none());
        self.told.discarded_backlog = true;
        assert_eq!(self.queue.discard(), self.ledger.discard());
    }
}

fn close_of(end: &Disconnect) -> (u16, &str) {
    match end {
        Disconnect::Closed => (1000, ""),
        Disconnect::Kicked(frame)
        | Disconnect::UserLimit(frame)
        | Disconnect::ClosedWith(frame)
        | Disconnect::SlowConsumer(frame) => (frame.code().as_u16(), frame.reason()),
        Disconnect::Duplicate => (1000, "duplicate connection id"),
        Disconnect::FramesLost => (4410, "frames lost"),
        Disconnect::Expired => (4401, "expired"),
        Disconnect::Drained { .. } => (1012, "retry=250"),
        Disconnect::ServerClosed => (1001, "server shutting down"),
        Disconnect::TransportLost(_)
        | Disconnect::GraceExpired(_)
        | Disconnect::SuspendedLimit(_) => (1001, "session ended"),
        other @ (Disconnect::Moved | _) => panic!("{other:?} has no close frame here"),
    }
}
