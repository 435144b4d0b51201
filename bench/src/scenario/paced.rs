//! Fan-out at a fixed pace: how late a message is, counted from when it was due.

use std::error::Error;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::fairness::{self, fairness_column};
use super::fanout::{FAIRNESS, MESSAGE_BYTES};
use super::flight::Flight;
use super::stage::{STEP_WITHIN, Stage, payload, stamp};
use super::{
    Effort, Field, Outcome, Scenario, column, cost_columns, headline, histogram, latency_of,
};
use crate::load::LoadError;
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

/// `percent` of the `capacity` (deliveries a second) of the weakest server.
pub(crate) fn scenario(members: usize, percent: u32, capacity: f64) -> Scenario {
    let rate = capacity * f64::from(percent) / 100.0 / members as f64;
    let mut columns = vec![
        headline("p99_us", "p99", Unit::Micros, Better::Lower),
        column("p50_us", "median", Unit::Micros, Better::Lower),
        column("max_us", "slowest", Unit::Micros, Better::Lower),
        fairness_column(),
    ];
    columns.extend(cost_columns("delivery"));
    Scenario {
        name: format!("fanout-paced-{percent}"),
        title: format!("Fan-out paced at {percent} % of the weakest, {members} members"),
        what: format!(
            "{rate:.0} messages of {MESSAGE_BYTES} bytes a second to a room of {members}, whether \
             the last has arrived or not; each delivery's latency counts from when its message was \
             due to be sent. {FAIRNESS}"
        ),
        columns,
        field: Field::All,
        run: Box::new(move |subject, effort| run(subject, effort, members, rate)),
    }
}

fn run(
    subject: &Subject,
    effort: &Effort,
    members: usize,
    rate: f64,
) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::with_rooms(subject, Mode::Room, 1, members)?;
    pace(&mut stage, members, rate, MESSAGE_BYTES, effort.warm_up)?;
    let watch = stage.stopwatch()?;
    let Deliveries { latencies, fairness } =
        pace(&mut stage, members, rate, MESSAGE_BYTES, effort.measured)?;
    let costs = watch.stop(&stage)?;
    let outcome = Outcome { latency: Some(latency_of(&latencies)), ..Outcome::default() }
        .with("p99_us", latencies.value_at_quantile(0.99) as f64 / 1e3)
        .with("p50_us", latencies.value_at_quantile(0.5) as f64 / 1e3)
        .with("max_us", latencies.max() as f64 / 1e3)
        .with(fairness::KEY, fairness);
    Ok(costs.fill(outcome, latencies.len()))
}

/// What came of messages that were published at a pace.
pub(super) struct Deliveries {
    /// From when each was due, in nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) fairness: f64,
}

/// Publishes at a pace for so long, then waits for all deliveries to the first `listeners` clients;
/// those of others do not count.
pub(super) fn pace(
    stage: &mut Stage,
    listeners: usize,
    rate: f64,
    message_bytes: usize,
    duration: Duration,
) -> Result<Deliveries, Box<dyn Error>> {
    let messages = (rate * duration.as_secs_f64()).ceil().max(1.0) as u64;
    let expected = messages * listeners as u64;
    let mut latencies = histogram()?;
    let mut flight = Flight::new(listeners);
    let started = Instant::now();
    let nanos_due = |message: u64| (message as f64 * 1e9 / rate) as u64;
    let mut sent = 0;
    while latencies.len() < expected {
        let elapsed = started.elapsed();
        while sent < messages && u128::from(nanos_due(sent)) <= elapsed.as_nanos() {
            let due = nanos_due(sent);
            flight.publish(started + Duration::from_nanos(due));
            stage.fleet.send(0, &payload(due, message_bytes))?;
            sent += 1;
        }
        if elapsed > duration + STEP_WITHIN {
            let what = format!("{expected} deliveries ({} came)", latencies.len());
            return Err(LoadError::Late { what, within: STEP_WITHIN }.into());
        }
        // Sleeping would add its own lateness.
        stage.fleet.turn(Duration::ZERO, &mut |client, got| {
            if let Some(due) = stamp(got)
                && client < listeners
            {
                let now = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                latencies.saturating_record(now.saturating_sub(due));
                flight.deliver(client, Instant::now);
            }
        })?;
    }
    flight.verify()?;
    Ok(Deliveries { latencies, fairness: flight.fairness(Instant::now()) })
}
