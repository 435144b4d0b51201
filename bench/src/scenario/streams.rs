//! WebSockets that are streams of HTTP/2 connections, beside those that have a connection each.

use std::error::Error;
use std::time::Instant;

use super::flight::Flight;
use super::memory::{FIRST, REST};
use super::stage::{STEP_WITHIN, Stage, Stopwatch, identity, payload};
use super::{Effort, Field, Outcome, Scenario, column, cost_columns, headline};
use crate::load::{Clients, LoadError, TOGETHER, run_clients};
use crate::report::{Better, SERVER_CPU, Unit};
use crate::subject::{Mode, Subject};

const CLIENTS: usize = 1000;
const MESSAGE_BYTES: usize = 100;
/// Messages of the room that are under way.
const WINDOW: usize = 16;

/// What connections cost, idle and in one room.
pub(super) fn in_a_room() -> Scenario {
    let mut columns = columns("delivery");
    columns.push(column("connect_us", "server CPU per connect", Unit::Micros, Better::Lower));
    columns.push(column("idle_kib", "resident each, idle", Unit::Kib, Better::Lower));
    Scenario {
        name: format!("streams-room-{CLIENTS}"),
        title: format!("{CLIENTS} members of a room, {TOGETHER} in one connection of HTTP/2"),
        what: format!(
            "One of {CLIENTS} members publishes messages of {MESSAGE_BYTES} bytes to all of them, {WINDOW} under \
             way. With HTTP/2, {TOGETHER} members have one connection together; without it, each \
             has its own. The clients are alike but for that."
        ),
        columns,
        field: Field::Streams,
        run: Box::new(|subject, effort| run_clients(in_room(subject, effort))?),
    }
}

/// What messages cost that come.
pub(super) fn echo() -> Scenario {
    Scenario {
        name: format!("streams-echo-{CLIENTS}"),
        title: format!("Echo, {CLIENTS} clients, {TOGETHER} in one connection of HTTP/2"),
        what: format!(
            "Each client sends a message of {MESSAGE_BYTES} bytes as soon as the one before has come \
             back. With HTTP/2, {TOGETHER} clients have one connection together."
        ),
        columns: columns("round trip"),
        field: Field::Streams,
        run: Box::new(|subject, effort| run_clients(echoed(subject, effort))?),
    }
}

fn columns(operation: &str) -> Vec<super::Column> {
    let mut costs = cost_columns(operation);
    let cpu = costs.remove(0);
    let mut columns = vec![headline(SERVER_CPU, &cpu.heading, cpu.unit, cpu.better)];
    columns.push(column("rate", &format!("{operation}s"), Unit::PerSecond, Better::Higher));
    columns.extend(costs);
    columns
}

async fn in_room(subject: &Subject, effort: &Effort) -> Result<Outcome, Box<dyn Error>> {
    let stage = Stage::empty(subject, Mode::Room)?;
    let (way, target) = (subject.way, stage.server.target());
    let mut clients = Clients::new();
    let identities = |range: std::ops::Range<usize>| -> Vec<_> {
        range.map(|client| identity(0, client)).collect()
    };
    clients.connect(way, target, &identities(0..FIRST)).await?;
    tokio::time::sleep(REST).await;
    let base = stage.server.resident_bytes()?;
    let watch = stage.stopwatch()?;
    clients.connect(way, target, &identities(FIRST..FIRST + CLIENTS)).await?;
    let connecting = watch.stop(&stage)?;
    tokio::time::sleep(REST).await;
    let grown = stage.server.resident_bytes()?.saturating_sub(base);

    let message = Clients::message(stage.server.target(), &payload(0, MESSAGE_BYTES));
    let mut flight = Flight::new(clients.len());
    let measured = measure(&stage, effort, &mut clients, |clients, got| {
        for client in got.drain(..) {
            flight.deliver(client, Instant::now);
        }
        while flight.under_way() < WINDOW {
            flight.publish(Instant::now());
            clients.write(0, &message);
        }
        flight.deliveries
    });
    let outcome = measured.await?;
    flight.verify()?;
    Ok(outcome
        .with("connect_us", connecting.server_micros(CLIENTS as u64))
        .with("idle_kib", grown as f64 / CLIENTS as f64 / 1024.0))
}

async fn echoed(subject: &Subject, effort: &Effort) -> Result<Outcome, Box<dyn Error>> {
    let stage = Stage::empty(subject, Mode::Echo)?;
    let mut clients = Clients::new();
    let identities: Vec<_> = (0..CLIENTS).map(|client| identity(client, client)).collect();
    clients.connect(subject.way, stage.server.target(), &identities).await?;
    let message = Clients::message(stage.server.target(), &payload(0, MESSAGE_BYTES));
    for client in 0..CLIENTS {
        clients.write(client, &message);
    }
    let mut round_trips = 0;
    measure(&stage, effort, &mut clients, |clients, got| {
        for client in got.drain(..) {
            round_trips += 1;
            clients.write(client, &message);
        }
        round_trips
    })
    .await
}

/// Has clients go on, by `go_on`, which is told who has got a message and tells how many have in all.
async fn measure(
    stage: &Stage,
    effort: &Effort,
    clients: &mut Clients,
    mut go_on: impl FnMut(&Clients, &mut Vec<usize>) -> u64,
) -> Result<Outcome, Box<dyn Error>> {
    let warm = Instant::now() + effort.warm_up;
    let mut begun: Option<(Stopwatch, u64)> = None;
    let mut got = Vec::new();
    loop {
        let operations = go_on(clients, &mut got);
        match &begun {
            None if Instant::now() > warm => begun = Some((stage.stopwatch()?, operations)),
            Some((watch, before)) if watch.elapsed() >= effort.measured => {
                let costs = watch.stop(stage)?;
                let operations = operations - before;
                let outcome = Outcome::default().with("rate", costs.per_second(operations));
                return Ok(costs.fill(outcome, operations));
            }
            None | Some(_) => {}
        }
        let heard = tokio::time::timeout(STEP_WITHIN, clients.heard(&mut got)).await;
        heard.map_err(|_| {
            let what = format!("the next message after {operations}");
            LoadError::Late { what, within: STEP_WITHIN }
        })??;
    }
}
