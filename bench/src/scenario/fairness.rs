//! How evenly a server treats those who ask the same of it, as one figure in all scenarios: how many
//! times better off the best served one is, or in a fan-out the middle one, than the worst served
//! one.

use super::column;
use crate::report::{Better, Column, FAIRNESS, Unit};

pub(super) const KEY: &str = FAIRNESS;

pub(super) fn fairness_column() -> Column {
    column(KEY, "fairness (1 × is even)", Unit::Ratio, Better::Lower)
}

/// How many turns each of some clients or rooms has had, where each has its next one as soon as the
/// server is through with the last: then only the server decides who has how many.
pub(super) struct Shares {
    turns: Vec<u64>,
}

impl Shares {
    pub(super) fn new(takers: usize) -> Self {
        Self { turns: vec![0; takers] }
    }

    #[inline]
    pub(super) fn add(&mut self, taker: usize) {
        self.turns[taker] += 1;
    }

    /// Counts from now on.
    pub(super) fn restart(&mut self) {
        self.turns.fill(0);
    }

    pub(super) fn poorest(&self) -> u64 {
        self.turns.iter().min().copied().unwrap_or(0)
    }

    pub(super) fn richest(&self) -> u64 {
        self.turns.iter().max().copied().unwrap_or(0)
    }

    /// The richest's turns divided by the poorest's. Who had none counts as having had one: an
    /// infinite ratio would be left out of the report, where it is needed most. Where nobody had
    /// any, there is nothing to tell, and the ratio is not a number.
    pub(super) fn fairness(&self) -> f64 {
        if self.richest() == 0 {
            return f64::NAN;
        }
        self.richest() as f64 / self.poorest().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(turns: &[u64]) -> Shares {
        Shares { turns: turns.to_vec() }
    }

    fn assert_is(fairness: f64, expected: f64) {
        assert!((fairness - expected).abs() < 1e-9, "{fairness} is not {expected}");
    }

    #[test]
    fn those_who_had_the_same_are_treated_evenly() {
        assert_is(shares(&[7, 7, 7]).fairness(), 1.0);
    }

    #[test]
    fn the_richest_is_held_against_the_poorest() {
        assert_is(shares(&[20, 30, 12]).fairness(), 2.5);
    }

    #[test]
    fn one_who_got_nothing_is_seen() {
        assert_is(shares(&[210, 0]).fairness(), 210.0);
    }

    #[test]
    fn where_nobody_got_anything_there_is_no_figure() {
        assert!(shares(&[0, 0]).fairness().is_nan());
        assert!(shares(&[]).fairness().is_nan());
    }

    #[test]
    fn what_came_before_a_restart_does_not_count() {
        let mut shares = Shares::new(2);
        shares.add(0);
        shares.restart();
        shares.add(1);
        shares.add(1);
        shares.add(0);

        assert_eq!((shares.poorest(), shares.richest()), (1, 2));
    }
}
