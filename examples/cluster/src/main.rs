//! Three servers as one, behind a balancer that sends clients to any of them; and a page that kills them.
//!
//! ```text
//! examples/cluster/run [127.0.0.1:3000]                   # all of it; another address, or a free port
//! example-cluster node a 127.0.0.1:3001 nats://127.0.0.1:4222   # one server
//! ```
//!
//! [`node`] is a server of a cluster, and what to copy. [`conductor`] is for the show: it starts NATS,
//! three nodes and `HAProxy`, does to them what the page asks for, and takes all of them with it.

mod conductor;
mod node;
mod process;
mod start;

use std::error::Error;

use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let logs = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN);
    logs.with_writer(std::io::stderr).init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node", name, address, nats] => node::run(name, address, nats).await,
        [] => conductor::run("127.0.0.1:0").await,
        [address] => conductor::run(address).await,
        _ => {
            Err("say `example-cluster [ADDRESS]`, or `example-cluster node NAME ADDRESS NATS`"
                .into())
        }
    }
}

#[cfg(test)]
mod tests;
