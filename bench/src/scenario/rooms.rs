//! Many small rooms, each with one message under way.

use std::error::Error;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::fairness::{self, Shares, fairness_column};
use super::stage::{Costs, PROBE, Stage, Stopwatch, payload};
use super::{Effort, Field, Outcome, Scenario, column, cost_columns, headline, histogram};
use crate::report::{Better, Column, Unit};
use crate::subject::Mode;

const MESSAGE_BYTES: usize = 100;

pub(super) fn scenario(rooms: usize, members: usize) -> Scenario {
    let mut columns = vec![headline("rate", "deliveries", Unit::PerSecond, Better::Higher)];
    columns.extend(WholeRooms::columns());
    columns.extend(cost_columns("delivery"));
    Scenario {
        name: format!("rooms-{rooms}x{members}"),
        title: format!("{rooms} rooms of {members}, saturated"),
        what: format!(
            "In each of {rooms} rooms one of {members} members publishes a message of \
             {MESSAGE_BYTES} bytes as soon as all members have got the one before. Fairness is the \
             messages of the richest room ÷ those of the poorest."
        ),
        columns,
        field: Field::All,
        run: Box::new(move |subject, effort| {
            let mut stage = Stage::with_rooms(subject, Mode::Room, rooms, members)?;
            let Saturated { whole, costs, deliveries } =
                saturate(&mut stage, effort, rooms, members)?;
            let rate = costs.per_second(deliveries);
            let outcome = whole.fill(Outcome::default().with("rate", rate));
            Ok(costs.fill(outcome, deliveries))
        }),
    }
}

/// What rooms come to in which one message after the other is under way.
pub(super) struct Saturated {
    pub(super) whole: WholeRooms,
    pub(super) costs: Costs,
    pub(super) deliveries: u64,
}

/// The first member of each room publishes as soon as all members have got the message before.
pub(super) fn saturate(
    stage: &mut Stage,
    effort: &Effort,
    rooms: usize,
    members: usize,
) -> Result<Saturated, Box<dyn Error>> {
    let message = payload(0, MESSAGE_BYTES);
    for room in 0..rooms {
        stage.fleet.send(room * members, &message)?;
    }
    let warm = Instant::now() + effort.warm_up;
    let mut watch: Option<(Stopwatch, u64)> = None;
    let mut holders = vec![0; rooms];
    let mut deliveries = 0;
    let mut complete = Vec::new();
    let mut whole = WholeRooms::new(rooms)?;
    loop {
        stage.fleet.turn(Duration::from_millis(100), &mut |client, got| {
            if got.first() == Some(&(PROBE as u8)) {
                return;
            }
            deliveries += 1;
            let room = client / members;
            holders[room] += 1;
            if holders[room] == members {
                holders[room] = 0;
                complete.push(room);
            }
        })?;
        for room in complete.drain(..) {
            whole.complete(room);
            stage.fleet.send(room * members, &message)?;
        }
        match &watch {
            None if Instant::now() > warm => {
                whole.restart();
                watch = Some((stage.stopwatch()?, deliveries));
            }
            Some((started, before)) if started.elapsed() >= effort.measured => {
                let costs = started.stop(stage)?;
                return Ok(Saturated { whole, costs, deliveries: deliveries - before });
            }
            None | Some(_) => {}
        }
    }
}

/// How the server's time is shared out among rooms: how long it takes until a whole room has a
/// message, and how many messages each of them gets.
pub(super) struct WholeRooms {
    sent_at: Vec<Instant>,
    messages: Shares,
    latencies: Histogram<u64>,
}

impl WholeRooms {
    pub(super) fn columns() -> [Column; 7] {
        [
            column("room_p50_us", "a whole room has it: median", Unit::Micros, Better::Lower),
            column("room_p99_us", "p99", Unit::Micros, Better::Lower),
            column("room_spread", "p99 ÷ median", Unit::Ratio, Better::Lower),
            column("room_max_us", "slowest", Unit::Micros, Better::Lower),
            column("poorest", "messages of the poorest room", Unit::Count, Better::Higher),
            column("richest", "of the richest", Unit::Count, Better::Neither),
            fairness_column(),
        ]
    }

    /// Each room has a message under way from now on.
    fn new(rooms: usize) -> Result<Self, Box<dyn Error>> {
        let sent_at = vec![Instant::now(); rooms];
        Ok(Self { sent_at, messages: Shares::new(rooms), latencies: histogram()? })
    }

    /// Counts from now on. A message that is under way has been since it was sent.
    fn restart(&mut self) {
        self.messages.restart();
        self.latencies.reset();
    }

    /// All members of a room have its message, and the next one is sent.
    fn complete(&mut self, room: usize) {
        let now = Instant::now();
        let nanos = (now - self.sent_at[room]).as_nanos();
        self.latencies.saturating_record(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.sent_at[room] = now;
        self.messages.add(room);
    }

    /// What is still under way for longer than the median counts as having taken until now: else a
    /// room that got nothing would not be seen.
    pub(super) fn fill(mut self, outcome: Outcome) -> Outcome {
        let now = Instant::now();
        let median = self.latencies.value_at_quantile(0.5);
        for sent_at in &self.sent_at {
            let nanos = u64::try_from((now - *sent_at).as_nanos()).unwrap_or(u64::MAX);
            if nanos > median {
                self.latencies.saturating_record(nanos);
            }
        }
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile| micros(self.latencies.value_at_quantile(quantile));
        outcome
            .with("room_p50_us", at(0.5))
            .with("room_p99_us", at(0.99))
            .with("room_spread", at(0.99) / at(0.5))
            .with("room_max_us", micros(self.latencies.max()))
            .with("poorest", self.messages.poorest() as f64)
            .with("richest", self.messages.richest() as f64)
            .with(fairness::KEY, self.messages.fairness())
    }
}
