//! Many small rooms whose members are on two servers, which a broker joins.

use super::rooms::{Saturated, WholeRooms, saturate};
use super::stage::Stage;
use super::{Field, Outcome, Scenario, column, cost_columns, headline};
use crate::report::{Better, Unit};
use crate::subject::Mode;

const SERVERS: usize = 2;

pub(super) fn scenario(rooms: usize, members: usize) -> Scenario {
    let mut columns = vec![headline("rate", "deliveries", Unit::PerSecond, Better::Higher)];
    columns.push(column("broker_us", "broker CPU per delivery", Unit::Micros, Better::Lower));
    columns.extend(WholeRooms::columns());
    columns.extend(cost_columns("delivery"));
    Scenario {
        name: format!("two-servers-{rooms}x{members}"),
        title: format!("{rooms} rooms of {members} on {SERVERS} servers, saturated"),
        what: format!(
            "As {rooms} rooms of {members}, saturated, but every other member of a room is on another \
             server. The servers and the broker between them have one core together; the server's \
             processor time is that of both servers."
        ),
        columns,
        field: Field::Joined,
        run: Box::new(move |subject, effort| {
            let mut stage = Stage::joined(subject, Mode::Room, SERVERS, (rooms, members))?;
            let Saturated { whole, costs, deliveries } =
                saturate(&mut stage, effort, rooms, members)?;
            let outcome = Outcome::default()
                .with("rate", costs.per_second(deliveries))
                .with("broker_us", costs.broker_micros(deliveries));
            Ok(costs.fill(whole.fill(outcome), deliveries))
        }),
    }
}
