//! The virtual clock and the dice.

use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

pub(crate) struct Env {
    pub(crate) now: Instant,
    /// Whether time has jumped from deadline to deadline, so that each is served when it is due.
    pub(crate) punctual: bool,
    dice: Box<dyn Rng>,
}

impl Env {
    pub(crate) fn new(dice: impl Rng + 'static) -> Self {
        Self { now: Instant::now(), punctual: true, dice: Box::new(dice) }
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.dice.random_range(0..100) < percent
    }

    /// A number from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: usize) -> usize {
        self.dice.random_range(0..=max)
    }

    pub(crate) fn millis(&mut self, min: u64, max: u64) -> Duration {
        Duration::from_millis(self.dice.random_range(min..=max))
    }

    pub(crate) fn nonce(&mut self) -> u64 {
        self.dice.random()
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.up_to(choices.len() - 1)]
    }
}
