//! Everybody falls silent at once, and comes back at once.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use super::memory::{MIB, publish, rest};
use super::replay::{acknowledged, come_back};
use super::stage::{CONNECT_WITHIN, Stage, identity};
use super::{Field, Outcome, Scenario, column, cost_columns, headline};
use crate::load::Buffers;
use crate::report::{Better, Unit};
use crate::subject::{Mode, Subject};

const MESSAGES: usize = 50;
const MESSAGE_BYTES: usize = 100;
/// Less than servers take to give a silent client up.
const SILENCE: Duration = Duration::from_secs(20);

pub(super) fn scenario(clients: usize) -> Scenario {
    let mut columns = vec![
        headline("ratio", "return ÷ first connect", Unit::Ratio, Better::Lower),
        column("first_s", "first connect", Unit::Seconds, Better::Lower),
        column("return_s", "return", Unit::Seconds, Better::Lower),
        column("replayed", "messages replayed", Unit::Count, Better::Neither),
        column("resident_mib", "resident before it", Unit::Mib, Better::Lower),
        column("back_mib", "resident after it", Unit::Mib, Better::Lower),
        column("first_us", "server CPU per first connect", Unit::Micros, Better::Lower),
        column("cpu_ratio", "server CPU, return ÷ first connect", Unit::Ratio, Better::Lower),
    ];
    columns.extend(cost_columns("return"));
    Scenario {
        name: format!("returning-{clients}"),
        title: format!("{clients} clients silent for {} s, all coming back", SILENCE.as_secs()),
        what: format!(
            "{clients} clients connect, {} at a time; all fall silent without a word, {MESSAGES} \
             messages of {MESSAGE_BYTES} bytes are published, and {} s after they fell silent they \
             come back at the same pace, with sockets of their own beside the silent ones. It is \
             over when each has all of those messages, in order and once.",
            crate::load::CONNECTING_MAX,
            SILENCE.as_secs()
        ),
        columns,
        field: Field::Promising,
        run: Box::new(move |subject, _| run(subject, clients)),
    }
}

fn run(subject: &Subject, clients: usize) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::empty(subject, Mode::Room)?;
    stage.fleet.connect([identity(0, 0)], Buffers::System, CONNECT_WITHIN)?;
    let others = (1..=clients).map(|client| identity(0, client));
    let watch = stage.stopwatch()?;
    stage.fleet.connect(others, Buffers::System, CONNECT_WITHIN)?;
    let first = watch.stop(&stage)?;
    stage.settle(1 + clients)?;
    acknowledged(&mut stage, subject)?;

    let returning = stage.fleet.fall_silent(1)?;
    let back_at = Instant::now() + SILENCE;
    publish(&mut stage, 1, MESSAGES, MESSAGE_BYTES)?;
    let left = back_at.checked_duration_since(Instant::now());
    rest(&mut stage, left.ok_or("publishing took longer than the silence")?)?;
    let resident_mib =
        |stage: &Stage| Ok::<_, io::Error>(stage.server.resident_bytes()? as f64 / MIB);
    let before_mib = resident_mib(&stage)?;
    let back = come_back(&mut stage, returning, MESSAGES)?;
    let back_mib = resident_mib(&stage)?;
    let [first_us, return_us] = [first, back].map(|costs| costs.server_micros(clients as u64));
    let outcome = Outcome::default()
        .with("ratio", back.elapsed.as_secs_f64() / first.elapsed.as_secs_f64())
        .with("first_s", first.elapsed.as_secs_f64())
        .with("return_s", back.elapsed.as_secs_f64())
        .with("resident_mib", before_mib)
        .with("back_mib", back_mib)
        .with("first_us", first_us)
        .with("cpu_ratio", return_us / first_us)
        .with("replayed", (clients * MESSAGES) as f64);
    Ok(back.fill(outcome, clients as u64))
}
