//! In a process of its own, because it takes all cores.
//!
//! Random lives of a cluster without its servers: outboxes and inboxes, and between them a network
//! that loses, delays and doubles messages, is cut, and stands still. Whoever listens hears what each
//! server says to each group in that order, once, and of each hole how large it is.
//!
//! `WSPULSE_SEED=n` replays one life, `WSPULSE_SEEDS=n` sets how many there are.

mod alone;
mod ear;
mod ended;
mod handoff;
mod hostile;
mod hostile_peers;
mod life;
mod messages;
mod network;
mod patience;
mod requests;

use std::num::NonZero;
use std::thread;

use life::Life;

const SEEDS: u64 = 1_000;

#[test]
fn whoever_listens_hears_all_in_order_once_or_how_much_is_lost() {
    if let Some(seed) = number_from_env("WSPULSE_SEED") {
        println!("{:?}", run(seed));
        return;
    }
    let seeds = number_from_env("WSPULSE_SEEDS").unwrap_or(SEEDS);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let live = |first| {
        (first..seeds).step_by(threads).fold(Seen::default(), |seen, seed| seen.plus(run(seed)))
    };
    let mut seen = Seen::default();
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads as u64).map(|first| scope.spawn(move || live(first))).collect();
        for worker in workers {
            match worker.join() {
                Ok(counts) => seen = seen.plus(counts),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("{seen:?}");
    if seeds >= SEEDS {
        let Seen { heard, repaired, gaps, unknown, silent, gone } = seen;
        for (what, count) in [
            ("heard", heard),
            ("repaired", repaired),
            ("gaps", gaps),
            ("unknown gaps", unknown),
            ("silent nodes", silent),
            ("gone nodes", gone),
        ] {
            assert!(count > 0, "never: {what}");
        }
    }
}

/// What has happened.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    heard: u64,
    repaired: u64,
    gaps: u64,
    unknown: u64,
    silent: u64,
    gone: u64,
}

impl Seen {
    fn plus(self, other: Self) -> Self {
        Self {
            heard: self.heard + other.heard,
            repaired: self.repaired + other.repaired,
            gaps: self.gaps + other.gaps,
            unknown: self.unknown + other.unknown,
            silent: self.silent + other.silent,
            gone: self.gone + other.gone,
        }
    }
}

fn run(seed: u64) -> Seen {
    let _told = TellSeedOnPanic(seed);
    Life::new(seed).live()
}

struct TellSeedOnPanic(u64);

impl Drop for TellSeedOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("WSPULSE_SEED={} replays this life", self.0);
        }
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number of seeds or a seed"))
}
