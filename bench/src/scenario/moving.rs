//! Joining a room and leaving it again, many times for each message.

use std::error::Error;
use std::time::{Duration, Instant};

use super::stage::{CONNECT_WITHIN, STEP_WITHIN, Stage, Stopwatch, identity, payload};
use super::{Effort, Field, Outcome, Scenario, column, headline};
use crate::load::{Buffers, LoadError};
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

/// How often the sender of a message joins and leaves the other room in `moving` mode.
pub(crate) const MOVES: u32 = 100;
/// The room that it does so with: the one of this scenario's members.
pub(crate) const VISITED: &str = "room0";
/// The room that all connections are in besides, in `audience` mode.
pub(crate) const EVERYBODY: &str = "everybody";

const MESSAGE_BYTES: usize = 100;

pub(super) fn scenario(members: usize) -> Scenario {
    Scenario {
        name: format!("moving-{members}"),
        title: format!("Joining and leaving a room of {members}"),
        what: format!(
            "One client sends a message; the server has it join a room of {members} others and \
             leave it again, {MOVES} times, and echoes the message, whereupon the next one comes. \
             The echo counts, a {MOVES}th of it."
        ),
        columns: vec![
            headline("server_us", "server CPU per join and leave", Unit::Micros, Better::Lower),
            column("rate", "joins and leaves", Unit::PerSecond, Better::Higher),
        ],
        field: Field::ManyRooms,
        run: Box::new(move |subject, effort| run(subject, effort, members)),
    }
}

fn run(subject: &Subject, effort: &Effort, members: usize) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::with_rooms(subject, Mode::Moving, 1, members)?;
    let guest = members;
    stage.fleet.connect([identity(1, guest)], Buffers::System, CONNECT_WITHIN)?;
    let message = payload(0, MESSAGE_BYTES);
    let warm = Instant::now() + effort.warm_up;
    let mut watch: Option<Stopwatch> = None;
    let mut echoes = 0_u64;
    while watch.is_none_or(|watch| watch.elapsed() < effort.measured) {
        echo(&mut stage, guest, &message)?;
        echoes += 1;
        if watch.is_none() && Instant::now() > warm {
            watch = Some(stage.stopwatch()?);
            echoes = 0;
        }
    }
    let costs = watch.expect("the loop ends after it is set").stop(&stage)?;
    let moves = echoes * u64::from(MOVES);
    Ok(Outcome::default()
        .with("server_us", costs.server_micros(moves))
        .with("rate", costs.per_second(moves)))
}

fn echo(stage: &mut Stage, guest: usize, message: &[u8]) -> Result<(), LoadError> {
    let deadline = Instant::now() + STEP_WITHIN;
    stage.fleet.send(guest, message)?;
    let mut is_back = false;
    while !is_back {
        if Instant::now() > deadline {
            return Err(LoadError::Late { what: "an echo".to_owned(), within: STEP_WITHIN });
        }
        stage
            .fleet
            .turn(Duration::from_millis(100), &mut |client, _| is_back |= client == guest)?;
    }
    Ok(())
}
