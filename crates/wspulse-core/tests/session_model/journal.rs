//! What the application was told, checked against the grammar, and the messages on their way to it.

use std::collections::VecDeque;

use wspulse_core::SessionEvent;

use crate::socket::number_in;

/// The transport that a message came from, by number.
pub(crate) type TransportNumber = u32;

pub(crate) struct Journal {
    /// False while the connection that had the id before runs its callbacks.
    pub(crate) may_start: bool,
    told: Told,
    running: bool,
    pub(crate) suspensions: u32,
    received: u32,
    waiting: VecDeque<(u32, TransportNumber)>,
    /// Messages given up that the session must still own up to.
    undeclared: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Live,
    Suspended,
    Closed,
}

impl Journal {
    pub(crate) const fn new(may_start: bool) -> Self {
        Self {
            may_start,
            told: Told::Nothing,
            running: false,
            suspensions: 0,
            received: 0,
            waiting: VecDeque::new(),
            undeclared: 0,
        }
    }

    pub(crate) fn next_received(&mut self) -> u32 {
        self.received += 1;
        self.received
    }

    pub(crate) fn wait(&mut self, number: u32, transport: TransportNumber) {
        self.waiting.push_back((number, transport));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// This many messages will not be told.
    pub(crate) fn give_up(&mut self, messages: usize) {
        self.undeclared += messages;
    }

    pub(crate) fn give_up_waiting(&mut self) {
        self.undeclared += std::mem::take(&mut self.waiting).len();
    }

    pub(crate) fn declared_discarded(&mut self, messages: usize) {
        let left = self.undeclared.checked_sub(messages);
        self.undeclared = left.expect("only what was given up is discarded");
    }

    /// A callback starts. For a message, tells where it came from.
    pub(crate) fn start(
        &mut self,
        event: &SessionEvent,
        ended_suspended: bool,
    ) -> Option<TransportNumber> {
        assert!(self.may_start, "the predecessor's callbacks come first");
        assert!(!self.running, "one callback at a time");
        self.running = true;
        let mut from = None;
        self.told = match (self.told, event) {
            (Told::Nothing, SessionEvent::Opened) | (Told::Suspended, SessionEvent::Resumed(_)) => {
                Told::Live
            }
            (Told::Live, SessionEvent::Message(frame)) => {
                let (number, transport) = self.waiting.pop_front().expect("a received message");
                assert_eq!(number_in(frame.payload()), number, "no gap, no other order");
                from = Some(transport);
                Told::Live
            }
            (Told::Live, SessionEvent::Suspended(_)) => {
                self.suspensions += 1;
                Told::Suspended
            }
            (Told::Live | Told::Suspended, SessionEvent::Closed(_)) => {
                assert_eq!(self.waiting.len(), 0, "nothing is swallowed by the end");
                assert_eq!(self.told == Told::Suspended, ended_suspended);
                Told::Closed
            }
            (told, event) => panic!("{event:?} after {told:?}"),
        };
        from
    }

    pub(crate) fn finish(&mut self) {
        self.running = false;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.told == Told::Closed && !self.running
    }

    pub(crate) fn check_declared(&self) {
        assert_eq!(self.undeclared, 0, "every discarded message is declared");
    }
}
