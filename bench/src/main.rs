//! Measures wspulse beside other servers, on one machine, in one run.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts, rates and times of a run are far from where these conversions lose anything"
)]

mod affinity;
mod bars;
mod broker;
mod load;
mod machine;
mod process;
pub mod report;
mod rounds;
mod scenario;
mod serve;
mod steering;
mod subject;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use scenario::Effort;
use serve::{CodecChoice, CompressionChoice, DeliveryChoice, MetricsChoice, Sending};
use steering::Steering;
use subject::Mode;

/// Measures wspulse beside other WebSocket servers and writes a report.
///
/// The peers are built by bench/peers/build; those that are not built are left out, and the report
/// says so. Every server runs as a process of its own, on the loopback interface; the load comes
/// from this program, on one thread.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// One round of short measurements of those servers that the bars are about, within 5 minutes,
    /// instead of five rounds within 40.
    #[arg(long)]
    quick: bool,
    /// How often each server is measured, the servers taking turns.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Only these scenarios; `fanout*` stands for all that start so. --list shows the names.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these servers; some take part only if they are named here.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    servers: Vec<String>,
    /// This program, built of another commit: its wspulse takes part as wspulse-before.
    #[arg(long, value_name = "PROGRAM")]
    before: Option<PathBuf>,
    /// Has the kernel do the clients' receive work on the load generator's core instead of the
    /// server's, which pays for it on a loopback. The run gets a network namespace of its own, so that
    /// nothing of the machine is changed; it takes root, unshare, ip and mount.
    #[arg(long)]
    receive_elsewhere: bool,
    /// How long each measurement takes, in seconds.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Lists scenarios and servers and measures nothing.
    #[arg(long)]
    list: bool,
    /// Where the report goes: report.md, report.json and plots.
    #[arg(long, value_name = "DIR", default_value = "target/bench-report")]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one of the servers that are parts of this program, as the harness does.
    #[command(subcommand)]
    Serve(Serve),
}

#[derive(Debug, Subcommand)]
enum Serve {
    /// wspulse.
    Wspulse {
        #[command(flatten)]
        listen: ListenArgs,
        /// How messages are understood.
        #[arg(long, default_value = "json")]
        codec: CodecChoice,
        /// Where it counts what it does.
        #[arg(long, default_value = "none")]
        metrics: MetricsChoice,
        /// What it promises of frames that were sent.
        #[arg(long, default_value = "at-most-once")]
        delivery: DeliveryChoice,
        /// Whether it compresses.
        #[arg(long, default_value = "none")]
        compression: CompressionChoice,
        /// How many streams a connection of HTTP/2 may have; none, and it does not speak it.
        #[arg(long, value_name = "N")]
        http2_streams: Option<u32>,
        /// The NATS server that joins it with others; none, and it is alone.
        #[arg(long)]
        broker: Option<String>,
    },
    /// A bare epoll loop.
    Limit {
        #[command(flatten)]
        listen: ListenArgs,
        /// When members get what is said.
        #[arg(long, default_value = "at-once")]
        sending: Sending,
    },
}

#[derive(Debug, Args)]
struct ListenArgs {
    /// What a message leads to.
    #[arg(long)]
    mode: Mode,
    /// Where to listen on 127.0.0.1; 0 is a free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Cli { command, run } = Cli::parse();
    match command {
        Some(Command::Serve(Serve::Wspulse {
            listen,
            codec,
            metrics,
            delivery,
            compression,
            http2_streams,
            broker,
        })) => {
            let mode = listen.mode;
            let choices = serve::Choices {
                mode,
                codec,
                metrics,
                delivery,
                compression,
                http2_streams,
                broker,
            };
            serve::serve_wspulse(&choices, listen.port)
        }
        Some(Command::Serve(Serve::Limit { listen, sending })) => {
            serve::serve_limit(listen.mode, sending, listen.port)
        }
        None => {
            let (mut effort, rounds) =
                if run.quick { (Effort::QUICK, 1) } else { (Effort::FULL, 5) };
            if let Some(seconds) = run.seconds {
                effort.measured = Duration::try_from_secs_f64(seconds)?;
            }
            let steering = if run.receive_elsewhere && !run.list {
                Some(Steering::begin().inspect_err(|error| eprintln!("*** {error}"))?)
            } else {
                None
            };
            let plan = rounds::Plan {
                effort,
                is_quick: run.quick,
                rounds: run.rounds.unwrap_or(rounds),
                only: run.only,
                servers: run.servers,
                before: run.before,
                steering,
            };
            if run.list { rounds::list(&plan) } else { rounds::run(&plan, &run.out) }
        }
    }
}
