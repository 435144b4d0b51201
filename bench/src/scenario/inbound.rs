//! Inbound: many clients send, the server counts.

use std::error::Error;
use std::time::{Duration, Instant};

use super::fairness::{self, Shares, fairness_column};
use super::stage::{STEP_WITHIN, Stage, payload};
use super::{Effort, Field, Outcome, Scenario, column, cost_columns};
use crate::load::LoadError;
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

const CLIENTS: usize = 100;

/// How many bursts of a flooding client are under way: enough for the server always to have one to
/// go on with, and little enough for the sockets, so that none waits where the server has no say.
const BURSTS: usize = 4;

/// Messages at a fixed pace that no server here is too slow for, so that each of them does the same
/// work in the same time and only what it costs differs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    name: &'static str,
    message_bytes: usize,
    per_write: usize,
    writes_per_second: u32,
}

impl Load {
    pub(super) const ALL: [Self; 3] = [
        Self { name: "64-batched", message_bytes: 64, per_write: 64, writes_per_second: 20_000 },
        Self { name: "64-single", message_bytes: 64, per_write: 1, writes_per_second: 20_000 },
        Self { name: "16k", message_bytes: 16 * 1024, per_write: 1, writes_per_second: 10_000 },
    ];
}

pub(super) fn scenario(load: Load) -> Scenario {
    let Load { name, message_bytes, per_write, writes_per_second } = load;
    let mut columns = cost_columns("message");
    columns[0].headline = true;
    columns.push(column("rate", "messages", Unit::PerSecond, Better::Neither));
    columns.push(fairness_column());
    Scenario {
        name: format!("inbound-{name}"),
        title: format!("Inbound, {message_bytes} B, {per_write} per write"),
        what: format!(
            "{CLIENTS} clients send messages of {message_bytes} bytes, {per_write} in a write, \
             {writes_per_second} writes a second in all; the server counts them, and the count is \
             checked. wspulse-raw hands raw messages to a codec that only counts, as the peers do; \
             wspulse decodes JSON frames. Then the clients flood the server, each with {BURSTS} \
             writes under way; fairness is the messages handled of the richest client ÷ those of \
             the poorest."
        ),
        columns,
        field: Field::Inbound,
        run: Box::new(move |subject, effort| run(subject, effort, load)),
    }
}

fn run(subject: &Subject, effort: &Effort, load: Load) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::with_rooms(subject, Mode::Count, CLIENTS, 1)?;
    let message = payload(0, load.message_bytes);
    let writes: Vec<_> =
        (0..CLIENTS).map(|client| stage.fleet.prepared(client, &message, load.per_write)).collect();
    let mut sent = pace(&mut stage, &writes, load, effort.warm_up)?;
    let watch = stage.stopwatch()?;
    let measured = pace(&mut stage, &writes, load, effort.measured)?;
    // What is under way is counted before the watch is stopped, else a slow server would win.
    sent += measured;
    let counted = count(&mut stage)?;
    let costs = watch.stop(&stage)?;
    let expected = sent * load.per_write as u64;
    if counted != expected {
        return Err(format!("{counted} messages counted of {expected}").into());
    }
    let messages = measured * load.per_write as u64;
    let rate = costs.per_second(messages);
    let handled = flood(&mut stage, writes, load, effort)?;
    let outcome = Outcome::default().with("rate", rate).with(fairness::KEY, handled.fairness());
    Ok(costs.fill(outcome, messages))
}

/// Writes at the load's pace for so long, the clients one after the other.
fn pace(
    stage: &mut Stage,
    writes: &[Vec<u8>],
    load: Load,
    duration: Duration,
) -> Result<u64, LoadError> {
    let started = Instant::now();
    let mut written = 0_u64;
    loop {
        let elapsed = started.elapsed();
        if elapsed >= duration {
            return Ok(written);
        }
        let due = (elapsed.as_secs_f64() * f64::from(load.writes_per_second)) as u64;
        while written < due {
            let client = (written % CLIENTS as u64) as usize;
            stage.fleet.write(client, &writes[client])?;
            written += 1;
        }
        stage.fleet.turn(Duration::ZERO, &mut |_, _| {})?;
    }
}

/// Writes as fast as the server handles it, and tells how many writes of each client that was. At a
/// fixed pace all clients' messages are handled in the end, and a fair server looks like any other.
fn flood(
    stage: &mut Stage,
    writes: Vec<Vec<u8>>,
    load: Load,
    effort: &Effort,
) -> Result<Shares, Box<dyn Error>> {
    // Each burst asks for its count, whose coming says that the burst has been handled.
    let bursts = writes.into_iter().enumerate().map(|(client, mut burst)| {
        burst.extend(stage.fleet.prepared(client, b"?", 1));
        burst
    });
    let bursts: Vec<_> = bursts.collect();
    for _ in 0..BURSTS {
        for (client, burst) in bursts.iter().enumerate() {
            stage.fleet.write(client, burst)?;
        }
    }
    let started = Instant::now();
    let mut is_warm = false;
    let mut handled = Shares::new(CLIENTS);
    let mut answers = Vec::new();
    while started.elapsed() < effort.warm_up + effort.measured {
        if !is_warm && started.elapsed() >= effort.warm_up {
            handled.restart();
            is_warm = true;
        }
        stage
            .fleet
            .turn(Duration::ZERO, &mut |client, got| answers.push((client, counted(got))))?;
        for (client, counted) in answers.drain(..) {
            if counted != load.per_write as u64 {
                return Err(format!("{counted} messages counted of {}", load.per_write).into());
            }
            handled.add(client);
            stage.fleet.write(client, &bursts[client])?;
        }
    }
    Ok(handled)
}

fn count(stage: &mut Stage) -> Result<u64, Box<dyn Error>> {
    for client in 0..CLIENTS {
        stage.fleet.send(client, b"?")?;
    }
    let deadline = Instant::now() + STEP_WITHIN;
    let (mut answers, mut total) = (0, 0);
    while answers < CLIENTS {
        if Instant::now() > deadline {
            let what = format!("{CLIENTS} counts ({answers} came)");
            return Err(LoadError::Late { what, within: STEP_WITHIN }.into());
        }
        stage.fleet.turn(Duration::from_millis(100), &mut |_, got| {
            answers += 1;
            total += counted(got);
        })?;
    }
    Ok(total)
}

/// What a server says that it has counted.
fn counted(answer: &[u8]) -> u64 {
    let count = std::str::from_utf8(answer).ok().and_then(|text| text.parse().ok());
    count.unwrap_or(0)
}
