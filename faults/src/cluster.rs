//! Servers of one cluster as processes, a NATS server, and members over sockets who count, some of them
//! with sessions: what is lost while any of them is killed, stands still, is cut off or is drained.

mod account;
mod cases;
mod cost;
mod crowd;
mod handled;
mod journey;
mod members;
mod meter;
mod node;
mod order;
mod stage;
mod verdict;

use std::io;

use clap::Parser;

pub use cost::{CostOptions, run as run_cost};
pub use crowd::run as run_crowd;
pub use node::{NodeOptions, run as run_node};

use crate::process;
use cases::CASES;
use verdict::{print_head, print_row};

/// Which cases, and how long.
#[derive(Debug, Clone, Parser)]
pub struct ClusterOptions {
    /// Less of each case, with fewer members, for CI.
    #[arg(long)]
    short: bool,
    /// All cases but that of a node that is cut off, which changes the network.
    #[arg(long)]
    without_partition: bool,
    /// Those cases only whose names begin so; without any, all.
    cases: Vec<String>,
}

/// Why it has failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A process could not be started, or something did not come about.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no such case.
    #[error("no case begins with {0:?}; there are: {1}")]
    Unknown(String, String),
    /// Cases have failed; each is a line.
    #[error("of {cases} cases failed:\n{failed}")]
    Failed {
        /// How many were run.
        cases: usize,
        /// Which failed, and why.
        failed: String,
    },
}

/// Runs them, one after the other, and prints a table.
///
/// # Errors
///
/// [`ClusterError`], also if a case fails.
///
/// # Panics
///
/// If a process ends that must not.
pub fn run(options: &ClusterOptions) -> Result<(), ClusterError> {
    process::require_descriptors(12_000);
    let is_wanted = |name: &str| {
        options.cases.is_empty() || options.cases.iter().any(|prefix| name.starts_with(prefix))
    };
    for prefix in &options.cases {
        if !CASES.iter().any(|case| case.name.starts_with(prefix)) {
            let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
            return Err(ClusterError::Unknown(prefix.clone(), names.join(", ")));
        }
    }
    print_head();
    let (mut cases, mut failed) = (0, Vec::new());
    for case in CASES.iter().filter(|case| is_wanted(case.name)) {
        if options.short && !case.is_short || options.without_partition && case.changes_the_network
        {
            continue;
        }
        cases += 1;
        let row = (case.run)(options.short)?;
        print_row(case.name, &row);
        failed.extend(row.failures.iter().map(|failure| format!("{}: {failure}", case.name)));
    }
    if failed.is_empty() {
        println!("passed: {cases} cases");
        return Ok(());
    }
    Err(ClusterError::Failed { cases, failed: failed.join("\n") })
}
