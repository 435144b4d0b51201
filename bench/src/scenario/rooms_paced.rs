//! Many small rooms at a fixed pace: what a delivery costs a server that is not at its end.

use std::error::Error;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::stage::{STEP_WITHIN, Stage, payload, stamp};
use super::{
    Effort, Field, Outcome, Scenario, column, cost_columns, headline, histogram, latency_of,
};
use crate::load::LoadError;
use crate::report::{Better, SERVER_CPU, Unit};
use crate::subject::{Mode, Subject};

const MESSAGE_BYTES: usize = 100;

/// From one room to the one that is next: has no divisor in common with the number of rooms, so that
/// all have their turns, and neighbours have them far from each other.
const STRIDE: usize = 389;

/// `percent` of the `capacity` (deliveries a second) of the weaker server.
pub(crate) fn scenario(rooms: usize, members: usize, percent: u32, capacity: f64) -> Scenario {
    let rate = capacity * f64::from(percent) / 100.0 / members as f64;
    let mut costs = cost_columns("delivery");
    let cpu = costs.iter().position(|column| column.key == SERVER_CPU).expect("it is one of them");
    let cpu = costs.remove(cpu);
    let mut columns = vec![headline(&cpu.key, &cpu.heading, cpu.unit, cpu.better)];
    columns.extend([
        column("p50_us", "median", Unit::Micros, Better::Lower),
        column("p99_us", "p99", Unit::Micros, Better::Lower),
        column("max_us", "slowest", Unit::Micros, Better::Lower),
    ]);
    columns.extend(costs);
    Scenario {
        name: format!("rooms-paced-{percent}"),
        title: format!("{rooms} rooms of {members}, at {percent} % of the weaker one's capacity"),
        what: format!(
            "{rate:.0} messages of {MESSAGE_BYTES} bytes a second, to one room of {members} after \
             the other, {rooms} of them. The weaker one is wspulse or uWebSockets, whichever moves \
             less when saturated. Latencies count from when a message was due to be sent."
        ),
        columns,
        field: Field::Rivals,
        run: Box::new(move |subject, effort| run(subject, effort, rooms, members, rate)),
    }
}

fn run(
    subject: &Subject,
    effort: &Effort,
    rooms: usize,
    members: usize,
    rate: f64,
) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::with_rooms(subject, Mode::Room, rooms, members)?;
    pace(&mut stage, (rooms, members), rate, effort.warm_up)?;
    let watch = stage.stopwatch()?;
    let latencies = pace(&mut stage, (rooms, members), rate, effort.measured)?;
    let costs = watch.stop(&stage)?;
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let outcome = Outcome { latency: Some(latency_of(&latencies)), ..Outcome::default() }
        .with("p50_us", micros(latencies.value_at_quantile(0.5)))
        .with("p99_us", micros(latencies.value_at_quantile(0.99)))
        .with("max_us", micros(latencies.max()));
    Ok(costs.fill(outcome, latencies.len()))
}

/// Has the rooms' first members publish at a pace for so long, and waits for all deliveries.
fn pace(
    stage: &mut Stage,
    (rooms, members): (usize, usize),
    rate: f64,
    duration: Duration,
) -> Result<Histogram<u64>, Box<dyn Error>> {
    let messages = (rate * duration.as_secs_f64()).ceil().max(1.0) as usize;
    let expected = (messages * members) as u64;
    let mut latencies = histogram()?;
    let started = Instant::now();
    let nanos_due = |message: usize| (message as f64 * 1e9 / rate) as u64;
    let mut sent = 0;
    while latencies.len() < expected {
        let elapsed = started.elapsed();
        while sent < messages && u128::from(nanos_due(sent)) <= elapsed.as_nanos() {
            let room = sent * STRIDE % rooms;
            stage.fleet.send(room * members, &payload(nanos_due(sent), MESSAGE_BYTES))?;
            sent += 1;
        }
        if elapsed > duration + STEP_WITHIN {
            let what = format!("{expected} deliveries ({} came)", latencies.len());
            return Err(LoadError::Late { what, within: STEP_WITHIN }.into());
        }
        // Sleeping would add its own lateness.
        stage.fleet.turn(Duration::ZERO, &mut |_, got| {
            if let Some(due) = stamp(got) {
                let now = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                latencies.saturating_record(now.saturating_sub(due));
            }
        })?;
    }
    Ok(latencies)
}
