//! The report of a run: tables in Markdown, and pictures.

mod chart;
mod table;

use std::fs;
use std::io;
use std::time::Duration;

use crate::options::RunOptions;
use crate::scene::Outcome;

pub(crate) use table::summary;

/// All that is reported.
pub(crate) struct Run<'a> {
    pub(crate) options: &'a RunOptions,
    /// What this machine does not have, so that it is not shown.
    pub(crate) missing: Vec<String>,
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Writes it where the options say.
///
/// # Errors
///
/// Those of writing files.
pub(crate) fn write(run: &Run<'_>) -> io::Result<()> {
    let dir = &run.options.report;
    fs::create_dir_all(dir)?;
    fs::write(dir.join("report.md"), table::report(run))?;
    fs::write(dir.join("memory.svg"), chart::memory(&run.outcomes))?;
    fs::write(dir.join("catch-up.svg"), chart::catch_up(&run.outcomes))
}

/// The value below which so many per cent of them are.
fn percentile(micros: &[u64], per_cent: usize) -> Option<Duration> {
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * per_cent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map(|micros| Duration::from_micros(*micros))
}
