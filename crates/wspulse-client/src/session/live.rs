//! A transport after its `hello`: when to ask how far the server has got, and what it is owed.

use std::time::{Duration, Instant};

use wspulse_core::protocol::Control;

use super::effect::Outgoing;
use super::outbox::Outbox;
use super::watch::Watch;
use crate::event::Cause;

/// After so many messages the client asks, so that the outbox of one who only posts is emptied.
const ASK_AFTER_MESSAGES: u64 = 64;

/// So long after a message that nobody waits for, the client asks.
const ASK_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Live {
    pub(super) watch: Watch,
    owes_answer: bool,
    /// An `ask` is not fully answered yet; at most one is on its way.
    is_asking: bool,
    /// The last message before the last `ask`: the answers will tell of all up to it.
    asked_through: u64,
    patience: Patience,
}

/// How long messages may go without a question that nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// There are none.
    Unneeded,
    Until(Instant),
    /// The question goes out as soon as the socket takes it.
    Over,
}

impl Live {
    pub(super) fn new<W>(watch: Watch, outbox: &Outbox<W>, now: Instant) -> Self {
        let asked_through = outbox.done();
        let patience = if outbox.sent() > asked_through {
            Patience::Until(now + ASK_AFTER)
        } else {
            Patience::Unneeded
        };
        Self { watch, owes_answer: false, is_asking: false, asked_through, patience }
    }

    pub(super) const fn owe_answer(&mut self) {
        self.owes_answer = true;
    }

    /// The server has handled so many. If that is not all that it was asked about, a second answer
    /// follows once it is, and only then the next question: messages are handled in order, so
    /// nothing could be learned before.
    pub(super) const fn handle_answer(&mut self, count: u64) {
        if count >= self.asked_through {
            self.is_asking = false;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ask_at = match self.patience {
            Patience::Until(at) if !self.is_asking => Some(at),
            Patience::Until(_) | Patience::Unneeded | Patience::Over => None,
        };
        ask_at.into_iter().chain(self.watch.poll_timeout()).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Cause> {
        if matches!(self.patience, Patience::Until(at) if now >= at) {
            self.patience = Patience::Over;
        }
        self.watch.handle_timeout(now)
    }

    pub(super) fn poll_transmit<W>(
        &mut self,
        outbox: &mut Outbox<W>,
        received: u64,
        now: Instant,
    ) -> Option<Outgoing> {
        if self.owes_answer {
            self.owes_answer = false;
            return Control::Ack(received).to_text().map(Outgoing::Control);
        }
        if self.watch.take_probe() {
            // Where a question is on its way already, a Ping asks for the sign of life.
            return if self.is_asking { Some(Outgoing::Ping) } else { self.ask(outbox.sent()) };
        }
        // The question comes behind all that can be written, but not behind too much.
        let may_write = self.is_asking || self.unasked(outbox) < ASK_AFTER_MESSAGES;
        if may_write && let Some(message) = outbox.transmit() {
            if self.patience == Patience::Unneeded {
                self.patience = Patience::Until(now + ASK_AFTER);
            }
            return Some(Outgoing::Data(message));
        }
        if self.wants_to_ask(outbox) { self.ask(outbox.sent()) } else { None }
    }

    fn wants_to_ask<W>(&self, outbox: &Outbox<W>) -> bool {
        if self.is_asking || self.unasked(outbox) == 0 {
            return false;
        }
        outbox.awaited_through() > self.asked_through
            || self.unasked(outbox) >= ASK_AFTER_MESSAGES
            || self.patience == Patience::Over
    }

    /// How many messages were sent after the last question.
    fn unasked<W>(&self, outbox: &Outbox<W>) -> u64 {
        outbox.sent().saturating_sub(self.asked_through)
    }

    fn ask(&mut self, sent: u64) -> Option<Outgoing> {
        self.is_asking = true;
        self.asked_through = sent;
        self.patience = Patience::Unneeded;
        Control::Ask.to_text().map(Outgoing::Control)
    }
}
