//! What one member has heard of each node.

/// What one member has heard of one node, in one room.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// The node's mark.
    pub(super) origin: u32,
    /// The number up to which all is heard, told as lost, or lacking.
    pub(super) last: u64,
    /// Frames that were heard.
    pub(super) heard: u64,
    /// That were told as lost, exactly.
    pub(super) told: u64,
    /// Losses of an unknown number.
    pub(super) unknown: u64,
    /// Frames that came again.
    pub(super) twice: u64,
    /// Frames that came behind later ones.
    pub(super) disordered: u64,
    /// Frames that came although they had been told as lost.
    pub(super) found: u64,
    /// Numbers that were passed over without a word.
    lacking: Vec<u64>,
    /// Numbers that were told as lost, from the first to the last.
    lost: Vec<(u64, u64)>,
    /// It begins in the middle: with whatever number comes first.
    is_joining: bool,
}

impl Account {
    pub(super) fn new(origin: u32) -> Self {
        Self { origin, ..Self::default() }
    }

    /// One that begins in the middle. What is lacking before the first number, nobody can tell.
    pub(super) fn joining(origin: u32) -> Self {
        Self { origin, is_joining: true, ..Self::default() }
    }

    pub(super) fn hear(&mut self, number: u64) {
        if std::mem::take(&mut self.is_joining) {
            self.last = number.saturating_sub(1);
        }
        if number > self.last {
            self.lacking.extend(self.last + 1..number);
            self.last = number;
            self.heard += 1;
        } else if let Some(place) = self.lacking.iter().position(|lacking| *lacking == number) {
            self.lacking.swap_remove(place);
            self.disordered += 1;
            self.heard += 1;
        } else if self.find_lost(number) {
            self.found += 1;
            self.heard += 1;
        } else {
            self.twice += 1;
        }
    }

    /// Whether it was told as lost; it is not any more.
    fn find_lost(&mut self, number: u64) -> bool {
        let place = self.lost.iter().position(|(first, last)| (*first..=*last).contains(&number));
        let Some(place) = place else { return false };
        let (first, last) = self.lost.swap_remove(place);
        let rest = [(first, number - 1), (number + 1, last)];
        self.lost.extend(rest.into_iter().filter(|(first, last)| first <= last));
        true
    }

    /// So many frames are told as lost; 0, if nobody knows how many.
    pub(super) fn lose(&mut self, frames: u64) {
        self.unknown += u64::from(frames == 0);
        self.told += frames;
        if !self.is_joining && frames > 0 {
            self.lost.push((self.last + 1, self.last + frames));
            self.last += frames;
        }
    }

    /// So many are told as lost, of those that were passed over, or of those that come next.
    pub(super) fn lose_some(&mut self, frames: u64) {
        let passed_over = self.lacking.len().min(usize::try_from(frames).unwrap_or(usize::MAX));
        self.lost.extend(self.lacking.drain(..passed_over).map(|number| (number, number)));
        self.told += passed_over as u64;
        let others = frames - passed_over as u64;
        if others > 0 {
            self.lose(others);
        }
    }

    /// Whether it begins in the middle, and nothing has come yet.
    pub(super) const fn is_joining(&self) -> bool {
        self.is_joining
    }

    /// How many were passed over without a word, of so many that were said.
    pub(super) fn lost(&self, said: u64) -> u64 {
        if self.is_joining {
            // It goes on being spoken to: at least one was to come.
            return u64::from(said > 0);
        }
        self.lacking.len() as u64 + said.saturating_sub(self.last)
    }

    /// More than was said: told as lost, or heard, although it never was.
    pub(super) fn invented(&self, said: u64) -> u64 {
        self.last.saturating_sub(said)
    }

    /// How many were passed over without a word, as far as later ones show.
    pub(super) fn holes(&self) -> u64 {
        self.lacking.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(numbers: &[u64]) -> Account {
        let mut account = Account::new(1);
        for number in numbers {
            account.hear(*number);
        }
        account
    }

    #[test]
    fn each_once_and_in_order_is_complete() {
        let account = heard(&[1, 2, 3]);
        assert_eq!(
            (account.heard, account.lost(3), account.twice, account.disordered),
            (3, 0, 0, 0)
        );
    }

    #[test]
    fn a_hole_and_a_lacking_end_are_lost() {
        assert_eq!(heard(&[1, 4]).lost(6), 4);
    }

    #[test]
    fn a_second_copy_is_told_from_one_that_is_late() {
        let account = heard(&[1, 3, 2, 2]);
        assert_eq!((account.disordered, account.twice, account.lost(3)), (1, 1, 0));
    }

    #[test]
    fn what_is_told_as_lost_is_not_lost_without_a_word() {
        let mut account = heard(&[1]);
        account.lose(4);
        account.hear(6);
        assert_eq!((account.lost(6), account.told, account.invented(6)), (0, 4, 0));
        account.lose(2);
        assert_eq!(account.invented(6), 2);
    }

    #[test]
    fn what_comes_although_it_was_told_as_lost_is_told_from_what_comes_twice() {
        let mut account = heard(&[1]);
        account.lose(3);
        account.hear(3);
        account.hear(3);
        account.hear(5);
        assert_eq!((account.found, account.twice, account.heard, account.lost(5)), (1, 1, 3, 0));
    }

    #[test]
    fn what_is_told_as_lost_behind_later_frames_is_what_was_passed_over() {
        let mut account = heard(&[1, 4]);
        account.lose_some(3);
        account.hear(6);
        assert_eq!((account.lost(6), account.told, account.twice), (0, 3, 0));
    }

    #[test]
    fn one_that_begins_in_the_middle_is_exact_from_there_on() {
        let mut account = Account::joining(1);
        assert_eq!(account.lost(9), 1, "nothing at all has come");
        for number in [5, 6, 8] {
            account.hear(number);
        }
        assert_eq!((account.heard, account.lost(9), account.twice), (3, 2, 0));
    }
}
