//! What a run has measured, and how it is shown: as Markdown, as JSON, as plots.
//!
//! [`Report`] is filled by whoever measures. Everything else here reads it: medians and ratios in
//! `statistics`, the bars that wspulse is held to in `bars`, tables in `markdown`, SVG in `plots`.

mod bars;
mod markdown;
mod model;
mod plots;
#[cfg(test)]
mod sample;
mod statistics;

pub use bars::{Bar, Direction, Verdict};
pub(crate) use markdown::ELSEWHERE_PERCENT_MIN;
pub use model::{
    Better, Column, Elsewhere, Failure, Latency, Machine, Report, Sample, ScenarioResult, Skipped,
    Subject,
};
pub use plots::Plot;
pub use statistics::{Paired, Spread};
pub use wspulse_charts::{Unit, human};

/// The subject that all others are compared with.
pub const OURS: &str = "wspulse";
/// The same server as it was at another commit.
pub const BEFORE: &str = "wspulse-before";

/// The subject that is no server to compare with, but what the machine and the load allow to who
/// forwards each message at once.
pub const LIMIT: &str = "limit";
/// The same for who waits with what he has to say to a socket until its turn comes: the measure of
/// all others.
pub const LIMIT_BATCHED: &str = "limit-batched";

/// The key of the column that has the server's processor time for each operation.
pub const SERVER_CPU: &str = "server_us";
/// The key of the column that has the bytes of each delivery on the wire.
pub const WIRE_BYTES: &str = "wire_bytes";
/// What the scenarios are called that differ in the size of compressed messages: with their bytes behind.
pub const COMPRESSED: &str = "compressed-";
/// The key of the column that tells how evenly clients were served.
pub const FAIRNESS: &str = "fairness";
