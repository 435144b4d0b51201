//! What is counted, and the way to who counts it.

pub(crate) mod departures;
pub(crate) mod meter;
pub mod metrics;
pub(crate) mod spans;
pub(crate) mod tally;
