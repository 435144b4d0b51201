//! Fan-out in one room, as fast as it goes: so many messages are under way, and the next is
//! published when the slowest member has got the oldest.

use std::error::Error;
use std::time::{Duration, Instant};

use super::stage::{PROBE, STEP_WITHIN, Stage, Stopwatch, payload};
use super::{Effort, Field, Outcome, Scenario, column, cost_columns, headline};
use crate::load::LoadError;
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

pub(super) const MESSAGE_BYTES: usize = 100;

pub(super) fn saturated(members: usize, window: usize) -> Scenario {
    let mut columns = vec![
        headline("rate", "deliveries", Unit::PerSecond, Better::Higher),
        column("messages", "messages", Unit::PerSecond, Better::Higher),
    ];
    columns.extend(cost_columns("delivery"));
    Scenario {
        name: format!("fanout-saturated-{members}"),
        title: format!("Fan-out saturated, {members} members"),
        what: format!(
            "One member publishes messages of {MESSAGE_BYTES} bytes to a room of {members}, \
             itself included, {window} of them under way: the next follows when the slowest \
             member has got the oldest."
        ),
        columns,
        field: Field::All,
        run: Box::new(move |subject, effort| run(subject, effort, members, window)),
    }
}

/// One message at a time: what a delivery costs when nothing can be batched.
pub(super) fn one_at_a_time(members: usize) -> Scenario {
    let mut columns = vec![column("rate", "deliveries", Unit::PerSecond, Better::Higher)];
    columns.extend(cost_columns("delivery"));
    columns[1].headline = true;
    Scenario {
        name: format!("fanout-window1-{members}"),
        title: format!("Fan-out, {members} members, one message at a time"),
        what:
            "As the saturated fan-out, with one message under way: no two deliveries to a member \
               can share a system call."
                .to_owned(),
        columns,
        field: Field::All,
        run: Box::new(move |subject, effort| run(subject, effort, members, 1)),
    }
}

fn run(
    subject: &Subject,
    effort: &Effort,
    members: usize,
    window: usize,
) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::with_rooms(subject, Mode::Room, 1, members)?;
    let mut flight = Flight::new(members, window);
    let message = payload(0, MESSAGE_BYTES);
    for _ in 0..window {
        stage.fleet.send(0, &message)?;
    }
    let warm = Instant::now() + effort.warm_up;
    let mut watch: Option<(Stopwatch, u64, u64)> = None;
    let mut progressed_at = Instant::now();
    loop {
        let before = flight.deliveries;
        stage.fleet.turn(Duration::from_millis(100), &mut |client, got| {
            if got.first() != Some(&(PROBE as u8)) {
                flight.deliver(client);
            }
        })?;
        for _ in 0..flight.take_completed() {
            stage.fleet.send(0, &message)?;
        }
        if flight.deliveries > before {
            progressed_at = Instant::now();
        } else if progressed_at.elapsed() > STEP_WITHIN {
            let what = format!("the next delivery after {before}");
            return Err(LoadError::Late { what, within: STEP_WITHIN }.into());
        }
        match &watch {
            None if Instant::now() > warm => {
                watch = Some((stage.stopwatch()?, flight.deliveries, flight.completed));
            }
            Some((started, deliveries, completed)) if started.elapsed() >= effort.measured => {
                let costs = started.stop(&stage)?;
                let deliveries = flight.deliveries - deliveries;
                let outcome = Outcome::default()
                    .with("rate", costs.per_second(deliveries))
                    .with("messages", costs.per_second(flight.completed - completed));
                return Ok(costs.fill(outcome, deliveries));
            }
            None | Some(_) => {}
        }
    }
}

/// The messages under way. A room's members get them in one order, so that a member's count tells
/// which one it has got.
struct Flight {
    members: usize,
    got: Vec<u64>,
    /// For each message under way, how many members have it.
    holders: Vec<usize>,
    deliveries: u64,
    completed: u64,
    taken: u64,
}

impl Flight {
    fn new(members: usize, window: usize) -> Self {
        Self {
            members,
            got: vec![0; members],
            holders: vec![0; window],
            deliveries: 0,
            completed: 0,
            taken: 0,
        }
    }

    #[inline]
    fn deliver(&mut self, client: usize) {
        let message = self.got[client];
        self.got[client] += 1;
        self.deliveries += 1;
        let window = self.holders.len() as u64;
        let holders = &mut self.holders[(message % window) as usize];
        *holders += 1;
        if *holders == self.members {
            *holders = 0;
            self.completed += 1;
        }
    }

    fn take_completed(&mut self) -> u64 {
        let completed = self.completed - self.taken;
        self.taken = self.completed;
        completed
    }
}
