#![doc = include_str!("../README.md")]

mod histogram;
mod ledger;
mod limits;
mod mark;
mod outcome;
mod pacer;
mod page;
mod plan;
mod plots;
mod require;
mod road;
mod run;
mod seat;
mod span;
mod summary;
mod tally;
mod template;
mod text;
mod timeline;
mod trust;
mod whole;
mod wishes;

pub use limits::DescriptorsError;
pub use outcome::{Ending, Measured, Outcome, Setting};
pub use page::page;
pub use plan::{FanOut, Plan, PlanError, Protocol};
pub use require::{RequireError, Verdict};
pub use run::{RunError, run};
pub use span::{Span, SpanError};
pub use text::{progress, report};
pub use timeline::Moment;
pub use trust::TrustError;
pub use wishes::Wishes;
