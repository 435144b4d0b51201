//! The server under attack: `faults-server --help` says what can be set.

use std::error::Error;

use clap::Parser;
use wspulse_faults::server::{ServerOptions, run};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LOUDEST).init();
    run(ServerOptions::parse()).await
}

/// Attacks are logged at WARN, a line for each of a hundred thousand: only faults are of interest.
const LOUDEST: tracing_subscriber::filter::LevelFilter =
    tracing_subscriber::filter::LevelFilter::ERROR;
