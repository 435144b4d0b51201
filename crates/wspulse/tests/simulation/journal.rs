//! What one connection's callbacks were told and what was sent to it, and whether that may be.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use wspulse::{Connection, Disconnect};

use super::crowd::Memberships;
use super::ledger::Ledger;

/// One call of a callback.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Connect,
    Message(Said),
    Drop,
    Restore,
    Disconnect(Disconnect),
}

/// What a client's message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    /// The transport that it was sent over.
    pub(crate) transport: usize,
    /// How many messages were sent there before.
    pub(crate) number: usize,
}

impl Said {
    /// It is the event of a message, and the id of one that asks.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (transport, number) = text.split_once(' ')?;
        Some(Self { transport: transport.parse().ok()?, number: number.parse().ok()? })
    }
}

impl Told {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Connect => "told connect",
            Self::Message(_) => "told message",
            Self::Drop => "told drop",
            Self::Restore => "told restore",
            Self::Disconnect(_) => "told disconnect",
        }
    }
}

/// One connection, from its admission on.
#[derive(Debug)]
pub(crate) struct Life {
    /// Its place among all admissions.
    pub(crate) number: usize,
    pub(crate) memberships: Memberships,
    told: Mutex<Vec<Told>>,
    /// What was accepted for it.
    pub(crate) ledger: Ledger,
    /// It did not get a frame that it was promised.
    lacks: AtomicBool,
    /// Its first transport was registered.
    was_seen: AtomicBool,
    inside: AtomicBool,
    overlapped: AtomicBool,
}

/// While it lives, a callback runs.
pub(crate) struct Inside<'a>(&'a Life);

pub(crate) fn life(connection: &Connection) -> &Life {
    connection.data().expect("every connection has one")
}

impl Life {
    pub(crate) fn new(number: usize, memberships: Memberships) -> Self {
        Self {
            number,
            memberships,
            told: Mutex::new(Vec::new()),
            ledger: Ledger::default(),
            lacks: AtomicBool::new(false),
            was_seen: AtomicBool::new(false),
            inside: AtomicBool::new(false),
            overlapped: AtomicBool::new(false),
        }
    }

    pub(crate) fn enter(&self, told: Told) -> Inside<'_> {
        if self.inside.swap(true, Ordering::Relaxed) {
            self.overlapped.store(true, Ordering::Relaxed);
        }
        self.told.lock().unwrap().push(told);
        Inside(self)
    }

    /// A callback that is over when it returns must not run beside another one.
    pub(crate) fn enter_shortly(&self) {
        if self.inside.load(Ordering::Relaxed) {
            self.overlapped.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn lack(&self) {
        self.lacks.store(true, Ordering::Relaxed);
    }

    /// Whether nobody has asked this before: then the connection is new.
    pub(crate) fn is_new(&self) -> bool {
        !self.was_seen.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// How many messages came from one transport, or one session of a client's.
    pub(crate) fn messages_of(&self, key: usize) -> usize {
        let told = self.told();
        let is_of = |told: &&Told| matches!(told, Told::Message(said) if said.transport == key);
        told.iter().filter(is_of).count()
    }

    pub(crate) fn messages(&self) -> u64 {
        let told = self.told.lock().unwrap();
        told.iter().filter(|told| matches!(told, Told::Message(_))).count() as u64
    }

    pub(crate) fn end(&self) -> Option<Disconnect> {
        match self.told.lock().unwrap().last() {
            Some(Told::Disconnect(end)) => Some(end.clone()),
            _ => None,
        }
    }

    /// `Connect Message* (Drop Restore Message*)* [Drop] Disconnect`, one at a time. What a
    /// transport brought comes in the order in which it was sent, and without a gap: what does not
    /// reach its handler is the last of it.
    pub(crate) fn check(&self) {
        let told = self.told();
        assert!(!self.overlapped.load(Ordering::Relaxed), "callbacks overlap: {told:?}");
        let mut state = "new";
        let mut last_said: Option<Said> = None;
        for event in &told {
            state = match (state, event) {
                ("new", Told::Connect) | ("suspended", Told::Restore) => "connected",
                ("connected", Told::Message(said)) => {
                    let expected = match last_said {
                        Some(last) if last.transport == said.transport => last.number + 1,
                        Some(_) | None => 0,
                    };
                    assert!(last_said < Some(*said), "messages out of order: {told:?}");
                    assert_eq!(said.number, expected, "a message is missing: {told:?}");
                    last_said = Some(*said);
                    "connected"
                }
                ("connected", Told::Drop) => "suspended",
                ("connected" | "suspended", Told::Disconnect(_)) => "over",
                _ => panic!("{event:?} while {state}: {told:?}"),
            };
        }
        assert_eq!(state, "over", "no on_disconnect: {told:?}");
        if self.lacks.load(Ordering::Relaxed) {
            let end = self.end().expect("it is over");
            assert!(!matches!(end, Disconnect::GraceExpired(_)), "it went on with a hole: {end:?}");
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.store(false, Ordering::Relaxed);
    }
}
