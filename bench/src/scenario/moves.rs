//! How long a client waits that comes back to another server than its session's.

use std::error::Error;
use std::time::Duration;

use super::catch_up::{Return, come_back_one_by_one, nanos};
use super::memory::{publish, rest};
use super::replay::acknowledged;
use super::stage::Stage;
use super::{Effort, Field, Outcome, Scenario, column, headline, histogram};
use crate::report::{Better, Column, Unit};
use crate::subject::{Mode, Subject};

const SERVERS: usize = 2;
const MESSAGES: usize = 50;
const MESSAGE_BYTES: usize = 100;

pub(super) fn scenario(clients: usize) -> Scenario {
    Scenario {
        name: format!("moves-{clients}"),
        title: format!("{clients} clients coming back to another server, one by one"),
        what: format!(
            "{clients} clients on {SERVERS} servers are cut with a reset, {MESSAGES} messages of \
             {MESSAGE_BYTES} bytes are published, and the clients come back one after the other: first \
             to the server that has their session, then, cut once more, to the other one. The time from \
             when a client was due to connect until it has all of those messages, in order and once."
        ),
        columns: columns(),
        field: Field::Moving,
        run: Box::new(move |subject, _: &Effort| run(subject, clients)),
    }
}

fn columns() -> Vec<Column> {
    vec![
        headline("added_p50_us", "a move takes longer by, median", Unit::Micros, Better::Lower),
        column("move_p50_us", "move: median", Unit::Micros, Better::Lower),
        column("move_p99_us", "p99", Unit::Micros, Better::Lower),
        column("stay_p50_us", "same server: median", Unit::Micros, Better::Lower),
        column("stay_p99_us", "p99", Unit::Micros, Better::Lower),
    ]
}

fn run(subject: &Subject, clients: usize) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::joined(subject, Mode::Room, SERVERS, (1, 1 + clients))?;
    let (stay_p50, stay_p99) = come_back(&mut stage, subject)?;
    stage.fleet.turn_to_others();
    let (move_p50, move_p99) = come_back(&mut stage, subject)?;
    Ok(Outcome::default()
        .with("added_p50_us", move_p50 - stay_p50)
        .with("move_p50_us", move_p50)
        .with("move_p99_us", move_p99)
        .with("stay_p50_us", stay_p50)
        .with("stay_p99_us", stay_p99))
}

/// Median and 99th percentile, in microseconds.
fn come_back(stage: &mut Stage, subject: &Subject) -> Result<(f64, f64), Box<dyn Error>> {
    acknowledged(stage, subject)?;
    let returning = stage.fleet.cut(1)?;
    rest(stage, Duration::from_secs(1))?;
    publish(stage, 1, MESSAGES, MESSAGE_BYTES)?;
    let mut from_due = histogram()?;
    for Return { due, caught_up } in come_back_one_by_one(stage, &returning, MESSAGES)? {
        from_due.saturating_record(nanos(caught_up - due));
    }
    let micros = |quantile| from_due.value_at_quantile(quantile) as f64 / 1e3;
    Ok((micros(0.5), micros(0.99)))
}
