//! What the application was told, checked against the grammar, and the messages on their way to it.

use std::collections::VecDeque;

use wspulse_core::SessionEvent;

use crate::socket::number_in;

/// The transport that a message came from, by number.
pub(crate) type TransportNumber = u32;

#[expect(clippy::struct_excessive_bools, reason = "facts, not states")]
pub(crate) struct Journal {
    /// False while the connection that had the id before runs its callbacks.
    pub(crate) may_start: bool,
    told: Told,
    running: bool,
    pub(crate) suspensions: u32,
    received: u32,
    /// Whether each message of the client is to be told once.
    exchanges: bool,
    /// The newest message that was told.
    newest: u32,
    runs_message: bool,
    handled: u32,
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
    pub(crate) const fn new(may_start: bool, exchanges: bool) -> Self {
        Self {
            may_start,
            told: Told::Nothing,
            running: false,
            suspensions: 0,
            received: 0,
            exchanges,
            newest: 0,
            runs_message: false,
            handled: 0,
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

    /// Those that wait will not be told. Tells how many that are.
    pub(crate) fn give_up_waiting(&mut self) -> u32 {
        let given_up = std::mem::take(&mut self.waiting).len();
        self.undeclared += given_up;
        u32::try_from(given_up).unwrap()
    }

    /// The turn of a message has come, and it is not told.
    pub(crate) fn skip(&mut self) {
        self.waiting.pop_front().expect("a received message");
        self.undeclared += 1;
    }

    /// Of how many messages the callback has returned.
    pub(crate) const fn handled(&self) -> u32 {
        self.handled
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
                assert!(!self.exchanges || number == self.newest + 1, "{number}: each once");
                self.newest = number;
                self.runs_message = true;
                from = Some(transport);
                Told::Live
            }
            (Told::Live, SessionEvent::Suspended(_)) => {
                self.suspensions += 1;
                Told::Suspended
            }
            (told @ (Told::Live | Told::Suspended), SessionEvent::Expiring) => told,
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
        self.handled += u32::from(std::mem::take(&mut self.runs_message));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.told == Told::Closed && !self.running
    }

    pub(crate) fn check_declared(&self) {
        assert_eq!(self.undeclared, 0, "every discarded message is declared");
    }
}
