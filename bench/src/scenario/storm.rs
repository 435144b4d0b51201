//! A reconnect storm: everybody is cut off at once and comes back at once.

use std::time::Duration;

use super::memory::{publish, rest};
use super::replay::{acknowledged, come_back};
use super::stage::{CONNECT_WITHIN, Stage, identity};
use super::{Field, Outcome, Scenario, column, headline};
use crate::load::Buffers;
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
            let others = (1..=clients).map(|client| identity(0, client));
            let watch = stage.stopwatch()?;
            stage.fleet.connect(others, Buffers::System, CONNECT_WITHIN)?;
            let first = watch.elapsed();
            stage.settle(1 + clients)?;
            acknowledged(&mut stage, subject)?;
            let returning = stage.fleet.cut(1)?;
            rest(&mut stage, Duration::from_secs(1))?;
            publish(&mut stage, 1, MESSAGES, MESSAGE_BYTES)?;
            let storm = come_back(&mut stage, returning, MESSAGES)?.elapsed;
            Ok(Outcome::default()
                .with("ratio", storm.as_secs_f64() / first.as_secs_f64())
                .with("first_s", first.as_secs_f64())
                .with("storm_s", storm.as_secs_f64())
                .with("replayed", (clients * MESSAGES) as f64))
        }),
    }
}
