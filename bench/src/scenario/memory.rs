//! What connections cost that do nothing: resident memory, processor time, and their way in.

use std::error::Error;
use std::time::{Duration, Instant};

use super::stage::{CONNECT_WITHIN, STEP_WITHIN, Stage, identity, payload};
use super::{Field, Outcome, Scenario, column, headline};
use crate::load::{Buffers, LoadError};
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

/// Connected before memory is read for the first time, so that what a server needs once does not
/// count as part of a connection.
pub(super) const FIRST: usize = 16;
const KIB: f64 = 1024.0;
pub(super) const MIB: f64 = KIB * KIB;
const BURST: usize = 20;
const BURST_MESSAGE_BYTES: usize = 100;
/// Allocators and runtimes may give memory back a little later.
pub(super) const REST: Duration = Duration::from_millis(1500);
/// Until what was sent last is acknowledged: wspulse asks after 1 s to 2 s, where it asks.
const REST_ACKNOWLEDGED: Duration = Duration::from_secs(3);

pub(super) fn idle(clients: usize) -> Scenario {
    Scenario {
        name: format!("idle-memory-{clients}"),
        title: format!("{clients} idle connections"),
        what: format!(
            "{clients} clients connect to one room, {} at a time; the server's resident memory is \
             read when all are idle, and again after {BURST} messages of {BURST_MESSAGE_BYTES} \
             bytes to all of them.",
            crate::load::CONNECTING_MAX
        ),
        columns: vec![
            headline("idle_kib", "resident each", Unit::Kib, Better::Lower),
            column("burst_kib", "after the burst", Unit::Kib, Better::Lower),
            column("connects", "connects", Unit::PerSecond, Better::Higher),
            column("connect_us", "server CPU per connect", Unit::Micros, Better::Lower),
        ],
        field: Field::All,
        run: Box::new(move |subject, _| run_idle(subject, clients)),
    }
}

fn run_idle(subject: &Subject, clients: usize) -> Result<Outcome, Box<dyn Error>> {
    let (mut stage, base) = with_first(subject)?;
    let watch = stage.stopwatch()?;
    let more = (FIRST..FIRST + clients).map(|client| identity(0, client));
    stage.fleet.connect(more, Buffers::System, CONNECT_WITHIN)?;
    let costs = watch.stop(&stage)?;
    rest(&mut stage, REST)?;
    let each = |bytes: u64| bytes.saturating_sub(base) as f64 / clients as f64 / KIB;
    let idle = each(stage.server.resident_bytes()?);
    let members = FIRST + clients;
    stage.settle(members)?;
    publish(&mut stage, members, BURST, BURST_MESSAGE_BYTES)?;
    rest(&mut stage, REST)?;
    let burst = each(stage.server.resident_bytes()?);
    Ok(Outcome::default()
        .with("idle_kib", idle)
        .with("burst_kib", burst)
        .with("connects", costs.per_second(clients as u64))
        .with("connect_us", costs.server_micros(clients as u64)))
}

pub(super) fn idle_cpu(clients: usize) -> Scenario {
    Scenario {
        name: format!("idle-cpu-{clients}"),
        title: format!("{clients} idle connections with heartbeats"),
        what: format!(
            "The server's processor time while {clients} clients do nothing but answer Pings, at \
             the heartbeat that each server has by default."
        ),
        columns: vec![headline("server_cores", "of a core", Unit::Percent, Better::Lower)],
        field: Field::Rivals,
        run: Box::new(move |subject, effort| {
            let mut stage = Stage::with_rooms(subject, Mode::Room, 1, clients)?;
            rest(&mut stage, REST_ACKNOWLEDGED)?;
            let watch = stage.stopwatch()?;
            rest(&mut stage, effort.watched)?;
            let percent = watch.stop(&stage)?.server_percent();
            Ok(Outcome::default().with("server_cores", percent))
        }),
    }
}

pub(super) const BACKLOG_MESSAGES: usize = 256;
pub(super) const BACKLOG_MESSAGE_BYTES: usize = 1024;

pub(super) fn suspended(clients: usize) -> Scenario {
    Scenario {
        name: format!("suspended-memory-{clients}"),
        title: format!("{clients} suspended members"),
        what: format!(
            "{clients} members of a room are cut off; {BACKLOG_MESSAGES} messages of \
             {BACKLOG_MESSAGE_BYTES} bytes are published to the room. What the server's resident \
             memory has grown by since before they came."
        ),
        columns: vec![
            headline("total_mib", "in all", Unit::Mib, Better::Lower),
            column("each_kib", "each", Unit::Kib, Better::Lower),
        ],
        field: Field::Ours,
        run: Box::new(move |subject, _| {
            let (mut stage, base) = with_first(subject)?;
            let more = (FIRST..FIRST + clients).map(|client| identity(0, client));
            stage.fleet.connect(more, Buffers::System, CONNECT_WITHIN)?;
            stage.settle(FIRST + clients)?;
            stage.fleet.cut(FIRST)?;
            rest(&mut stage, REST)?;
            publish(&mut stage, FIRST, BACKLOG_MESSAGES, BACKLOG_MESSAGE_BYTES)?;
            rest(&mut stage, REST)?;
            let grown = stage.server.resident_bytes()?.saturating_sub(base) as f64;
            Ok(Outcome::default()
                .with("total_mib", grown / MIB)
                .with("each_kib", grown / clients as f64 / KIB))
        }),
    }
}

pub(super) fn with_first(subject: &Subject) -> Result<(Stage, u64), Box<dyn Error>> {
    let mut stage = Stage::empty(subject, Mode::Room)?;
    let first = (0..FIRST).map(|client| identity(0, client));
    stage.fleet.connect(first, Buffers::System, CONNECT_WITHIN)?;
    stage.settle(FIRST)?;
    rest(&mut stage, REST)?;
    let base = stage.server.resident_bytes()?;
    Ok((stage, base))
}

/// Publishes so many messages one after the other, each when all `members` have got the one before.
pub(super) fn publish(
    stage: &mut Stage,
    members: usize,
    messages: usize,
    message_bytes: usize,
) -> Result<(), LoadError> {
    let deadline = Instant::now() + STEP_WITHIN;
    for number in 0..messages {
        let message = payload(number as u64, message_bytes);
        stage.fleet.send(0, &message)?;
        let mut missing = members;
        while missing > 0 {
            if Instant::now() > deadline {
                let what = format!("message {number} at all members ({missing} missing)");
                return Err(LoadError::Late { what, within: STEP_WITHIN });
            }
            stage.fleet.turn(Duration::from_millis(100), &mut |_, got| {
                missing -= usize::from(got == message);
            })?;
        }
    }
    Ok(())
}

/// Lets time pass, answering what must be answered.
pub(super) fn rest(stage: &mut Stage, duration: Duration) -> Result<(), LoadError> {
    let until = Instant::now() + duration;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        stage.fleet.turn(left, &mut |_, _| {})?;
    }
    Ok(())
}
