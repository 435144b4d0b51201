//! A run: a server of each level, all at once, and the verdict.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::cast;
use crate::options::RunOptions;
use crate::report::{self, Run};
use crate::scene::Outcome;
use crate::verdict::Promise;

/// Plays all scenes, writes the report, and fails if a promise was broken.
///
/// # Errors
///
/// If a process does not do its part.
pub(crate) async fn run(options: &RunOptions) -> Result<ExitCode, Box<dyn Error>> {
    let missing = cast::missing(options);
    for what in &missing {
        eprintln!("MISSING: {what}");
    }
    if !missing.is_empty() && std::env::var_os("CI").is_some() {
        return Err("nothing may be missing here".into());
    }
    let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("{} run, --seed {seed}", options.name());
    let began_at = Instant::now();
    let mut dice = StdRng::seed_from_u64(seed);
    let played = cast::scenes(options)?.into_iter().map(|scene| scene.play(options, dice.random()));
    let outcomes = try_join_all(played).await.map_err(|error| error.to_string())?;
    let run = Run { options, missing, seed, took: began_at.elapsed(), outcomes };
    report::write(&run)?;
    print!("{}", report::summary(&run));
    println!("the report: {}", options.report.join("report.md").display());
    let broken: Vec<String> = run.outcomes.iter().flat_map(broken).collect();
    for promise in &broken {
        println!("BROKEN: {promise}");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was promised in a scene and not kept.
pub(crate) fn broken(outcome: &Outcome) -> Vec<String> {
    let mut broken: Vec<String> =
        outcome.faults.iter().map(|fault| format!("{}: {fault}", outcome.name)).collect();
    // No silence is as long as a session waits.
    let ended = outcome.sent.ended.iter().filter(|_| outcome.is_ours);
    broken.extend(ended.map(|end| format!("{}: a session ended early: {end}", outcome.name)));
    let lost: u64 = outcome.kinds.iter().map(|kind| kind.down.1.lost + kind.up.1.lost).sum();
    if outcome.is_lossy && lost == 0 {
        broken.push(format!("{}: nothing is lost, so nothing is shown", outcome.name));
    }
    for kind in &outcome.kinds {
        if kind.up.0 == Promise::ExactlyOnce && kind.ended > 0 {
            let (server, kind, ended) = (outcome.name, kind.name, kind.ended);
            broken.push(format!("{server}, {kind} clients: {ended} have ended for good"));
        }
        if outcome.is_ours && kind.sessions_lost > 0 {
            let (server, kind, lost) = (outcome.name, kind.name, kind.sessions_lost);
            broken.push(format!("{server}, {kind} clients: {lost} sessions were lost"));
        }
        for (way, (promise, account)) in [("down", &kind.down), ("up", &kind.up)] {
            for what in promise.check(account) {
                let (server, kind) = (outcome.name, kind.name);
                broken.push(format!("{server}, {kind} clients, {way}: {what}"));
            }
        }
    }
    broken
}
