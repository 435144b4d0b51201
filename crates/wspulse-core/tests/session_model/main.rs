//! In a process of its own, because it takes all cores, and counts for all threads what it saw.
//!
//! Random lives of one connection id through the session core, against a plain model of it.
//!
//! `WSPULSE_SEED=n` replays one sequence, `WSPULSE_SEEDS=n` sets how many there are.

mod actions;
mod arrival;
mod asking;
mod awaited;
mod client;
mod coverage;
mod driver;
mod env;
mod expectations;
mod expiry;
mod inbound;
mod journal;
mod kept;
mod leaving;
mod ledger;
mod link;
mod marks;
mod operation;
mod outbound;
mod promise;
mod socket;
mod world;

use std::num::NonZero;
use std::thread;

use coverage::Scene;
use env::Env;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use world::World;

const SEEDS: u64 = 10_000;

#[test]
fn every_life_of_a_connection_id_keeps_all_promises() {
    if let Some(seed) = number_from_env("WSPULSE_SEED") {
        run(seed);
        return;
    }
    let seeds = number_from_env("WSPULSE_SEEDS").unwrap_or(SEEDS);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for first in 0..threads as u64 {
            scope.spawn(move || (first..seeds).step_by(threads).for_each(run));
        }
    });
    if seeds >= SEEDS {
        let counts = Scene::counts();
        println!("{counts:?}");
        let missing: Vec<_> = counts.iter().filter(|(_, seen)| *seen == 0).collect();
        assert!(missing.is_empty(), "never: {missing:?}");
    }
}

fn run(seed: u64) {
    let _told = TellSeedOnPanic(seed);
    World::new(Env::new(SmallRng::seed_from_u64(seed))).live();
}

struct TellSeedOnPanic(u64);

impl Drop for TellSeedOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("WSPULSE_SEED={} replays this sequence", self.0);
        }
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number of seeds or a seed"))
}
