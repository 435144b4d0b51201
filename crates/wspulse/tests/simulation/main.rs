//! In a process of its own, for its panic hook, and because it takes all cores.
//!
//! Random lives of a whole server, each replayable by its seed.
//!
//! Each run draws a fresh seed; a failure prints the seed of its life. `WSPULSE_SEED` replays that
//! one alone, with `WSPULSE_TRACE` set to anything telling all that happens in it; `WSPULSE_SEEDS`
//! sets how many lives there are from the first seed on.

mod app;
mod checks;
mod client;
mod crowd;
mod deadlines;
mod dialer;
mod drains;
mod exchange;
mod heard;
mod here;
mod histories;
mod hooks;
mod journal;
mod ledger;
mod link;
mod mischief;
mod moods;
mod people;
mod plan;
mod rooms;
mod trace;
mod truth;
mod world;

use std::env;
use std::num::NonZero;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use app::PANIC;
use tokio::runtime::Builder;
use tokio::time::timeout;
use trace::{Event, Trace, digest};
use world::World;

/// A few seconds without optimisation, on two cores.
const SEEDS: u64 = 300;

/// After how many lives progress is told.
const PROGRESS: u64 = 10_000;

/// No life lasts so long: one that does waits for something that never comes.
const LIFE_MAX: Duration = Duration::from_hours(6);

#[test]
fn whatever_clients_and_application_do_the_server_keeps_its_promises() {
    if let Some(seed) = number_in_env("WSPULSE_SEED") {
        let trace = live(seed);
        println!("seed {seed}: {} events, digest {:016x}", trace.len(), digest(&trace));
        return;
    }
    let first: u64 = rand::random();
    let seeds = number_in_env("WSPULSE_SEEDS").unwrap_or(SEEDS);
    let (next, has_failed) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while !has_failed.load(Ordering::Relaxed) {
                    let life = next.fetch_add(1, Ordering::Relaxed);
                    if life >= seeds {
                        return;
                    }
                    let _told = TellFailure(&has_failed);
                    live(first.wrapping_add(life));
                    if (life + 1).is_multiple_of(PROGRESS) {
                        eprintln!("{} of {seeds} lives", life + 1);
                    }
                }
            });
        }
    });
}

#[test]
fn a_seed_replays_exactly() {
    let first: u64 = rand::random();
    for seed in (0..10).map(|index| first.wrapping_add(index)) {
        let _reporter = SeedReporter::new(seed);
        let (once, again) = (live(seed), live(seed));
        let differs = once.iter().zip(&again).position(|(once, again)| once != again);
        if let Some(place) = differs {
            panic!("event {place} was {:?} and is {:?}", once[place], again[place]);
        }
        assert_eq!(once.len(), again.len());
        assert!(once.len() > 50, "nothing has happened: {once:?}");
    }
}

/// Lives one life and returns its trace.
fn live(seed: u64) -> Vec<Event> {
    silence_meant_panics();
    let mut reporter = SeedReporter::new(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let trace = runtime.block_on(async {
        let world = World::new(seed);
        reporter.trace = Some(world.trace());
        timeout(LIFE_MAX, world.run()).await.expect("a life that never ends")
    });
    if env::var_os("WSPULSE_TRACE").is_some() {
        for event in &trace {
            println!("{event:?}");
        }
    }
    trace
}

fn number_in_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

/// Callbacks of the simulation panic on purpose, which nobody wants to read about.
fn silence_meant_panics() {
    static SILENCED: Once = Once::new();
    SILENCED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(PANIC) {
                previous(info);
            }
        }));
    });
}

/// Tells how to replay a life if the thread panics in it.
struct SeedReporter {
    seed: u64,
    trace: Option<Arc<Trace>>,
}

impl SeedReporter {
    const fn new(seed: u64) -> Self {
        Self { seed, trace: None }
    }
}

impl Drop for SeedReporter {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        if env::var_os("WSPULSE_TRACE").is_some()
            && let Some(trace) = &self.trace
        {
            for event in trace.take() {
                eprintln!("{event:?}");
            }
        }
        eprintln!("to replay: WSPULSE_SEED={}", self.seed);
    }
}

/// Lets the other threads stop too.
struct TellFailure<'a>(&'a AtomicBool);

impl Drop for TellFailure<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
