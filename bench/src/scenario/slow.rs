//! Slow consumers: some members of a room stop reading, and the healthy ones are watched.

use std::error::Error;

use super::paced::pace;
use super::stage::{CONNECT_WITHIN, Stage, identity};
use super::{Effort, Field, Outcome, Scenario, column, headline};
use crate::load::Buffers;
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

const MESSAGE_BYTES: usize = 1024;
/// Slow enough for every server here; the stopped clients' sockets are full after a second.
const MESSAGES_PER_SECOND: f64 = 100.0;

pub(super) fn scenario(members: usize, stopped: usize) -> Scenario {
    Scenario {
        name: format!("slow-consumers-{members}"),
        title: format!("{stopped} of {members} members stop reading"),
        what: format!(
            "{MESSAGES_PER_SECOND} messages of {MESSAGE_BYTES} bytes a second to {members} members, \
             first with all of them reading, then with {stopped} that have stopped, once their \
             sockets are full. What the healthy ones feel."
        ),
        columns: vec![
            headline("p99_ratio", "p99, stopped ÷ reading", Unit::Ratio, Better::Lower),
            column("reading_p99_us", "p99 while all read", Unit::Micros, Better::Lower),
            column("stopped_p99_us", "p99 beside stopped ones", Unit::Micros, Better::Lower),
        ],
        field: Field::All,
        run: Box::new(move |subject, effort| run(subject, effort, members, stopped)),
    }
}

fn run(
    subject: &Subject,
    effort: &Effort,
    members: usize,
    stopped: usize,
) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::empty(subject, Mode::Room)?;
    let healthy = members - stopped;
    let identities = (0..members).map(|client| identity(0, client));
    let mut identities = identities.collect::<Vec<_>>();
    let slow = identities.split_off(healthy);
    stage.fleet.connect(identities, Buffers::System, CONNECT_WITHIN)?;
    stage.fleet.connect(slow, Buffers::Small, CONNECT_WITHIN)?;
    stage.settle(members)?;
    let p99 = |stage: &mut Stage, duration| {
        let got = pace(stage, healthy, MESSAGES_PER_SECOND, MESSAGE_BYTES, duration)?;
        Ok::<_, Box<dyn Error>>(got.latencies.value_at_quantile(0.99) as f64 / 1e3)
    };
    let measured = 2 * effort.measured;
    p99(&mut stage, effort.warm_up)?;
    let reading = p99(&mut stage, measured)?;
    for client in healthy..members {
        stage.fleet.stop_reading(client)?;
    }
    p99(&mut stage, effort.measured)?; // their sockets fill up
    let beside_stopped = p99(&mut stage, measured)?;
    Ok(Outcome::default()
        .with("p99_ratio", beside_stopped / reading)
        .with("reading_p99_us", reading)
        .with("stopped_p99_us", beside_stopped))
}
