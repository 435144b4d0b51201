//! Presence: many people enter a large room, and its members are told.

use std::error::Error;
use std::time::{Duration, Instant};

use super::memory::rest;
use super::stage::{CONNECT_WITHIN, Costs, STEP_WITHIN, Stage, identity, payload};
use super::{Field, Outcome, Scenario, column, headline};
use crate::load::Buffers;
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

const MESSAGE_BYTES: usize = 100;
/// As many as each member may get for a thousand who enter within a second.
const BROADCASTS: usize = 40;
/// Within this those who enter are spread.
const ENTER_WITHIN: Duration = Duration::from_secs(1);
const STEPS: usize = 100;
/// The room whose members are told, and one whose members are not.
const TOLD: usize = 0;
const UNTOLD: usize = 1;

pub(super) fn scenario(members: usize) -> Scenario {
    Scenario {
        name: format!("presence-{members}"),
        title: format!("{members} people enter a room of {members} within a second"),
        what: format!(
            "{members} clients are in a room whose members are told who is there, and {members} \
             enter it within {} s. What each member gets for that, and what it costs the server, \
             beside {BROADCASTS} broadcasts of {MESSAGE_BYTES} bytes to all of them. What it costs \
             to let as many clients into a room that is not told is taken off.",
            ENTER_WITHIN.as_secs()
        ),
        columns: vec![
            headline("frames_max", "frames, most for a member", Unit::Count, Better::Lower),
            column("frames_mean", "frames, mean", Unit::Count, Better::Lower),
            column("presence_s", "server CPU for presence", Unit::Seconds, Better::Lower),
            column("broadcasts_s", "server CPU for the broadcasts", Unit::Seconds, Better::Lower),
            column("ratio", "presence ÷ broadcasts", Unit::Ratio, Better::Lower),
        ],
        field: Field::Ours,
        run: Box::new(move |subject, _| run(subject, members)),
    }
}

fn run(subject: &Subject, members: usize) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::empty(subject, Mode::Presence)?;
    let first = (0..members).map(|client| identity(TOLD, client));
    stage.fleet.connect(first, Buffers::System, CONNECT_WITHIN)?;
    rest(&mut stage, Duration::from_secs(1))?;
    let untold = enter(&mut stage, UNTOLD, members, &mut |_| {})?;
    let mut frames = vec![0_u64; members];
    let told = enter(&mut stage, TOLD, members, &mut |client| {
        if let Some(frames) = frames.get_mut(client) {
            *frames += 1;
        }
    })?;
    let broadcasts = broadcast(&mut stage, 2 * members)?;
    let seconds = |costs: &Costs| costs.server_micros(1) / 1e6;
    let presence = (seconds(&told) - seconds(&untold)).max(0.0);
    let total: u64 = frames.iter().sum();
    Ok(Outcome::default()
        .with("frames_max", frames.iter().copied().max().unwrap_or_default() as f64)
        .with("frames_mean", total as f64 / members as f64)
        .with("presence_s", presence)
        .with("broadcasts_s", seconds(&broadcasts))
        .with("ratio", presence / seconds(&broadcasts)))
}

/// Lets clients into a room, evenly, and waits until nothing more is told.
fn enter(
    stage: &mut Stage,
    room: usize,
    clients: usize,
    on_frame: &mut impl FnMut(usize),
) -> Result<Costs, Box<dyn Error>> {
    let watch = stage.stopwatch()?;
    let (before, started) = (stage.fleet.len(), Instant::now());
    for step in 0..STEPS {
        let next = started + ENTER_WITHIN * u32::try_from(step)? / u32::try_from(STEPS)?;
        while Instant::now() < next {
            stage.fleet.turn(next - Instant::now(), &mut |client, _| on_frame(client))?;
        }
        let range = clients * step / STEPS..clients * (step + 1) / STEPS;
        let identities = range.map(|client| identity(room, before + client));
        stage.fleet.connect_watching(
            identities,
            Buffers::System,
            CONNECT_WITHIN,
            &mut |it, _| {
                on_frame(it);
            },
        )?;
    }
    let settled = Instant::now() + Duration::from_millis(500);
    while Instant::now() < settled {
        stage.fleet.turn(Duration::from_millis(50), &mut |client, _| on_frame(client))?;
    }
    Ok(watch.stop(stage)?)
}

/// Broadcasts to the room whose members are told, one after the other.
fn broadcast(stage: &mut Stage, members: usize) -> Result<Costs, Box<dyn Error>> {
    let message = payload(0, MESSAGE_BYTES);
    let watch = stage.stopwatch()?;
    for _ in 0..BROADCASTS {
        stage.fleet.send(0, &message)?;
        let (mut missing, deadline) = (members, Instant::now() + STEP_WITHIN);
        while missing > 0 {
            stage.fleet.turn(Duration::from_millis(50), &mut |_, _| {
                missing = missing.saturating_sub(1);
            })?;
            if Instant::now() > deadline {
                return Err(format!("{missing} members have missed a broadcast").into());
            }
        }
    }
    Ok(watch.stop(stage)?)
}
