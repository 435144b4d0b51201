//! Whatever another server says, nothing panics, and no more is held than may be.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::hostile_peers::live;

const LIVES: u64 = 2_000;

#[test]
fn whatever_is_said_nothing_panics_and_no_more_is_held_than_may_be() {
    for seed in 0..LIVES {
        let life = std::panic::catch_unwind(|| live(&mut SmallRng::seed_from_u64(seed)));
        assert!(life.is_ok(), "the life of seed {seed} has failed");
    }
}
