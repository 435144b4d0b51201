//! What a session counts with a client that speaks `wspulse.1`: the messages that have come, so
//! that none is taken twice, and what to tell the client of them.

use super::{Action, Session};
use crate::rare_queue::RareQueue;

/// Of the whole session, from transport to transport.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Data messages that were taken over from a transport.
    pub(super) received: u64,
    /// The numbers of those that will come again and were taken before, in order: they wait for
    /// nobody, but what they lay behind was thrown away. No more than could wait.
    pub(super) taken_before: RareQueue<u64>,
    /// An end is on its way that has messages thrown away: none counts any more.
    is_over: bool,
    /// The client has asked, and is to hear once so many are handled.
    answer: Option<Answer>,
}

/// What a data message is that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// One to hand in.
    New,
    /// One that comes again, as it lay behind messages that were thrown away. Nothing is called for
    /// it: to be passed over by [`Session::handle_taken_before`].
    TakenBefore,
}

/// Answers that are owed: the first to what was asked first, the last to what was asked last.
#[derive(Debug, Clone, Copy)]
struct Answer {
    next_at: u64,
    last_at: u64,
}

impl Session {
    /// The client speaks `wspulse.1`. To be told before the first transport.
    pub fn begin_exchange(&mut self) {
        self.acks.get_or_insert_default().exchange = Some(Exchange::default());
    }

    /// Whether the client speaks `wspulse.1`.
    #[inline]
    pub fn exchanges(&self) -> bool {
        self.acks.as_ref().is_some_and(|acks| acks.exchange.is_some())
    }

    /// A data message has come, which is about to be handed in or found to be none. After the end
    /// none counts: it is thrown away, and nobody may take it for handled.
    pub fn count_received(&mut self) -> Counted {
        if self.is_connected()
            && let Some(exchange) = self.exchange_mut()
            && !exchange.is_over
        {
            exchange.received += 1;
            if exchange.taken_before.front() == Some(&exchange.received) {
                exchange.taken_before.pop_front();
                return Counted::TakenBefore;
            }
        }
        Counted::New
    }

    /// How many of the client's data messages have come.
    pub fn received(&self) -> u64 {
        self.exchange().map_or(0, |exchange| exchange.received)
    }

    /// Of how many of them the callback has returned.
    pub fn handled(&self) -> u64 {
        let Some(exchange) = self.exchange() else { return 0 };
        let unhandled = if exchange.is_over { 0 } else { self.callbacks.unhandled() };
        exchange.received.saturating_sub(unhandled.into())
    }

    /// The client asks how far its messages have got.
    pub fn handle_client_asked(&mut self) {
        let (received, handled) = (self.received(), self.handled());
        if let Some(exchange) = self.exchange_mut() {
            if handled < received {
                let owed = Answer { next_at: received, last_at: received };
                exchange.answer.get_or_insert(owed).last_at = received;
            }
            self.actions.push_back(Action::Answer(handled));
        }
    }

    /// A callback has returned: the client may wait to hear of it.
    pub(super) fn answer_if_due(&mut self) {
        let handled = self.handled();
        if let Some(exchange) = self.exchange_mut()
            && let Some(Answer { last_at, .. }) =
                exchange.answer.take_if(|answer| answer.next_at <= handled)
        {
            if last_at > handled {
                exchange.answer = Some(Answer { next_at: last_at, last_at });
            }
            self.actions.push_back(Action::Answer(handled));
        }
    }

    /// The end has come while there is a transport: the client hears how far its messages got.
    pub(super) fn answer_finally(&mut self) {
        if self.exchanges() {
            self.actions.push_back(Action::Answer(self.handled()));
        }
    }

    /// A transport begins, on which nothing was asked.
    pub(super) fn forget_client_asked(&mut self) {
        if let Some(exchange) = self.exchange_mut() {
            exchange.answer = None;
        }
    }

    /// Messages that were taken over are thrown away, all from the first of them on: they are not
    /// handled, and the client is to send them again if there is a next transport.
    pub(super) fn take_back(&mut self, messages: usize) {
        if let Some(exchange) = self.exchange_mut()
            && !exchange.is_over
        {
            exchange.received -= messages as u64;
            // Who has asked about them hears of those before, once they are handled.
            if let Some(Answer { next_at, last_at }) = &mut exchange.answer {
                *next_at = exchange.received.min(*next_at);
                *last_at = exchange.received.min(*last_at);
            }
        }
    }

    /// As [`take_back`](Self::take_back), of all that wait. Those among them that were taken are not to
    /// be handed in when they come again.
    pub(super) fn take_back_waiting(&mut self) {
        let places = self.callbacks.places_taken();
        self.take_back(self.callbacks.messages());
        if let Some(exchange) = self.exchange_mut() {
            let first = exchange.received + 1;
            for place in places.into_iter().rev() {
                exchange.taken_before.push_front(first + place as u64);
            }
        }
    }

    /// As [`take_back`](Self::take_back), of all that is not handled and all that is still to come: an
    /// answer among it that somebody has got would else count for the first that is thrown away.
    pub(super) fn take_back_for_good(&mut self) {
        self.take_back(self.callbacks.unhandled() as usize);
        if let Some(exchange) = self.exchange_mut() {
            exchange.is_over = true;
        }
    }

    pub(super) fn exchange(&self) -> Option<&Exchange> {
        self.acks.as_ref()?.exchange.as_ref()
    }

    pub(super) fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        self.acks.as_mut()?.exchange.as_mut()
    }
}
