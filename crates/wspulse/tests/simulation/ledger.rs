//! What was accepted for a connection, in order: what its client must hear, but for what was dropped.

use std::sync::Mutex;

use wspulse::Connection;

use super::heard::{Heard, Numbered, Telling};
use super::journal::{Said, life};

/// Something that a connection has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Frame(Numbered),
    /// The answer to what the client has asked by this message.
    Reply(Said),
    /// Who is in this room, in this one of its epochs; what exactly, the room's people know.
    Presence {
        room: usize,
        epoch: usize,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Vec<Entry>>);

/// What was written over all transports of a connection, beside what it had accepted.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Where the next one is looked for.
    next: usize,
    last: Option<Heard>,
    /// All of it, where some of it may come again.
    all: Vec<Heard>,
    /// What was accepted and not heard, before something that was.
    passed: Vec<Entry>,
    /// How many were heard, without those that were written again.
    pub(crate) unique: u64,
    /// How many might as well be another one like the last.
    pub(crate) ambiguous: u64,
    /// What was told of people, with the epoch of its room: with gaps, that one or a later one.
    pub(crate) tellings: Vec<(usize, Telling)>,
}

impl Ledger {
    pub(crate) fn accept(&self, entry: Entry) {
        self.0.lock().unwrap().push(entry);
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.lock().unwrap().len() as u64
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap().clone()
    }
}

impl Reading {
    /// Follows what was written to one more transport. Only a frame that was in hand when a
    /// transport died is written again, to the next: its first.
    pub(crate) fn follow(&mut self, accepted: &[Entry], written: &[Heard]) {
        let is_again = written.first().is_some_and(|first| self.last.as_ref() == Some(first));
        let new = &written[usize::from(is_again)..];
        if is_again {
            let is_there = accepted[self.next..].iter().any(|entry| entry.is(&written[0]));
            self.ambiguous += u64::from(is_there);
        }
        self.follow_new(accepted, new);
        self.last = written.last().cloned().or(self.last.take());
    }

    /// The same where delivery is promised: the last of what was written comes again, all of it up to
    /// the newest, before anything new.
    pub(crate) fn follow_promised(&mut self, accepted: &[Entry], written: &[Heard]) {
        let from_in = |all: &[Heard]| {
            (0..all.len()).find(|from| {
                let again = &all[*from..];
                written.starts_with(again) || again.starts_with(written)
            })
        };
        let mut from = from_in(&self.all);
        // One that was written in part when its transport was taken over is finished there. The next
        // transport has it from its beginning, unless it is volatile and gone by then.
        if from.is_none()
            && let Some(Heard::Frame(last)) = self.all.last()
            && Heard::may_be_replaced(last.number)
        {
            self.all.pop();
            from = from_in(&self.all);
        }
        let from = from.unwrap_or(self.all.len());
        let again = written.len().min(self.all.len() - from);
        let news = self.next;
        if written[..again].iter().any(|heard| accepted[news..].iter().any(|it| it.is(heard))) {
            self.ambiguous += again as u64;
        }
        self.follow_new(accepted, &written[again..]);
        self.all.extend_from_slice(&written[again..]);
    }

    fn follow_new(&mut self, accepted: &[Entry], new: &[Heard]) {
        for heard in new {
            let place = accepted[self.next..].iter().position(|entry| entry.is(heard));
            let place = self.next
                + place.unwrap_or_else(|| {
                    panic!("{heard:?} was never accepted, or is here again: {accepted:?}")
                });
            if let (Entry::Presence { epoch, .. }, Heard::Presence(telling)) =
                (accepted[place], heard)
            {
                self.tellings.push((epoch, telling.clone()));
            }
            self.passed.extend(&accepted[self.next..place]);
            self.next = place + 1;
            self.unique += 1;
        }
    }

    /// Nothing that was promised is missing before the last that was heard, unless it is what was
    /// taken for another one like it.
    pub(crate) fn check_holes(&self, accepted: &[Entry]) {
        if self.ambiguous > 0 {
            return;
        }
        for passed in &self.passed {
            let may_be_gone = match passed {
                Entry::Frame(frame) => Heard::may_be_replaced(frame.number),
                Entry::Reply(_) | Entry::Presence { .. } => false,
            };
            assert!(
                may_be_gone,
                "{passed:?} is missing before entry {} of {accepted:?}",
                self.next
            );
        }
    }
}

impl Entry {
    fn is(&self, heard: &Heard) -> bool {
        match (self, heard) {
            (Self::Frame(accepted), Heard::Frame(frame)) => accepted == frame,
            (Self::Presence { room, .. }, Heard::Presence(telling)) => *room == telling.room,
            (Self::Reply(asked), Heard::Reply(said)) => asked == said,
            (
                Self::Frame(_) | Self::Reply(_) | Self::Presence { .. },
                Heard::Frame(_) | Heard::Reply(_) | Heard::Presence(_),
            ) => false,
        }
    }
}

/// How many of what it has accepted are not in its ledger.
pub(crate) fn unlisted(connection: &Connection) -> usize {
    let unlisted = connection.outbound_stats().accepted - life(connection).ledger.len();
    usize::try_from(unlisted).unwrap()
}
