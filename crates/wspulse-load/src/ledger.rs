//! `Ledger`: which messages a client has had, so that a second copy is noticed.

use std::collections::HashMap;

use crate::mark::Mark;

/// How far behind the newest of a sender a message may come and still be told from a second copy.
const WINDOW: u32 = u128::BITS;

/// What one client has had from each sender.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    senders: HashMap<usize, Seen>,
}

/// The newest number of a sender, and which of those before it have come: bit 0 is the newest.
#[derive(Debug)]
struct Seen {
    newest: u64,
    before: u128,
}

/// What a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copy {
    /// The first of its message.
    First,
    /// The first, behind a newer message of the same sender.
    Late,
    /// Not the first.
    Duplicate,
}

impl Ledger {
    pub(crate) fn note(&mut self, mark: Mark) -> Copy {
        let Mark { sender, seq, due_micros: _ } = mark;
        let Some(seen) = self.senders.get_mut(&sender) else {
            self.senders.insert(sender, Seen { newest: seq, before: 1 });
            return Copy::First;
        };
        if seq > seen.newest {
            let ahead = u32::try_from(seq - seen.newest).unwrap_or(WINDOW);
            seen.before = seen.before.checked_shl(ahead).unwrap_or(0) | 1;
            seen.newest = seq;
            return Copy::First;
        }
        let behind = u32::try_from(seen.newest - seq).unwrap_or(WINDOW);
        let Some(bit) = 1_u128.checked_shl(behind) else {
            // Too old to be known: taken for one that was never seen, as servers repeat what is new.
            return Copy::Late;
        };
        let is_known = seen.before & bit != 0;
        seen.before |= bit;
        if is_known { Copy::Duplicate } else { Copy::Late }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(seqs: &[u64]) -> Vec<Copy> {
        let mut ledger = Ledger::default();
        seqs.iter().map(|&seq| ledger.note(Mark { sender: 1, seq, due_micros: 0 })).collect()
    }

    #[test]
    fn a_second_copy_is_a_duplicate() {
        assert_eq!(
            notes(&[0, 1, 1, 0]),
            [Copy::First, Copy::First, Copy::Duplicate, Copy::Duplicate]
        );
    }

    #[test]
    fn what_comes_behind_newer_ones_is_late_once() {
        assert_eq!(notes(&[0, 5, 3, 3]), [Copy::First, Copy::First, Copy::Late, Copy::Duplicate]);
    }

    #[test]
    fn a_gap_wider_than_the_window_forgets_what_was_before() {
        assert_eq!(
            notes(&[0, 1000, 0, 1000]),
            [Copy::First, Copy::First, Copy::Late, Copy::Duplicate]
        );
    }

    #[test]
    fn senders_are_told_apart() {
        let mut ledger = Ledger::default();
        let mut note = |sender| ledger.note(Mark { sender, seq: 0, due_micros: 0 });

        assert_eq!([note(1), note(2), note(1)], [Copy::First, Copy::First, Copy::Duplicate]);
    }
}
