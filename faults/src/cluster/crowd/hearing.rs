//! What one client has heard, over all its sessions.

use crate::cluster::account::Account;
use crate::cluster::verdict::Sum;

/// Of each node, in one room. A session that begins anew is exact from its first frame on: what came
/// between it and the one before may be lacking, for the client was told so.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    accounts: Vec<Account>,
    /// Whether a session has begun after another one.
    has_begun_anew: bool,
    /// What is past: earlier sessions, and what came before a loss of an unknown number.
    before: Sum,
}

/// A node, by its mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speaker {
    pub(super) mark: u32,
    /// How much it has said to the client's room; none, if it cannot be asked any more.
    pub(super) said: Option<u64>,
    /// Whether it was there to the end.
    pub(super) goes_on: bool,
}

impl Hearing {
    pub(super) fn hear(&mut self, origin: u32, number: u64) {
        self.account(origin).hear(number);
    }

    /// So many are told as lost; 0, if nobody knows how many.
    pub(super) fn lose(&mut self, origin: u32, frames: u64) {
        if frames > 0 {
            self.account(origin).lose(frames);
        } else {
            self.lose_unknown(origin);
        }
    }

    /// The same, of what its session lacked when it came to another node.
    pub(super) fn lose_on_the_way(&mut self, origin: u32, frames: u64) {
        if frames > 0 {
            self.account(origin).lose_some(frames);
        } else {
            self.lose_unknown(origin);
        }
    }

    fn lose_unknown(&mut self, origin: u32) {
        self.before.unknown += 1;
        let place = self.place(origin);
        let past = std::mem::replace(&mut self.accounts[place], Account::joining(origin));
        self.before.add(Some(&past), None);
    }

    /// It was told that its session begins anew.
    pub(super) fn begin_anew(&mut self) {
        for past in self.accounts.drain(..) {
            self.before.add(Some(&past), None);
        }
        self.has_begun_anew = true;
    }

    /// What it has heard of these nodes, and of what each has said to its room.
    pub(super) fn add_to(&self, sum: &mut Sum, speakers: impl Iterator<Item = Speaker>) {
        sum.merge(&self.before);
        for Speaker { mark, said, goes_on } in speakers {
            let account = self.accounts.iter().find(|account| account.origin == mark);
            let account = account.cloned().unwrap_or_else(|| self.opened(mark));
            // It may have ended before this session began.
            let has_nothing_to_hear = account.is_joining() && !goes_on;
            sum.add(Some(&account), said.filter(|_| !has_nothing_to_hear));
        }
    }

    fn opened(&self, origin: u32) -> Account {
        if self.has_begun_anew { Account::joining(origin) } else { Account::new(origin) }
    }

    fn account(&mut self, origin: u32) -> &mut Account {
        let place = self.place(origin);
        &mut self.accounts[place]
    }

    fn place(&mut self, origin: u32) -> usize {
        let known = self.accounts.iter().position(|account| account.origin == origin);
        known.unwrap_or_else(|| {
            self.accounts.push(self.opened(origin));
            self.accounts.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: u32 = 7;

    fn sum(hearing: &Hearing, said: u64) -> Sum {
        let mut sum = Sum::default();
        let speaker = Speaker { mark: NODE, said: Some(said), goes_on: true };
        hearing.add_to(&mut sum, [speaker].into_iter());
        sum
    }

    #[test]
    fn what_lies_between_two_sessions_is_told_and_what_lies_in_one_is_not() {
        let mut hearing = Hearing::default();
        for number in [1, 2, 4] {
            hearing.hear(NODE, number);
        }
        hearing.begin_anew();
        for number in [9, 10] {
            hearing.hear(NODE, number);
        }
        let sum = sum(&hearing, 11);
        assert_eq!((sum.heard, sum.lost, sum.twice, sum.told), (5, 2, 0, 0));
    }

    #[test]
    fn a_first_session_lacks_all_that_it_has_not_heard() {
        assert_eq!(sum(&Hearing::default(), 4).lost, 4);
    }

    #[test]
    fn a_later_session_that_hears_nothing_at_all_lacks_something() {
        let mut hearing = Hearing::default();
        hearing.hear(NODE, 1);
        hearing.begin_anew();
        assert_eq!(sum(&hearing, 9).lost, 1);
    }

    #[test]
    fn a_later_session_lacks_nothing_of_a_node_that_had_ended() {
        let mut hearing = Hearing::default();
        hearing.begin_anew();
        let mut sum = Sum::default();
        let ended = Speaker { mark: NODE, said: Some(9), goes_on: false };
        hearing.add_to(&mut sum, [ended].into_iter());
        assert_eq!(sum.lost, 0);
    }

    #[test]
    fn a_frame_of_one_session_that_comes_again_in_it_came_twice() {
        let mut hearing = Hearing::default();
        hearing.begin_anew();
        for number in [5, 5] {
            hearing.hear(NODE, number);
        }
        assert_eq!(sum(&hearing, 5).twice, 1);
    }

    #[test]
    fn after_a_loss_of_an_unknown_number_any_number_may_come() {
        let mut hearing = Hearing::default();
        hearing.hear(NODE, 1);
        hearing.lose(NODE, 0);
        hearing.hear(NODE, 6);
        let sum = sum(&hearing, 6);
        assert_eq!((sum.heard, sum.lost, sum.unknown), (2, 0, 1));
    }
}
