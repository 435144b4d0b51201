//! What is done to a link, drawn from a seed.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::ledger::Cause;

/// The life of one link.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Each byte comes so much later, both ways.
    pub(crate) delay: Duration,
    /// How many bytes come through in a second, each way.
    pub(crate) bytes_per_second: Option<u32>,
    /// So many bytes at once at the most, so that a cut falls anywhere.
    pub(crate) chunk_bytes: usize,
    /// One way stands still for a while.
    pub(crate) stall: Option<Stall>,
    /// When the link ends, from its beginning.
    pub(crate) ends_after: Duration,
    pub(crate) end: End,
}

/// The way of a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Down,
    Up,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Stall {
    pub(crate) way: Way,
    pub(crate) after: Duration,
    pub(crate) lasts: Duration,
}

/// How a link ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Fin,
    Reset,
    /// What goes in is never seen again. The client hears of the end after so long, the server
    /// never.
    Silence(Duration),
}

impl End {
    pub(crate) const fn cause(self) -> Cause {
        match self {
            Self::Fin => Cause::Fin,
            Self::Reset => Cause::Reset,
            Self::Silence(_) => Cause::Silence,
        }
    }
}

/// How hard links are treated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Severity {
    pub(crate) life: (Duration, Duration),
    pub(crate) silence: (Duration, Duration),
    pub(crate) stall: (Duration, Duration),
}

impl Severity {
    /// Draws the life of a link.
    pub(crate) fn draw(&self, dice: &mut StdRng) -> Plan {
        let ends_after = between(dice, self.life);
        let is_delayed = dice.random_bool(0.5);
        let delay = Duration::from_millis(dice.random_range(5..150));
        let is_narrow = dice.random_bool(0.2);
        let bytes_per_second = dice.random_range(6_000..64_000);
        let chunk_bytes = dice.random_range(1..2_048);
        let is_stalled = dice.random_bool(0.3);
        let way = if dice.random_bool(0.5) { Way::Down } else { Way::Up };
        let stall = Stall {
            way,
            after: ends_after.mul_f64(dice.random_range(0.1..0.9)),
            lasts: skewed(dice, self.stall),
        };
        let silence = skewed(dice, self.silence);
        let end = match dice.random_range(0..10) {
            0..3 => End::Fin,
            3..6 => End::Reset,
            _ => End::Silence(silence),
        };
        Plan {
            delay: if is_delayed { delay } else { Duration::ZERO },
            bytes_per_second: is_narrow.then_some(bytes_per_second),
            chunk_bytes,
            stall: is_stalled.then_some(stall),
            ends_after,
            end,
        }
    }
}

/// A time between two.
pub(crate) fn between(dice: &mut StdRng, (low, high): (Duration, Duration)) -> Duration {
    low + high.saturating_sub(low).mul_f64(dice.random_range(0.0..1.0))
}

/// Short ones are as frequent as long ones, by orders of magnitude.
fn skewed(dice: &mut StdRng, (low, high): (Duration, Duration)) -> Duration {
    let ratio = high.as_secs_f64() / low.as_secs_f64();
    low.mul_f64(ratio.powf(dice.random_range(0.0..1.0)))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_seed_draws_the_same_lives() {
        let severity = Severity {
            life: (Duration::from_secs(1), Duration::from_secs(9)),
            silence: (Duration::from_millis(300), Duration::from_secs(40)),
            stall: (Duration::from_millis(300), Duration::from_secs(8)),
        };
        let draw = |seed| {
            let mut dice = StdRng::seed_from_u64(seed);
            (0..100).map(|_| format!("{:?}", severity.draw(&mut dice))).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
