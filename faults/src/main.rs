//! The processes of this package: `wspulse-faults --help` says which.

use std::error::Error;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;
use wspulse_faults::cluster::{self, ClusterOptions, CostOptions, NodeOptions};
use wspulse_faults::load::{self, LoadOptions};
use wspulse_faults::server::{self, ServerOptions};
use wspulse_faults::soak::{self, SoakOptions};

#[derive(Debug, Parser)]
enum Process {
    /// The server under attack, which is asked over its standard streams.
    Server(ServerOptions),
    /// Clients of all sorts, for a while.
    Load(LoadOptions),
    /// A server and its load, for a long while, with a verdict at the end.
    Soak(SoakOptions),
    /// A server of a cluster, which is told what to say over its standard streams.
    Node(NodeOptions),
    /// Servers of a cluster, a NATS server and members who count, while faults befall them.
    Cluster(ClusterOptions),
    /// Clients of a cluster that have sessions, which are told what to do over their standard streams.
    Crowd,
    /// What a cluster costs, beside a server alone.
    Cost(CostOptions),
}

fn main() -> Result<(), Box<dyn Error>> {
    // Attacks are logged at WARN, a line for each of a hundred thousand: only faults are wanted.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(LevelFilter::ERROR)
        .init();
    match Process::parse() {
        Process::Server(options) => runtime()?.block_on(server::run(options)),
        Process::Load(options) => runtime()?.block_on(load::run(options)),
        Process::Soak(options) => Ok(soak::run(&options)?),
        Process::Node(options) => runtime()?.block_on(cluster::run_node(options)),
        Process::Cluster(options) => Ok(cluster::run(&options)?),
        Process::Crowd => runtime()?.block_on(cluster::run_crowd()),
        Process::Cost(options) => Ok(cluster::run_cost(&options)?),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
