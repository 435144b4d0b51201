//! A session that goes on at another server, and one that comes from there.

use std::time::Instant;

use super::{Session, State};
use crate::disconnect::TransportLost;

/// What a session has counted of what its client has sent, on its way to another server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MovedExchange {
    /// So many data messages were handled: the client sends again what was behind them.
    pub received: u64,
    /// The numbers of those behind them that must not be handed in again, in order.
    pub taken_before: Vec<u64>,
}

impl Session {
    /// The session is to go on elsewhere. Its transport is lost. What was received and not handed in is
    /// thrown away if the client speaks `wspulse.1`, which sends it again there; that of any other is
    /// handed in here. It is ready once it [is quiet](Self::is_quiet).
    pub fn handle_leaving(&mut self, now: Instant) {
        self.handle_transport_lost(TransportLost::Superseded, now);
        if self.is_suspended() && self.exchanges() {
            self.take_back_waiting();
            self.discard_messages();
        }
    }

    /// Whether it is suspended and nothing runs or waits to be told.
    pub fn is_quiet(&self) -> bool {
        self.is_suspended()
            && !self.callbacks.is_running()
            && self.callbacks.nothing_waits()
            && self.actions.is_empty()
    }

    /// Until when it waits for its client, while it is suspended.
    pub const fn waits_until(&self) -> Option<Instant> {
        match &self.state {
            State::Suspended { grace_deadline, .. } => Some(*grace_deadline),
            State::Opening
            | State::Connected(_)
            | State::Lost { .. }
            | State::Flushing { .. }
            | State::AwaitingTransport { .. }
            | State::Closed => None,
        }
    }

    /// What it has counted, to be told to the server where it goes on.
    pub fn moved_exchange(&self) -> MovedExchange {
        let Some(exchange) = self.exchange() else { return MovedExchange::default() };
        MovedExchange {
            received: exchange.received,
            taken_before: exchange.taken_before.iter().copied().collect(),
        }
    }

    /// The session comes from another server, with what was counted there. To be told before the first
    /// transport, which then is one with which its client comes back.
    pub fn begin_moved(&mut self, moved: MovedExchange) {
        self.begin_exchange();
        if let Some(exchange) = self.exchange_mut() {
            exchange.received = moved.received;
            for number in moved.taken_before {
                exchange.taken_before.push_back(number);
            }
        }
        self.begin_moved_plain();
    }

    /// As [`begin_moved`](Self::begin_moved), of a client that speaks nothing but frames.
    pub const fn begin_moved_plain(&mut self) {
        self.answering.comes_from_elsewhere = true;
    }

    pub(super) const fn comes_from_elsewhere(&mut self) -> bool {
        std::mem::replace(&mut self.answering.comes_from_elsewhere, false)
    }
}
