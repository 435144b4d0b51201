//! What a second core brings a server: many small rooms, saturated by two publishers, with one worker
//! and then with two.

mod publisher;

use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use self::publisher::{Publisher, Share};
use super::{Effort, Field, Outcome, Scenario, column, headline};
use crate::affinity;
use crate::process::{self, Cores, Cpu};
use crate::report::{Better, Column, LIMIT_BATCHED, Unit};
use crate::subject::{Mode, Running, Subject};

/// Threads of the load generator, each with its share of the rooms.
const PUBLISHERS: usize = 2;
const WORKERS: usize = 2;

pub(super) fn scenario(rooms: usize, members: usize) -> Scenario {
    Scenario {
        name: format!("scaling-{rooms}x{members}"),
        title: format!("{rooms} rooms of {members}, two workers beside one"),
        what: format!(
            "As {rooms} rooms of {members}, saturated, but {PUBLISHERS} threads publish, each to half \
             of the rooms; first to a server with one core, then to one with {WORKERS}. The load has \
             the cores beside these, and where there are none a thread on each of them. Then only the \
             first column tells what a second core is good for: it takes nothing but the server's \
             processor time, {WORKERS} times that of a delivery with one worker ÷ that with {WORKERS}. \
             The limit runs as a process for each worker, each with its share of the rooms: what two \
             cores allow to servers that share nothing. Percentages are of one core."
        ),
        columns: columns(),
        field: Field::Scaling,
        run: Box::new(move |subject, effort| run(subject, effort, rooms, members)),
    }
}

fn columns() -> Vec<Column> {
    let mut columns = vec![
        headline("by_time", "2 workers ÷ 1, by server CPU", Unit::Ratio, Better::Higher),
        column("ratio", "by deliveries", Unit::Ratio, Better::Higher),
    ];
    for workers in 1..=WORKERS {
        let of = |key: &str, heading: &str, unit, better| {
            let s = if workers == 1 { "" } else { "s" };
            let heading = format!("{workers} worker{s}: {heading}");
            column(&format!("{key}_{workers}"), &heading, unit, better)
        };
        columns.extend([
            of("rate", "deliveries", Unit::PerSecond, Better::Higher),
            of("server_us", "server CPU per delivery", Unit::Micros, Better::Lower),
            of("server", "server CPU", Unit::Percent, Better::Neither),
            of("waited", "server had no core", Unit::Percent, Better::Lower),
            of("load", "load", Unit::Percent, Better::Neither),
            of("others", "other processes", Unit::Percent, Better::Lower),
            of("stolen", "steal", Unit::Percent, Better::Lower),
        ]);
    }
    columns
}

fn run(
    subject: &Subject,
    effort: &Effort,
    rooms: usize,
    members: usize,
) -> Result<Outcome, Box<dyn Error>> {
    let mut outcome = Outcome::default();
    let mut stretches = Vec::with_capacity(WORKERS);
    for workers in 1..=WORKERS {
        let stretch = measure(subject, effort, workers, (rooms, members))?;
        outcome = stretch.fill(outcome, workers);
        stretches.push(stretch);
    }
    let [one, two] = [&stretches[0], &stretches[1]];
    Ok(outcome
        .with("by_time", 2.0 * one.server_micros() / two.server_micros())
        .with("ratio", two.rate() / one.rate()))
}

fn measure(
    subject: &Subject,
    effort: &Effort,
    workers: usize,
    (rooms, members): (usize, usize),
) -> Result<Stretch, Box<dyn Error>> {
    // A bare loop has one thread: two cores are for two of it.
    let servers = if subject.name == LIMIT_BATCHED {
        (0..workers).map(|core| subject.start_on(&(core..core + 1), Mode::Room)).collect()
    } else {
        subject.start_on(&(0..workers), Mode::Room).map(|server| vec![server])
    };
    let servers: Vec<Running> = servers?;
    // The same for one worker as for two, or its distance from them would count as well.
    let load_cores = affinity::beside(WORKERS, affinity::cores());
    let all = servers.len() * PUBLISHERS;
    let share = |number: usize| Share {
        target: servers[number / PUBLISHERS].target(),
        core: load_cores.start + number % PUBLISHERS % load_cores.len(),
        rooms: number * rooms / all..(number + 1) * rooms / all,
        members,
    };
    let publishers: Vec<_> = (0..all).map(|number| Publisher::start(share(number))).collect();
    publishers.iter().try_for_each(Publisher::ready)?;
    publishers.iter().try_for_each(Publisher::begin)?;
    thread::sleep(effort.warm_up);
    let before = Reading::take(&servers, &publishers)?;
    thread::sleep(effort.measured);
    let stretch = Reading::take(&servers, &publishers)?.since(&before);
    publishers.into_iter().try_for_each(Publisher::stop)?;
    Ok(stretch)
}

/// What has come to pass so far.
struct Reading {
    at: Instant,
    deliveries: u64,
    server: Cpu,
    load: Cpu,
    cores: Cores,
}

impl Reading {
    fn take(servers: &[Running], publishers: &[Publisher]) -> io::Result<Self> {
        let servers = servers.iter().map(Running::cpu).collect::<io::Result<Vec<Cpu>>>()?;
        Ok(Self {
            at: Instant::now(),
            deliveries: publishers.iter().map(Publisher::deliveries).sum(),
            server: servers.into_iter().sum(),
            load: process::cpu(std::process::id())?,
            cores: process::cores()?,
        })
    }

    fn since(&self, earlier: &Self) -> Stretch {
        Stretch {
            elapsed: self.at - earlier.at,
            deliveries: self.deliveries - earlier.deliveries,
            server: self.server - earlier.server,
            load: self.load - earlier.load,
            cores: self.cores - earlier.cores,
        }
    }
}

/// What a stretch of time brought and cost.
struct Stretch {
    elapsed: Duration,
    deliveries: u64,
    server: Cpu,
    load: Cpu,
    cores: Cores,
}

impl Stretch {
    fn rate(&self) -> f64 {
        self.deliveries as f64 / self.elapsed.as_secs_f64()
    }

    fn server_micros(&self) -> f64 {
        self.server.total.as_secs_f64() * 1e6 / self.deliveries as f64
    }

    fn fill(&self, outcome: Outcome, workers: usize) -> Outcome {
        let percent = |part: Duration| 100.0 * part.as_secs_f64() / self.elapsed.as_secs_f64();
        let ours = self.server.total + self.load.total;
        [
            ("rate", self.rate()),
            ("server_us", self.server_micros()),
            ("server", percent(self.server.total)),
            ("waited", percent(self.server.waited)),
            ("load", percent(self.load.total)),
            ("others", percent(self.cores.busy.saturating_sub(ours))),
            ("stolen", percent(self.cores.stolen)),
        ]
        .into_iter()
        .fold(outcome, |outcome, (key, value)| outcome.with(&format!("{key}_{workers}"), value))
    }
}
