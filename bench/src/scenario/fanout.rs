//! Fan-out in one room, as fast as it goes: so many messages are under way, and the next is
//! published when the slowest member has got the oldest.

use std::error::Error;
use std::time::{Duration, Instant};

use super::fairness::{self, fairness_column};
use super::flight::Flight;
use super::stage::{PROBE, STEP_WITHIN, Stage, Stopwatch, payload};
use super::{Effort, Field, Outcome, Scenario, column, cost_columns, headline};
use crate::load::LoadError;
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

pub(super) const MESSAGE_BYTES: usize = 100;

pub(super) const FAIRNESS: &str =
    "Fairness is how long the last member waits for a message ÷ how long the middle one does.";

pub(super) fn saturated(members: usize, window: usize) -> Scenario {
    let mut columns = vec![
        headline("rate", "deliveries", Unit::PerSecond, Better::Higher),
        column("messages", "messages", Unit::PerSecond, Better::Higher),
        fairness_column(),
    ];
    columns.extend(cost_columns("delivery"));
    Scenario {
        name: format!("fanout-saturated-{members}"),
        title: format!("Fan-out saturated, {members} members"),
        what: format!(
            "One member publishes messages of {MESSAGE_BYTES} bytes to a room of {members}, \
             itself included, {window} of them under way: the next follows when the slowest \
             member has got the oldest. {FAIRNESS}"
        ),
        columns,
        field: Field::All,
        run: Box::new(move |subject, effort| {
            run(subject, effort, Publishing { mode: Mode::Room, members, window })
        }),
    }
}

/// To two rooms with the same members, but for the publisher: each must be found once.
pub(super) fn to_an_audience(members: usize, window: usize) -> Scenario {
    Scenario {
        name: format!("audience-saturated-{members}"),
        title: format!("Fan-out saturated, to {members} others in two rooms"),
        what: format!(
            "As the saturated fan-out, {window} messages under way, but each goes to two rooms, of \
             which everybody is in both, except to its publisher. {FAIRNESS}"
        ),
        field: Field::ManyRooms,
        run: Box::new(move |subject, effort| {
            run(subject, effort, Publishing { mode: Mode::Audience, members, window })
        }),
        ..saturated(members, window)
    }
}

/// One message at a time: what a delivery costs when nothing can be batched.
pub(super) fn one_at_a_time(members: usize) -> Scenario {
    let mut costs = cost_columns("delivery");
    costs[0].headline = true;
    let rate = column("rate", "deliveries", Unit::PerSecond, Better::Higher);
    let columns = [rate, fairness_column()].into_iter().chain(costs).collect();
    Scenario {
        name: format!("fanout-window1-{members}"),
        title: format!("Fan-out, {members} members, one message at a time"),
        what: format!(
            "As the saturated fan-out, with one message under way: no two deliveries to a member \
             can share a system call. {FAIRNESS}"
        ),
        columns,
        field: Field::All,
        run: Box::new(move |subject, effort| {
            run(subject, effort, Publishing { mode: Mode::Room, members, window: 1 })
        }),
    }
}

/// To how many the first client publishes: in an audience, to all others, else to itself as well.
#[derive(Clone, Copy)]
struct Publishing {
    mode: Mode,
    members: usize,
    window: usize,
}

fn run(
    subject: &Subject,
    effort: &Effort,
    Publishing { mode, members, window }: Publishing,
) -> Result<Outcome, Box<dyn Error>> {
    let publishers = usize::from(mode == Mode::Audience);
    let mut stage = Stage::with_rooms(subject, mode, 1, publishers + members)?;
    let mut flight = Flight::new(members);
    let message = payload(0, MESSAGE_BYTES);
    let warm = Instant::now() + effort.warm_up;
    let mut watch: Option<(Stopwatch, u64, u64)> = None;
    let mut progressed_at = Instant::now();
    loop {
        while flight.under_way() < window {
            flight.publish(Instant::now());
            stage.fleet.send(0, &message)?;
        }
        let before = flight.deliveries;
        stage.fleet.turn(Duration::from_millis(100), &mut |client, got| {
            if got.first() != Some(&(PROBE as u8)) {
                let member = client.checked_sub(publishers).expect("publishers hear nothing");
                flight.deliver(member, Instant::now);
            }
        })?;
        if flight.deliveries > before {
            progressed_at = Instant::now();
        } else if progressed_at.elapsed() > STEP_WITHIN {
            let what = format!("the next delivery after {before}");
            return Err(LoadError::Late { what, within: STEP_WITHIN }.into());
        }
        match &watch {
            None if Instant::now() > warm => {
                flight.restart();
                watch = Some((stage.stopwatch()?, flight.deliveries, flight.completed));
            }
            Some((started, deliveries, completed)) if started.elapsed() >= effort.measured => {
                let costs = started.stop(&stage)?;
                flight.verify()?;
                let deliveries = flight.deliveries - deliveries;
                let outcome = Outcome::default()
                    .with("rate", costs.per_second(deliveries))
                    .with("messages", costs.per_second(flight.completed - completed))
                    .with(fairness::KEY, flight.fairness(Instant::now()));
                return Ok(costs.fill(outcome, deliveries));
            }
            None | Some(_) => {}
        }
    }
}
