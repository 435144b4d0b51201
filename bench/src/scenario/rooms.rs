//! Many small rooms, each with one message under way.

use std::time::{Duration, Instant};

use super::stage::{PROBE, Stage, Stopwatch, payload};
use super::{Field, Outcome, Scenario, cost_columns, headline};
use crate::report::{Better, Unit};
use crate::subject::Mode;

const MESSAGE_BYTES: usize = 100;

pub(super) fn scenario(rooms: usize, members: usize) -> Scenario {
    let mut columns = vec![headline("rate", "deliveries", Unit::PerSecond, Better::Higher)];
    columns.extend(cost_columns("delivery"));
    Scenario {
        name: format!("rooms-{rooms}x{members}"),
        title: format!("{rooms} rooms of {members}, saturated"),
        what: format!(
            "In each of {rooms} rooms one of {members} members publishes a message of \
             {MESSAGE_BYTES} bytes as soon as all members have got the one before."
        ),
        columns,
        field: Field::All,
        run: Box::new(move |subject, effort| {
            let mut stage = Stage::with_rooms(subject, Mode::Room, rooms, members)?;
            let message = payload(0, MESSAGE_BYTES);
            for room in 0..rooms {
                stage.fleet.send(room * members, &message)?;
            }
            let warm = Instant::now() + effort.warm_up;
            let mut watch: Option<(Stopwatch, u64)> = None;
            let mut holders = vec![0; rooms];
            let mut deliveries = 0;
            let mut complete = Vec::new();
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
                    stage.fleet.send(room * members, &message)?;
                }
                match &watch {
                    None if Instant::now() > warm => watch = Some((stage.stopwatch()?, deliveries)),
                    Some((started, before)) if started.elapsed() >= effort.measured => {
                        let costs = started.stop(&stage)?;
                        let deliveries = deliveries - before;
                        let rate = costs.per_second(deliveries);
                        return Ok(costs.fill(Outcome::default().with("rate", rate), deliveries));
                    }
                    None | Some(_) => {}
                }
            }
        }),
    }
}
