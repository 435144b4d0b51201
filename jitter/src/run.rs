//! A run: a server of each level, all at once, and the verdict.

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::process::Command;

use crate::clients::Kind;
use crate::clients::plain::Plain;
use crate::clients::protocol::Protocol;
use crate::nginx::Nginx;
use crate::options::{DIRECT_EVERY, RunOptions, TICKS_PER_SECOND};
use crate::report::{self, Run};
use crate::scene::{Outcome, Scene};
use crate::server::Level;

/// Plays all scenes, writes the report, and fails if a promise was broken.
///
/// # Errors
///
/// If a process does not do its part.
pub(crate) async fn run(options: &RunOptions) -> Result<ExitCode, Box<dyn Error>> {
    if !Nginx::is_here() {
        let notice = "NGINX IS MISSING: no client is behind it in this run";
        if std::env::var_os("CI").is_some() {
            return Err(notice.into());
        }
        eprintln!("{notice}");
    }
    let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("{} run, --seed {seed}", options.name());
    let began_at = Instant::now();
    let mut dice = StdRng::seed_from_u64(seed);
    let played = scenes(options)?.into_iter().map(|scene| scene.play(options, dice.random()));
    let outcomes = try_join_all(played).await.map_err(|error| error.to_string())?;
    let run = Run { options, seed, took: began_at.elapsed(), outcomes };
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
        if kind.sessions_lost > 0 {
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

fn scenes(options: &RunOptions) -> Result<Vec<Scene>, Box<dyn Error>> {
    let levels = [Level::AtMostOnce, Level::AtLeastOnce, Level::ExactlyOnce];
    levels.into_iter().map(|level| ours(level, options)).collect()
}

fn ours(level: Level, options: &RunOptions) -> Result<Scene, Box<dyn Error>> {
    let kinds: Vec<Box<dyn Kind>> = vec![Box::new(Plain), Box::new(Protocol)];
    let name = match level {
        Level::AtMostOnce => "AtMostOnce",
        Level::AtLeastOnce => "AtLeastOnce",
        Level::ExactlyOnce => "ExactlyOnce",
    };
    let value = level.to_possible_value().ok_or("a level has a name")?;
    let mut server = Command::new(std::env::current_exe()?);
    server.args(["server", "--level", value.get_name()]);
    server.args(["--clients", &(kinds.len() * options.clients()).to_string()]);
    server.args(["--ticks-per-second", &TICKS_PER_SECOND.to_string()]);
    server.args(["--direct-every", &DIRECT_EVERY.to_string()]);
    Ok(Scene { name, level: Some(level), server, kinds })
}
