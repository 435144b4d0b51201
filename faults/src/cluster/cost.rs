//! What a cluster costs: processor time of the nodes for each delivery, and how much later what was said
//! elsewhere comes. All setups take turns in each round, and ratios are taken within a round.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use wspulse_nats_server::NatsServer;

use super::meter::{Latency, Phase};
use super::stage::{Plan, Stage};
use crate::process;

/// How long, and how often.
#[derive(Debug, Clone, Parser)]
pub struct CostOptions {
    /// How often all of them take their turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each is measured, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
}

/// So many nodes, with an engine or without.
#[derive(Debug, Clone, Copy)]
struct Setup {
    name: &'static str,
    nodes: usize,
    has_engine: bool,
}

/// The first is what all others are compared with.
const SETUPS: [Setup; 4] = [
    Setup { name: "1 node, no engine", nodes: 1, has_engine: false },
    Setup { name: "1 node, NATS", nodes: 1, has_engine: true },
    Setup { name: "2 nodes, NATS", nodes: 2, has_engine: true },
    Setup { name: "4 nodes, NATS", nodes: 4, has_engine: true },
];

/// Who is in how many rooms, and how much is said to them.
#[derive(Debug, Clone, Copy)]
struct Talk {
    name: &'static str,
    rooms: u32,
    members: u32,
    frames_per_second: u32,
}

/// The first two are about processor time, the last one about latency.
const TALKS: [Talk; 3] = [
    Talk { name: "1,000 rooms of 10", rooms: 1_000, members: 10, frames_per_second: 2_500 },
    Talk { name: "4 rooms of 1,000", rooms: 4, members: 1_000, frames_per_second: 25 },
    Talk { name: "100 rooms of 10", rooms: 100, members: 10, frames_per_second: 1_000 },
];

/// What one turn has come to.
#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Of all nodes together, for each delivery, in microseconds.
    nodes_us: f64,
    /// Of NATS.
    nats_us: f64,
    deliveries_per_second: f64,
    here: Latency,
    elsewhere: Latency,
}

/// By what was said, and to how many nodes.
type Turns = BTreeMap<(usize, usize), Vec<Turn>>;

/// Measures, and prints two tables.
///
/// # Errors
///
/// If a process could not be started, or something did not come about.
///
/// # Panics
///
/// If a process ends that must not.
pub fn run(options: &CostOptions) -> io::Result<()> {
    process::require_descriptors(12_000);
    let mut turns = Turns::new();
    for round in 0..options.rounds {
        for (place, talk) in TALKS.iter().enumerate() {
            // Whoever is first in a round is another one each time.
            for step in 0..SETUPS.len() {
                let setup = (round + step) % SETUPS.len();
                let turn = measure(SETUPS[setup], *talk, Duration::from_secs(options.seconds))?;
                eprintln!("{}: {}: {turn:.1?}", talk.name, SETUPS[setup].name);
                turns.entry((place, setup)).or_default().push(turn);
            }
        }
    }
    print(&turns);
    Ok(())
}

fn measure(setup: Setup, talk: Talk, time: Duration) -> io::Result<Turn> {
    let Talk { rooms, members, frames_per_second, .. } = talk;
    let nodes = setup.nodes;
    let plan = Plan { nodes, rooms, members, frames_per_second, pad_bytes: 100, log_replicas: 0 };
    let nats = if setup.has_engine { vec![NatsServer::start()] } else { Vec::new() };
    let mut stage = Stage::set(plan, nats, |_, nats| nats.iter().map(NatsServer::url).collect())?;
    stage.talk();
    // What begins is not what goes on.
    thread::sleep(Duration::from_secs(1));
    stage.enter(Phase::Fault);
    let before = spent(&stage)?;
    let begun_at = Instant::now();
    thread::sleep(time);
    let after = spent(&stage)?;
    let took = begun_at.elapsed();
    let (here, elsewhere) =
        (stage.ears.meter.here(Phase::Fault), stage.ears.meter.elsewhere(Phase::Fault));
    stage.hush();
    let sum = stage.settle();
    if sum.lost + sum.told + sum.twice + sum.disordered > 0 || after.heard == before.heard {
        return Err(io::Error::other(format!("not all was heard once, in its order: {sum:?}")));
    }
    let heard = u32::try_from(after.heard - before.heard).map_err(io::Error::other)?;
    let each = |spent: Duration| spent.as_secs_f64() * 1e6 / f64::from(heard);
    Ok(Turn {
        nodes_us: each(after.nodes.saturating_sub(before.nodes)),
        nats_us: each(after.nats.saturating_sub(before.nats)),
        deliveries_per_second: f64::from(heard) / took.as_secs_f64(),
        here,
        elsewhere,
    })
}

/// Up to now.
#[derive(Debug, Clone, Copy)]
struct Spent {
    nodes: Duration,
    nats: Duration,
    heard: u64,
}

fn spent(stage: &Stage) -> io::Result<Spent> {
    let sum = |pids: Vec<u32>| pids.into_iter().map(process::processor).sum::<io::Result<_>>();
    Ok(Spent {
        nodes: sum(stage.nodes.iter().map(super::stage::Node::pid).collect())?,
        nats: sum(stage.nats.iter().map(NatsServer::pid).collect())?,
        heard: stage.ears.deliveries.load(std::sync::atomic::Ordering::Relaxed),
    })
}

fn print(turns: &Turns) {
    println!(
        "| said to | by | deliveries/s | µs of the nodes for each | × one without | least, most \
         | µs of NATS | here p50, p99 ms | from elsewhere p50, p99 ms |\n|{}",
        "---|".repeat(9)
    );
    for ((talk, setup), some) in turns {
        let alone = &turns[&(*talk, 0)];
        let ratios = || some.iter().zip(alone).map(|(turn, alone)| turn.nodes_us / alone.nodes_us);
        let of = |value: fn(&Turn) -> f64| median(some.iter().map(value).collect());
        let elsewhere = if SETUPS[*setup].nodes == 1 {
            "—".to_owned()
        } else {
            format!("{:.2}, {:.2}", of(|it| it.elsewhere.p50_ms), of(|it| it.elsewhere.p99_ms))
        };
        println!(
            "| {} | {} | {:.0} | {:.2} | {:.2} | {:.2}, {:.2} | {:.2} | {:.2}, {:.2} | {elsewhere} |",
            TALKS[*talk].name,
            SETUPS[*setup].name,
            of(|it| it.deliveries_per_second),
            of(|it| it.nodes_us),
            median(ratios().collect()),
            ratios().fold(f64::INFINITY, f64::min),
            ratios().fold(0.0, f64::max),
            of(|it| it.nats_us),
            of(|it| it.here.p50_ms),
            of(|it| it.here.p99_ms),
        );
    }
}

/// The middle one; of two in the middle, the lower.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
