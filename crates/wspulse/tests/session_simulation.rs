//! Random lives of a whole server, each replayable by its seed.
//!
//! Each run draws a fresh seed; a failure prints the seed of its life. `WSPULSE_SEED` replays that
//! one alone; `WSPULSE_SEEDS` sets how many lives there are from the first seed on.

mod simulation;

use std::env;
use std::thread;

use simulation::world::World;
use tokio::runtime::Builder;

/// A few seconds without optimisation.
const SEEDS: u64 = 300;

#[test]
fn whatever_clients_and_application_do_the_server_keeps_its_promises() {
    let replayed = number_in_env("WSPULSE_SEED");
    let first = replayed.unwrap_or_else(rand::random);
    let seeds = number_in_env("WSPULSE_SEEDS");
    let seeds = seeds.unwrap_or(if replayed.is_some() { 1 } else { SEEDS });
    for seed in (0..seeds).map(|index| first.wrapping_add(index)) {
        let _reporter = SeedReporter(seed);
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(World::new(seed).run());
    }
}

fn number_in_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Tells how to replay a life if the thread panics in it.
struct SeedReporter(u64);

impl Drop for SeedReporter {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to replay: WSPULSE_SEED={}", self.0);
        }
    }
}
