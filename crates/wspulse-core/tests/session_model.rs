//! Random lives of one connection id through the session core, against a plain model of it.
//!
//! `WSPULSE_SEED=n` replays one sequence, `WSPULSE_SEEDS=n` sets how many there are.

#[path = "session_model/actions.rs"]
mod actions;
#[path = "session_model/arrival.rs"]
mod arrival;
#[path = "session_model/asking.rs"]
mod asking;
#[path = "session_model/client.rs"]
mod client;
#[path = "session_model/coverage.rs"]
mod coverage;
#[path = "session_model/driver.rs"]
mod driver;
#[path = "session_model/env.rs"]
mod env;
#[path = "session_model/expectations.rs"]
mod expectations;
#[path = "session_model/expiry.rs"]
mod expiry;
#[path = "session_model/inbound.rs"]
mod inbound;
#[path = "session_model/journal.rs"]
mod journal;
#[path = "session_model/kept.rs"]
mod kept;
#[path = "session_model/leaving.rs"]
mod leaving;
#[path = "session_model/ledger.rs"]
mod ledger;
#[path = "session_model/link.rs"]
mod link;
#[path = "session_model/operation.rs"]
mod operation;
#[path = "session_model/outbound.rs"]
mod outbound;
#[path = "session_model/promise.rs"]
mod promise;
#[path = "session_model/socket.rs"]
mod socket;
#[path = "session_model/world.rs"]
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
