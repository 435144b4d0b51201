//! The plain model of when a peer is asked how far it has got, and what its silence means.

use std::time::{Duration, Instant};

use wspulse_core::session::AskConfig;

use crate::coverage::Scene;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    config: AskConfig,
    pong_timeout: Duration,
    /// Whether the client speaks `wspulse.1`, and so answers or is gone.
    exchanges: bool,
    unasked_frames: usize,
    unasked_bytes: usize,
    /// When the first frame behind the newest question was written.
    unasked_at: Option<Instant>,
    /// How often the time to ask was put off, as frames were written, and how many had been by then.
    put_off: u32,
    seen: usize,
    question: Option<Question>,
    pub(crate) peer: Peer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Unknown,
    Answers,
    Silent,
}

#[derive(Debug, Clone, Copy)]
struct Question {
    number: u64,
    deadline: Instant,
}

/// What an answer that has not come in time leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    Lost,
    /// All up to this frame is taken for arrived.
    Presumed(u64),
    /// Its silence decides, which ends with the transport at this time.
    Undecided,
}

impl Asking {
    pub(crate) const fn new(config: AskConfig, pong_timeout: Duration, exchanges: bool) -> Self {
        let peer = if exchanges { Peer::Answers } else { Peer::Unknown };
        Self {
            config,
            pong_timeout,
            exchanges,
            unasked_frames: 0,
            unasked_bytes: 0,
            unasked_at: None,
            put_off: 0,
            seen: 0,
            question: None,
            peer,
        }
    }

    /// The same session, another transport.
    pub(crate) fn begin_anew(&mut self) {
        let is_silent = self.peer == Peer::Silent;
        *self = Self::new(self.config, self.pong_timeout, self.exchanges);
        if is_silent {
            self.peer = Peer::Silent;
        }
    }

    pub(crate) fn written(&mut self, frames: usize, bytes: usize, now: Instant) {
        if frames > 0 {
            self.unasked_frames += frames;
            self.unasked_bytes += bytes;
            if self.unasked_at.is_none() {
                (self.unasked_at, self.put_off, self.seen) = (Some(now), 0, frames);
            }
        }
    }

    /// It may be time to ask. Where more was written than had been, there is more time.
    pub(crate) fn look(&mut self, now: Instant) {
        let grown = self.unasked_frames > self.seen && self.put_off < 2;
        if self.question.is_none() && grown && self.is_due(false, now) {
            self.put_off += 1;
            self.seen = self.unasked_frames;
            Scene::AskedLater.seen();
        }
    }

    /// Whether so much is on its way that a question is due.
    pub(crate) fn wants_to(&self) -> bool {
        let is_much =
            self.unasked_frames >= self.config.frames || self.unasked_bytes >= self.config.bytes;
        self.question.is_none() && is_much
    }

    pub(crate) const fn is_asking(&self) -> bool {
        self.question.is_some()
    }

    pub(crate) fn may(&self) -> bool {
        self.question.is_none() && self.unasked_at.is_some()
    }

    pub(crate) fn asked(&mut self, number: u64, now: Instant) {
        if self.unasked_at.is_none() && self.question.is_none() {
            return;
        }
        let deadline = now + self.pong_timeout;
        self.question.get_or_insert(Question { number, deadline }).number = number;
        (self.unasked_frames, self.unasked_bytes, self.unasked_at) = (0, 0, None);
    }

    pub(crate) fn acknowledged(&mut self, number: u64, frames: usize, now: Instant) {
        self.peer = Peer::Answers;
        self.question = self.question.filter(|question| question.number > number);
        if frames > 0 {
            self.heard_again(now);
        }
    }

    /// Nothing could be heard before: the answer has its whole time again.
    pub(crate) fn heard_again(&mut self, now: Instant) {
        if let Some(question) = &mut self.question {
            question.deadline = now + self.pong_timeout;
        }
    }

    /// When there is something to ask, or an answer is missing.
    pub(crate) fn deadline(&self, is_paused: bool) -> Option<Instant> {
        match self.question {
            Some(question) => (!is_paused).then_some(question.deadline),
            None => self.unasked_at.map(|at| at + self.config.time * 4_u32.pow(self.put_off)),
        }
    }

    /// Whether time is up for the question, or to ask it.
    pub(crate) fn is_due(&self, is_paused: bool, now: Instant) -> bool {
        self.deadline(is_paused).is_some_and(|at| at <= now)
    }

    /// The answer is missing. A peer of which nothing is heard is given up at `heard_out_at`.
    pub(crate) fn give_up(&mut self, heard_out_at: Instant, now: Instant) -> Unanswered {
        let question = self.question.take().expect("a question");
        if self.peer == Peer::Answers {
            return Unanswered::Lost;
        }
        if heard_out_at < now + self.pong_timeout / 2 {
            self.question = Some(Question { deadline: heard_out_at, ..question });
            return Unanswered::Undecided;
        }
        self.peer = Peer::Silent;
        Unanswered::Presumed(question.number)
    }
}
