//! Proves what is promised of delivery, over links that fail: `wspulse-jitter --help`.

mod cast;
mod clients;
mod ledger;
mod link;
mod nginx;
mod options;
mod report;
mod run;
mod scene;
mod schedule;
mod server;
mod subject;
mod verdict;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use options::RunOptions;
use server::ServerOptions;

#[derive(Debug, Parser)]
enum Process {
    /// The test, with all that it needs.
    Run(RunOptions),
    /// A server that is tested, which is told what to do over its standard streams.
    Server(ServerOptions),
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(LevelFilter::ERROR)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match Process::parse() {
        Process::Run(options) => runtime.block_on(run::run(&options)),
        Process::Server(options) => {
            runtime.block_on(server::run(options))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
