//! The program: flags and a file in, a report and an exit status out.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use wspulse_load::{Moment, Plan, Wishes, page, progress, report, run};

/// All that was required is missed, in part or in whole.
const MISSED: u8 = 1;
/// What was asked for cannot be done.
const WRONG: u8 = 2;
/// Nothing could be measured.
const FAILED: u8 = 3;

/// How often progress is told where lines are kept.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Load for a WebSocket server: will it hold?
///
/// Exit status: 0 if all that is required is met, 1 if it is not, 2 if what is asked for cannot be
/// done, 3 if nothing could be measured.
#[derive(Debug, Parser)]
#[command(version, name = "wspulse-load")]
struct Arguments {
    #[command(flatten)]
    wishes: Wishes,
    /// A TOML file; each option is a name in it, and what is a flag goes before it
    #[arg(long, short)]
    file: Option<PathBuf>,
    /// Where to write the report with its plots, as one HTML page
    #[arg(long)]
    html: Option<PathBuf>,
    /// Where to write the report for programs
    #[arg(long)]
    json: Option<PathBuf>,
    /// Tell no progress
    #[arg(long, short)]
    quiet: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments).await {
        Ok(code) => code,
        Err((code, error)) => {
            eprintln!("wspulse-load: {error}");
            ExitCode::from(code)
        }
    }
}

/// Fails with an exit status and what to say.
async fn execute(arguments: Arguments) -> Result<ExitCode, (u8, String)> {
    let wrong = |error: wspulse_load::PlanError| (WRONG, error.to_string());
    let wishes = match &arguments.file {
        Some(path) => arguments.wishes.or(Wishes::read(path).map_err(wrong)?),
        None => arguments.wishes,
    };
    let plan = Plan::try_from(wishes).map_err(wrong)?;
    let line: Box<dyn FnMut(&Moment) + Send> =
        match (arguments.quiet, std::io::stderr().is_terminal()) {
            (true, _) => Box::new(|_| {}),
            (false, true) => Box::new(|moment| eprint!("\r\x1b[K{}", progress(moment))),
            (false, false) => Box::new(now_and_then()),
        };
    let outcome = run(plan, stopped(), line).await;
    if !arguments.quiet && std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    let outcome = outcome.map_err(|error| (FAILED, error.to_string()))?;
    // If nobody reads it, the files and the exit status are wanted all the same.
    let _ = std::io::stdout().write_all(report(&outcome).as_bytes());
    if let Some(path) = &arguments.html {
        write(path, &page(&outcome))?;
    }
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&outcome);
        write(path, &json.map_err(|error| (FAILED, error.to_string()))?)?;
    }
    Ok(if outcome.is_met() { ExitCode::SUCCESS } else { ExitCode::from(MISSED) })
}

fn write(path: &Path, text: &str) -> Result<(), (u8, String)> {
    std::fs::write(path, text)
        .map_err(|error| (WRONG, format!("{}: cannot be written: {error}", path.display())))
}

/// A line of progress every few seconds, for logs.
fn now_and_then() -> impl FnMut(&Moment) + Send {
    let mut next_at = LINE_EVERY;
    move |moment| {
        if moment.at >= next_at {
            eprintln!("{}", progress(moment));
            next_at = moment.at + LINE_EVERY;
        }
    }
}

/// Returns at the first Ctrl-C. At the second the program ends at once.
async fn stopped() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Then nobody can stop it so, and it runs to its end.
        return std::future::pending().await;
    }
    eprintln!("\nstopping: the report follows; once more to end at once");
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}
