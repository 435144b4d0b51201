//! What the client says, and how it gets from the transport to the session.

use wspulse_core::outbound::NotWritten;
use wspulse_core::websocket::{Flow, Progress, ProtocolError};
use wspulse_core::{Frame, SessionEvent, TransportLost};

use crate::client::{Attempt, Habit, Said};
use crate::coverage::Scene;
use crate::driver::Driver;
use crate::env::Env;
use crate::socket::Socket;

impl Driver {
    /// The client says something, which is on its way from now on.
    pub(crate) fn speak(&mut self, env: &mut Env) {
        let messages = env.up_to(3);
        let Some(link) = &mut self.current else { return };
        if link.attempt != self.client.attempt || !self.client.is_greeted() {
            return;
        }
        for _ in 0..messages {
            link.said.extend(self.client.next_message());
            if env.chance(40) {
                link.said.push_back(Said::Ask);
            }
        }
    }

    /// The client answers what it was asked, however late.
    pub(crate) fn answer(&mut self) {
        self.send_answers(true);
    }

    fn send_answers(&mut self, is_prompted: bool) {
        if let Some(link) = &mut self.current
            && link.attempt == self.client.attempt
        {
            link.said.extend(self.client.answers(is_prompted));
        }
    }

    /// Some of the bytes arrive that the server has written.
    pub(crate) fn arrive(&mut self, bytes: usize, env: &mut Env) {
        let attempt = self.client.attempt;
        let current = self.current.as_mut().filter(|link| link.attempt == attempt);
        let leaving = self.leaving.iter_mut().find(|leaving| leaving.attempt == attempt);
        let socket = match (current, leaving) {
            (Some(link), _) => &mut link.socket,
            (None, Some(leaving)) => &mut leaving.socket,
            (None, None) => return,
        };
        for heard in socket.peer.arrive(bytes) {
            self.client.hear(self.ledger.placed(heard), env);
        }
        self.send_answers(false);
    }

    /// As [`arrive`](Self::arrive), on a transport that the session has parted with.
    pub(crate) fn arrive_from(
        &mut self,
        socket: &mut Socket,
        attempt: Attempt,
        bytes: usize,
        env: &mut Env,
    ) {
        if attempt == self.client.attempt {
            for heard in socket.peer.arrive(bytes) {
                self.client.hear(self.ledger.placed(heard), env);
            }
        }
    }

    /// The transport delivers what was said, as far as it is welcome.
    pub(crate) fn receive(&mut self, messages: usize, env: &mut Env) {
        let Some(number) = self.current.as_ref().map(|link| link.number) else {
            return;
        };
        let mut acknowledged = None;
        for _ in 0..messages {
            let Some(link) = self.current.as_mut().filter(|link| link.number == number) else {
                return;
            };
            if !self.session.wants_inbound() {
                Scene::ReadingPaused.seen();
                break;
            }
            let said = match link.said.pop_front() {
                None if self.client.exchanges() => break,
                None => Said::Message(self.journal.next_received()),
                Some(said) => said,
            };
            self.hear(env);
            match said {
                Said::Message(message) => self.receive_message(message, env),
                Said::Ask => self.receive_question(env),
                Said::Ack(count) => acknowledged = acknowledged.max(Some(count)),
                Said::Pong(payload) => {
                    let count = self.answered_in(&payload);
                    Scene::ForeignAnswer.seen_if(count.is_none() && payload.len() == 16);
                    acknowledged = acknowledged.max(count);
                }
            }
        }
        let is_there = self.current.as_ref().is_some_and(|link| link.number == number);
        if let Some(count) = acknowledged
            && is_there
        {
            self.acknowledge(count, env);
        }
    }

    fn receive_message(&mut self, message: u32, env: &mut Env) {
        let Some(number) = self.current.as_ref().map(|link| link.number) else {
            return;
        };
        if self.client.exchanges() {
            self.session.count_received();
        }
        if self.told.end.is_none() {
            self.told.received += u32::from(!self.told.counts_no_more);
            self.journal.wait(message, number);
        } else {
            self.journal.give_up(1);
        }
        let frame = Frame::default().with_payload(message.to_be_bytes().to_vec());
        if self.session.start_message() {
            self.start_callback(&SessionEvent::Message(frame), env);
        } else {
            self.expect_overload();
            let flow = self.session.handle_frame(frame);
            assert_eq!(flow == Flow::Pause, self.is_paused());
        }
        self.act(env);
    }

    fn receive_question(&mut self, env: &mut Env) {
        let received = self.told.received;
        if let Some(link) = &mut self.current {
            Scene::AskedAgain.seen_if(link.asked_through > self.journal.handled());
            link.asked_through = received;
        }
        self.session.handle_client_asked();
        self.act(env);
    }

    /// The number that a Pong names, if its question was one of this transport.
    fn answered_in(&self, payload: &[u8]) -> Option<u64> {
        let nonce = self.current.as_ref()?.nonce?;
        let number = payload.strip_prefix(&nonce.to_be_bytes())?;
        Some(u64::from_be_bytes(number.try_into().ok()?))
    }

    /// The client says that it has all frames up to this one.
    fn acknowledge(&mut self, count: u64, env: &mut Env) {
        let Some(kept) = &mut self.ledger.kept else { return };
        let before = kept.forgotten();
        let written = kept.written_to_transport();
        match (self.queue.acknowledge(count), kept.acknowledge(count)) {
            (Ok(freed), Some(frames)) => {
                assert_eq!(freed.frames, frames, "what is acknowledged is forgotten");
                Scene::Acknowledged.seen_if(frames > 0);
                Scene::AcknowledgedBefore.seen_if(count < before.into());
                Scene::AcknowledgedPart.seen_if(frames > 0 && count < written);
                if self.client.habit == Habit::Lies {
                    self.client.excuse(count);
                }
                self.client.check_forgotten(kept.forgotten());
                self.session.handle_acknowledged(count, freed.frames, env.now);
                if let Some(asking) = &mut self.asking {
                    asking.acknowledged(count, freed.frames, env.now);
                }
                self.woken = true;
            }
            (Err(NotWritten { .. }), None) => {
                assert!(self.client.habit == Habit::Lies, "only who lies is ahead");
                Scene::AcknowledgedAhead.seen();
                if self.client.exchanges() {
                    let error = ProtocolError::NotWritten { number: count, written };
                    self.lose(TransportLost::Protocol(error), env);
                }
            }
            (Ok(freed), None) => panic!("{count} of {written} freed {freed:?}"),
            (Err(error), Some(_)) => panic!("{error}"),
        }
        self.check();
    }

    pub(crate) fn receive_ping(&mut self, env: &mut Env) {
        self.hear(env);
        let pings = if env.chance(10) { 20 } else { 1 };
        if let Some(link) = &mut self.current {
            for _ in 0..pings {
                link.pings_received += 1;
                link.lane.queue_pong(&link.pings_received.to_be_bytes());
            }
            self.woken = true;
        }
    }

    /// What has been read ends within a message, or behind one.
    pub(crate) fn progress(&mut self, env: &mut Env) {
        self.hear(env);
        if let Some(link) = &mut self.current {
            let incomplete = if link.message_deadline.is_some() && env.chance(50) {
                Progress::Continued
            } else {
                Progress::Begun
            };
            let progress = env.pick(&[Progress::Complete, incomplete, incomplete]);
            if self.told.end.is_none() {
                match progress {
                    Progress::Complete => link.message_deadline = None,
                    Progress::Begun => {
                        link.message_deadline = Some(env.now + self.config.message_timeout);
                    }
                    Progress::Continued => {}
                }
            }
            self.session.handle_progress(progress, env.now);
            self.act(env);
        }
    }

    fn hear(&mut self, env: &Env) {
        if let Some(link) = &mut self.current {
            link.heard_at = env.now;
            self.session.handle_activity(env.now);
        }
    }
}
