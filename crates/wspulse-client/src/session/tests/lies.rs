//! The state machine against servers that say anything at all, in 3,000 random lives.
//!
//! Whatever comes, nothing panics, each frame that was taken over comes to one end, and what was
//! told as received is what was handed to the application.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use wspulse_core::protocol::ResumeOffer;
use wspulse_core::{Frame, MessageKind};

use super::*;

const LIVES: u64 = 3_000;
const STEPS: usize = 80;

struct Life {
    session: Session<u32>,
    dice: SmallRng,
    now: Instant,
    sent: u32,
    open: BTreeSet<u32>,
    settled: BTreeMap<u32, Outcome>,
    /// Of the current session.
    delivered: u64,
    has_ended: bool,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = SmallRng::seed_from_u64(seed);
        let config = SessionConfig {
            sessions: [Sessions::Prefer, Sessions::Require, Sessions::Never]
                [dice.random_range(0..3)],
            codec: dice.random_bool(0.9).then(|| "json".to_owned()),
            connect_timeout: Duration::from_secs(10),
            silence: dice.random_bool(0.8).then_some(Duration::from_secs(20)),
            probe_timeout: Duration::from_secs(5),
            outbox_messages_max: 16,
            outbox_bytes_max: 400,
            is_final_answer: Arc::new(|status| status == 403),
        };
        let attempts = dice.random_bool(0.3).then_some(8);
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), attempts, seed);
        let now = Instant::now();
        Self {
            session: Session::new(config, backoff, now),
            dice,
            now,
            sent: 0,
            open: BTreeSet::new(),
            settled: BTreeMap::new(),
            delivered: 0,
            has_ended: false,
        }
    }

    fn step(&mut self) {
        match self.dice.random_range(0..100) {
            0..20 => self.send(),
            20..35 => self.pass(),
            35..50 => {
                let chosen =
                    ["wspulse.1+json", "wspulse.1+json", "wspulse.1+x", "wspulse.plain", ""];
                let chosen = chosen[self.dice.random_range(0..chosen.len())];
                self.session.handle_open(self.now, Some(chosen).filter(|it| !it.is_empty()));
            }
            50..90 => {
                let said = self.anything();
                let message = Message { kind: MessageKind::Text, bytes: said.into() };
                self.session.handle_message(self.now, message);
            }
            90..99 => {
                let cause = self.any_cause();
                self.session.handle_transport_lost(self.now, cause);
            }
            _ => self.session.handle_close(),
        }
        self.look();
    }

    fn send(&mut self) {
        self.sent += 1;
        let bytes = vec![b'x'; self.dice.random_range(0..60)];
        let message = Message { kind: MessageKind::Text, bytes: bytes.into() };
        let number = self.sent;
        match self.session.handle_send(Frame::new("it"), message, Some(number)) {
            Ok(()) => assert!(self.open.insert(number)),
            Err((refused, _)) => assert_eq!(refused == Refused::Closed, self.has_ended),
        }
    }

    fn pass(&mut self) {
        let Some(due) = self.session.poll_timeout() else { return };
        self.now = if self.dice.random_bool(0.7) { due.max(self.now) } else { self.now + SECOND };
        self.session.handle_timeout(self.now);
    }

    /// A control message, whole or nearly, or a frame.
    fn anything(&mut self) -> String {
        let count = match self.dice.random_range(0..10) {
            0..6 => self.dice.random_range(0..6).to_string(),
            6 => u64::MAX.to_string(),
            7 => "-1".to_owned(),
            8 => "1e3".to_owned(),
            _ => "null".to_owned(),
        };
        let session = if self.dice.random_bool(0.5) { "new" } else { "resumed" };
        let handled = self.dice.random_range(0..4);
        let received = handled + self.dice.random_range(0..4);
        match self.dice.random_range(0..10) {
            0..4 => format!(
                "[\"hello\",{{\"session\":\"{session}\",\"id\":\"\",\"token\":\"t\",\"received\":{received},\
                 \"handled\":{handled},\"replay\":{count},\"silence\":0,\"window\":0,\"message_max\":40}}]"
            ),
            4 => "[\"ask\"]".to_owned(),
            5..7 => format!("[\"ack\",{count}]"),
            7 => format!("[\"later\",{count}]"),
            8 => "[\"hello\"".to_owned(),
            _ => "{\"event\":\"it\"}".to_owned(),
        }
    }

    fn any_cause(&mut self) -> Cause {
        let code = [1000, 1001, 1006, 1012, 4000, 4410][self.dice.random_range(0..6)];
        match self.dice.random_range(0..4) {
            0 => Cause::Dropped,
            1 => Cause::MessageTooLong,
            2 => Cause::Refused { status: 503, retry_after: None },
            _ => Cause::Closed { code, reason: String::new() },
        }
    }

    /// Takes what the session has to say.
    fn look(&mut self) {
        let offered = 200;
        for _ in 0..offered {
            if self.dice.random_bool(0.2) {
                break;
            }
            let Some(outgoing) = self.session.poll_transmit(self.now) else {
                self.session.handle_flushed();
                break;
            };
            if let Outgoing::Control(text) = outgoing
                && let Ok(Control::Ack(count)) = Control::parse(text.as_bytes())
            {
                assert_eq!(count, self.delivered);
            }
        }
        while let Some(effect) = self.session.poll_effect() {
            self.take(effect);
        }
    }

    fn take(&mut self, effect: Effect<u32>) {
        match effect {
            Effect::Deliver(_) => self.delivered += 1,
            Effect::Settle { waiter, outcome, .. } => {
                let number = waiter.expect("each has one who waits");
                assert!(self.open.remove(&number), "{number} was settled before");
                self.settled.insert(number, outcome);
            }
            Effect::Open { protocols } => {
                let offer = protocols.iter().find_map(|it| it.parse::<ResumeOffer>().ok());
                if let Some(offer) = offer {
                    assert_eq!(offer.count, self.delivered, "all that was handed on, and no more");
                }
            }
            Effect::Tell(Event::Session { session, .. }) => {
                if session != SessionStart::Resumed {
                    self.delivered = 0;
                }
            }
            Effect::Tell(Event::Ended { .. }) => {
                assert!(!std::mem::replace(&mut self.has_ended, true), "it ends once");
            }
            Effect::Tell(_) | Effect::Close { .. } | Effect::Abandon => {}
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_server_that_says_anything_leaves_nobody_waiting_and_counts_nothing_wrong() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..LIVES {
        let mut life = Life::new(seed);
        for _ in 0..STEPS {
            life.step();
        }
        life.session.handle_close();
        life.look();
        assert!(life.has_ended && life.open.is_empty(), "seed {seed}: {:?} still wait", life.open);
        outcomes.extend(life.settled.values().map(|outcome| format!("{outcome:?}")));
    }
    let all = ["Closed", "Handled", "Lost", "TooLong { bytes_max: 40 }"];
    assert!(outcomes.iter().eq(all), "{outcomes:?}");
}
