//! A reconnect storm: everybody is cut off at once and comes back at once.

use std::time::{Duration, Instant};

use super::memory::{publish, rest};
use super::stage::{CONNECT_WITHIN, STEP_WITHIN, Stage, identity, stamp};
use super::{Field, Outcome, Scenario, column, headline};
use crate::load::{Buffers, LoadError};
use crate::report::{Better, Unit};
use crate::subject::Mode;

const MESSAGES: usize = 10;
const MESSAGE_BYTES: usize = 100;

pub(super) fn scenario(clients: usize) -> Scenario {
    Scenario {
        name: format!("reconnect-storm-{clients}"),
        title: format!("{clients} clients cut at once, all reconnecting"),
        what: format!(
            "{clients} clients connect, {} at a time; all are cut with a reset, {MESSAGES} messages \
             are published, and they come back at the same pace. The storm is over when each has \
             all of those messages, in order.",
            crate::load::CONNECTING_MAX
        ),
        columns: vec![
            headline("ratio", "storm ÷ first connect", Unit::Ratio, Better::Lower),
            column("first_s", "first connect", Unit::Seconds, Better::Lower),
            column("storm_s", "storm", Unit::Seconds, Better::Lower),
            column("replayed", "messages replayed", Unit::Count, Better::Neither),
        ],
        field: Field::Resuming,
        run: Box::new(move |subject, _| {
            let mut stage = Stage::empty(subject, Mode::Room)?;
            stage.fleet.connect([identity(0, 0)], Buffers::System, CONNECT_WITHIN)?;
            let others = || (1..=clients).map(|client| identity(0, client));
            let started = Instant::now();
            stage.fleet.connect(others(), Buffers::System, CONNECT_WITHIN)?;
            let first = started.elapsed();
            stage.settle(1 + clients)?;
            stage.fleet.cut(1)?;
            rest(&mut stage, Duration::from_secs(1))?;
            publish(&mut stage, 1, MESSAGES, MESSAGE_BYTES)?;

            let mut replay = Replay::new(clients);
            let started = Instant::now();
            let mut watch = |client, got: &[u8]| replay.deliver(client, got);
            stage.fleet.connect_watching(others(), Buffers::System, CONNECT_WITHIN, &mut watch)?;
            while replay.complete < clients {
                let mut watch = |client, got: &[u8]| replay.deliver(client, got);
                stage.fleet.turn(Duration::from_millis(10), &mut watch)?;
                if started.elapsed() > STEP_WITHIN + CONNECT_WITHIN {
                    let what =
                        format!("everything replayed to {clients} ({} have it)", replay.complete);
                    return Err(LoadError::Late { what, within: STEP_WITHIN }.into());
                }
            }
            let storm = started.elapsed();
            rest(&mut stage, Duration::from_millis(200))?;
            if replay.disordered > 0 {
                return Err(format!(
                    "{} messages out of order, lost or repeated",
                    replay.disordered
                )
                .into());
            }
            Ok(Outcome::default()
                .with("ratio", storm.as_secs_f64() / first.as_secs_f64())
                .with("first_s", first.as_secs_f64())
                .with("storm_s", storm.as_secs_f64())
                .with("replayed", (clients * MESSAGES) as f64))
        }),
    }
}

/// What the clients that came back have got.
struct Replay {
    next: Vec<u64>,
    complete: usize,
    disordered: usize,
}

impl Replay {
    fn new(clients: usize) -> Self {
        Self { next: vec![0; 1 + clients], complete: 0, disordered: 0 }
    }

    fn deliver(&mut self, client: usize, payload: &[u8]) {
        let Some(number) = stamp(payload) else { return };
        let next = &mut self.next[client];
        self.disordered += usize::from(number != *next);
        *next += 1;
        self.complete += usize::from(*next == MESSAGES as u64);
    }
}
