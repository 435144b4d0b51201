//! The client of one session across all its transports, and what it must have received.

use std::collections::VecDeque;

use wspulse_core::protocol::{Control, Hello};

use crate::coverage::Scene;
use crate::env::Env;
use crate::promise::Promise;
use crate::socket::Heard;

/// The attempts of a client to connect, by number.
pub(crate) type Attempt = u32;

/// What a client, or a gateway in front of it, makes of being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    Answers,
    AnswersLate,
    NeverAnswers,
    /// Pings are answered without their payload.
    AnswersEmpty,
    /// Any number may be said.
    Lies,
}

/// What is on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Message(u32),
    Ask,
    Ack(u64),
    Pong(Vec<u8>),
}

pub(crate) struct Client {
    pub(crate) promise: Promise,
    pub(crate) habit: Habit,
    /// The newest: it listens to the transport of no other.
    pub(crate) attempt: Attempt,
    /// The first frame that it has not received: it has all before.
    next: u32,
    /// Frames before this one may be missing: the server was told wrongly, or had to guess.
    excused: u32,
    /// What the newest transport has brought last.
    newest: Option<u32>,
    /// On the transport that it listens to, if it was greeted: the next of its own messages.
    to_say: Option<u32>,
    /// The newest of its messages that it has ever written.
    said: u32,
    /// So many are known to be handled.
    handled: u32,
    /// Answers that it owes.
    owed: VecDeque<Said>,
}

impl Client {
    pub(crate) fn new(promise: Promise, env: &mut Env) -> Self {
        let habit = env.pick(&[
            Habit::Answers,
            Habit::Answers,
            Habit::AnswersLate,
            Habit::AnswersLate,
            Habit::NeverAnswers,
            Habit::AnswersEmpty,
            Habit::Lies,
        ]);
        Self {
            promise,
            habit,
            attempt: 0,
            next: 0,
            excused: 0,
            newest: None,
            to_say: None,
            said: 0,
            handled: 0,
            owed: VecDeque::new(),
        }
    }

    pub(crate) fn exchanges(&self) -> bool {
        self.promise == Promise::Exactly
    }

    /// It gives up what it has and tries anew. Tells how many frames it says to have.
    pub(crate) fn connect(&mut self, env: &mut Env) -> u64 {
        self.attempt += 1;
        self.newest = None;
        self.to_say = None;
        if self.habit != Habit::Lies {
            self.owed.clear();
        }
        if self.exchanges() && self.habit == Habit::Lies && env.chance(30) {
            let off = u32::try_from(env.up_to(3)).unwrap();
            if env.chance(50) {
                self.next += off;
                self.excused = self.excused.max(self.next);
                Scene::ResumedTooHigh.seen_if(off > 0);
            } else {
                self.excused = self.excused.max(self.next);
                self.next = self.next.saturating_sub(off);
                Scene::ResumedTooLow.seen_if(off > 0);
            }
        }
        u64::from(self.next)
    }

    /// Frames before this one are forgotten by the server. It may only be so if the client has
    /// them, or nobody could know.
    pub(crate) fn check_forgotten(&self, forgotten: u32) {
        let is_known = forgotten <= self.next.max(self.excused);
        let Self { promise, habit, attempt, next, .. } = self;
        let who = (promise, habit, attempt);
        assert!(is_known, "{forgotten} are forgotten, {next} have arrived, {who:?}");
    }

    /// The server had to guess, or was told so.
    pub(crate) fn excuse(&mut self, through: u64) {
        self.excused = self.excused.max(u32::try_from(through).unwrap());
    }

    /// Something has come on the transport that it listens to.
    pub(crate) fn hear(&mut self, heard: Heard, env: &mut Env) {
        match heard {
            Heard::Data(number) => self.receive(number),
            Heard::Control(Control::Hello(hello)) => self.greet(&hello),
            Heard::Control(Control::Ask) => self.hear_question(env),
            Heard::Control(Control::Ack(count)) => self.hear_handled(count),
            Heard::Control(_) => panic!("nothing else is said"),
            Heard::Ping(payload) => self.hear_ping(payload, env),
        }
    }

    /// Each frame once and in order; without a count, what it had may come again first.
    fn receive(&mut self, number: u32) {
        match (self.promise, self.newest) {
            // What was half written may be whole by now, and comes whole once more.
            (Promise::AtMost, None) => assert!(number + 1 >= self.next, "{number}"),
            (Promise::AtMost, Some(newest)) => assert!(number > newest, "{number}"),
            (Promise::AtLeast, None) => {
                let is_next = number <= self.next || number <= self.excused;
                assert!(is_next, "lost: {} to {number}", self.next);
                Scene::ReceivedAgain.seen_if(number < self.next);
                Scene::LostToAGuess.seen_if(number > self.next);
            }
            (Promise::Exactly, None) => assert_eq!(number, self.next, "each once"),
            (Promise::AtLeast | Promise::Exactly, Some(newest)) => {
                assert_eq!(number, newest + 1, "in order and without a gap");
            }
        }
        Scene::ReceivedAfterReturn.seen_if(self.attempt > 1 && self.newest.is_none());
        self.newest = Some(number);
        self.next = self.next.max(number + 1);
    }

    fn greet(&mut self, hello: &Hello) {
        let received = u32::try_from(hello.received).unwrap();
        let handled = u32::try_from(hello.handled).unwrap();
        assert!((self.handled..=self.said).contains(&received), "{hello:?}");
        assert!((self.handled..=received).contains(&handled), "{hello:?}");
        self.handled = handled;
        self.to_say = Some(received + 1);
        Scene::SaidAgain.seen_if(received < self.said);
        Scene::ReceivedUnhandled.seen_if(handled < received);
    }

    fn hear_question(&mut self, env: &mut Env) {
        let honest = u64::from(self.next);
        let count = match self.habit {
            Habit::Lies if env.chance(40) => {
                if env.chance(50) {
                    honest + env.up_to(3) as u64
                } else {
                    honest.saturating_sub(env.up_to(3) as u64)
                }
            }
            Habit::NeverAnswers => return,
            Habit::Lies | Habit::Answers | Habit::AnswersLate | Habit::AnswersEmpty => honest,
        };
        self.owed.push_back(Said::Ack(count));
    }

    fn hear_handled(&mut self, count: u64) {
        let count = u32::try_from(count).unwrap();
        assert!((self.handled..=self.said).contains(&count), "{count}");
        self.handled = count;
    }

    fn hear_ping(&mut self, payload: Vec<u8>, env: &mut Env) {
        let answer = match (self.habit, payload.split_last_chunk::<8>()) {
            (Habit::NeverAnswers, _) => return,
            (Habit::AnswersEmpty, _) => vec![],
            (Habit::Lies, Some((nonce, number))) if env.chance(40) => {
                let number = u64::from_be_bytes(*number);
                let another = match env.up_to(3) {
                    0 => number + 1 + env.up_to(2) as u64,
                    1 => number.saturating_sub(1),
                    _ => number,
                };
                let is_foreign = another == number;
                let nonce = if is_foreign { &[7; 8][..] } else { nonce };
                [nonce, &another.to_be_bytes()].concat()
            }
            (Habit::Answers | Habit::AnswersLate | Habit::Lies, _) => payload,
        };
        self.owed.push_back(Said::Pong(answer));
    }

    /// What it says now of what it owes.
    pub(crate) fn answers(&mut self, is_prompted: bool) -> Vec<Said> {
        let is_late = self.habit == Habit::AnswersLate && !is_prompted;
        if is_late { vec![] } else { self.owed.drain(..).collect() }
    }

    /// One more message of its own, if it may speak.
    pub(crate) fn next_message(&mut self) -> Option<Said> {
        let number = self.to_say?;
        self.to_say = Some(number + 1);
        self.said = self.said.max(number);
        Some(Said::Message(number))
    }

    pub(crate) const fn is_greeted(&self) -> bool {
        self.to_say.is_some()
    }
}
