//! What it costs to keep what clients have not acknowledged.

use std::error::Error;
use std::time::{Duration, Instant};

use super::flight::Flight;
use super::memory::{BACKLOG_MESSAGE_BYTES, BACKLOG_MESSAGES, FIRST, MIB, REST, rest, with_first};
use super::replay::{acknowledged, come_back};
use super::stage::{CONNECT_WITHIN, STEP_WITHIN, Stage, identity, payload, stamp};
use super::{Field, Outcome, Scenario, column, headline};
use crate::load::{Buffers, LoadError};
use crate::report::{Better, Unit};
use crate::subject::Subject;

/// So many messages are under way at once: a server that takes long for the first of them would
/// come to the end of what its clients' silence allows.
const UNDER_WAY: usize = 8;
/// So many of the clients come back at the end, to see that what they missed was kept.
const WITNESSES: usize = 100;

pub(super) fn scenario(clients: usize) -> Scenario {
    Scenario {
        name: format!("unacknowledged-{clients}"),
        title: format!("{clients} suspended members that have acknowledged nothing"),
        what: format!(
            "{clients} members of a room read {BACKLOG_MESSAGES} messages of \
             {BACKLOG_MESSAGE_BYTES} bytes and acknowledge none, then all are cut. The server's \
             resident memory, with all that it has besides; what it has grown by since before they \
             came; and how much more that is than with another {clients} that are cut and have \
             acknowledged all. At the end {WITNESSES} of them come back, and must get all of those \
             messages again."
        ),
        columns: vec![
            headline("total_mib", "the whole process", Unit::Mib, Better::Lower),
            column("grown_mib", "since before they came", Unit::Mib, Better::Lower),
            column("bare_mib", "the same with nothing to keep", Unit::Mib, Better::Lower),
            column("kept_kib", "each, for what is kept", Unit::Kib, Better::Lower),
        ],
        field: Field::Promising,
        run: Box::new(move |subject, _| run(subject, clients)),
    }
}

fn run(subject: &Subject, clients: usize) -> Result<Outcome, Box<dyn Error>> {
    let bare = resident(subject, clients, 0)?;
    let kept = resident(subject, clients, BACKLOG_MESSAGES)?;
    Ok(Outcome::default()
        .with("total_mib", kept.total / MIB)
        .with("grown_mib", kept.grown / MIB)
        .with("bare_mib", bare.grown / MIB)
        .with("kept_kib", (kept.grown - bare.grown) / clients as f64 / 1024.0))
}

/// In bytes.
struct Resident {
    total: f64,
    grown: f64,
}

/// What a server needs for so many suspended members with so many messages each to be kept.
fn resident(
    subject: &Subject,
    clients: usize,
    messages: usize,
) -> Result<Resident, Box<dyn Error>> {
    let (mut stage, base) = with_first(subject)?;
    let more = (FIRST..FIRST + clients).map(|client| identity(0, client));
    stage.fleet.connect(more, Buffers::System, CONNECT_WITHIN)?;
    stage.settle(FIRST + clients)?;
    acknowledged(&mut stage, subject)?;
    stage.fleet.stop_answering(FIRST);
    flood(&mut stage, FIRST + clients, messages)?;
    let mut returning = stage.fleet.cut(FIRST)?;
    rest(&mut stage, REST)?;
    let resident = stage.server.resident_bytes()?;
    returning.truncate(WITNESSES);
    come_back(&mut stage, returning, messages)?;
    Ok(Resident { total: resident as f64, grown: resident.saturating_sub(base) as f64 })
}

/// Publishes so many messages, and returns when all members have got all of them.
fn flood(stage: &mut Stage, members: usize, messages: usize) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + STEP_WITHIN;
    let mut flight = Flight::new(members);
    let mut published = 0;
    while flight.completed < messages as u64 {
        while published < messages && flight.under_way() < UNDER_WAY {
            flight.publish(Instant::now());
            stage.fleet.send(0, &payload(published as u64, BACKLOG_MESSAGE_BYTES))?;
            published += 1;
        }
        stage.fleet.turn(Duration::from_millis(100), &mut |client, got| {
            if stamp(got).is_some() {
                flight.deliver(client, Instant::now);
            }
        })?;
        if Instant::now() > deadline {
            let what = format!("{messages} messages at all members ({} are)", flight.completed);
            return Err(LoadError::Late { what, within: STEP_WITHIN }.into());
        }
    }
    Ok(flight.verify()?)
}
