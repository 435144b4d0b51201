//! How long a client that comes back waits for what it missed.

use std::error::Error;
use std::time::{Duration, Instant};

use super::memory::{publish, rest};
use super::replay::{Replay, acknowledged};
use super::stage::{CONNECT_WITHIN, STEP_WITHIN, Stage, identity};
use super::{Field, Outcome, Scenario, column, cost_columns, headline, histogram, latency_of};
use crate::load::{Buffers, Identity, LoadError};
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

const MESSAGES: usize = 100;
const MESSAGE_BYTES: usize = 1024;
/// Slow enough for each to be alone with the server nearly always.
const RETURNS_PER_SECOND: f64 = 200.0;

pub(super) fn scenario(clients: usize) -> Scenario {
    let mut columns = vec![
        headline("p99_us", "p99 from the 101", Unit::Micros, Better::Lower),
        column("p50_us", "median from the 101", Unit::Micros, Better::Lower),
        column("max_us", "slowest from the 101", Unit::Micros, Better::Lower),
        column("due_p99_us", "p99 from when it was due to connect", Unit::Micros, Better::Lower),
    ];
    columns.extend(cost_columns("return"));
    Scenario {
        name: format!("catch-up-{clients}"),
        title: format!("{clients} clients coming back one by one"),
        what: format!(
            "{clients} clients are cut with a reset, {MESSAGES} messages of {MESSAGE_BYTES} bytes \
             are published, and {RETURNS_PER_SECOND} clients a second come back. The time from \
             when a client has read its 101 until it has all of those messages, in order and once."
        ),
        columns,
        field: Field::Resuming,
        run: Box::new(move |subject, _| run(subject, clients)),
    }
}

fn run(subject: &Subject, clients: usize) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::empty(subject, Mode::Room)?;
    stage.fleet.connect([identity(0, 0)], Buffers::System, CONNECT_WITHIN)?;
    let others = (1..=clients).map(|client| identity(0, client));
    stage.fleet.connect(others, Buffers::System, CONNECT_WITHIN)?;
    stage.settle(1 + clients)?;
    acknowledged(&mut stage, subject)?;
    let returning = stage.fleet.cut(1)?;
    rest(&mut stage, Duration::from_secs(1))?;
    publish(&mut stage, 1, MESSAGES, MESSAGE_BYTES)?;

    let watch = stage.stopwatch()?;
    let returns = come_back_one_by_one(&mut stage, &returning, MESSAGES)?;
    let costs = watch.stop(&stage)?;
    let (mut from_open, mut from_due) = (histogram()?, histogram()?);
    for (client, Return { due, caught_up }) in (1..).zip(returns) {
        let opened_at = stage.fleet.opened_at(client).ok_or("a client is back without a 101")?;
        from_open.saturating_record(nanos(caught_up - opened_at));
        from_due.saturating_record(nanos(caught_up - due));
    }
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let outcome = Outcome { latency: Some(latency_of(&from_open)), ..Outcome::default() }
        .with("p99_us", micros(from_open.value_at_quantile(0.99)))
        .with("p50_us", micros(from_open.value_at_quantile(0.5)))
        .with("max_us", micros(from_open.max()))
        .with("due_p99_us", micros(from_due.value_at_quantile(0.99)));
    Ok(costs.fill(outcome, clients as u64))
}

/// A client's way back.
pub(super) struct Return {
    pub(super) due: Instant,
    /// It has the last message that it missed.
    pub(super) caught_up: Instant,
}

/// Has these come back so many a second, each to so many messages.
pub(super) fn come_back_one_by_one(
    stage: &mut Stage,
    returning: &[Identity],
    messages: usize,
) -> Result<Vec<Return>, Box<dyn Error>> {
    let first = stage.fleet.len();
    let mut replay = Replay::new(first, returning.len(), messages);
    let started = Instant::now();
    let due = |place: usize| started + Duration::from_secs_f64(place as f64 / RETURNS_PER_SECOND);
    let mut caught_up = vec![None; returning.len()];
    let mut begun = 0;
    let deadline = due(returning.len()) + STEP_WITHIN;
    while !replay.is_complete() {
        while begun < returning.len() && due(begun) <= Instant::now() {
            stage.fleet.begin(&returning[begun], Buffers::System)?;
            begun += 1;
        }
        // Sleeping would add its own lateness.
        stage.fleet.turn(Duration::ZERO, &mut |client, got| {
            if replay.deliver(client, got) {
                caught_up[client - first] = Some(Instant::now());
            }
        })?;
        if Instant::now() > deadline {
            return Err(LoadError::Late { what: replay.progress(), within: STEP_WITHIN }.into());
        }
    }
    replay.verify(stage)?;
    let returns = caught_up.into_iter().enumerate().map(|(place, caught_up)| {
        let caught_up = caught_up.ok_or("a client has not caught up")?;
        Ok(Return { due: due(place), caught_up })
    });
    returns.collect()
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
