//! A server is drained: its clients are closed evenly, and those that talk do not feel it.

use std::error::Error;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::stage::{CONNECT_WITHIN, STEP_WITHIN, Stage, identity, payload, stamp};
use super::{Effort, Field, Outcome, Scenario, column, headline, histogram, latency_of};
use crate::load::{Buffers, LoadError};
use crate::report::{Better, Unit};
use crate::serve::DRAIN_WINDOW;
use crate::subject::{Mode, Subject};

/// They come last, and so they leave last.
const TALKERS: usize = 100;
/// How often each of them talks.
const INTERVAL: Duration = Duration::from_millis(100);
const MESSAGE_BYTES: usize = 100;

pub(super) fn scenario(clients: usize) -> Scenario {
    Scenario {
        name: format!("drain-{clients}"),
        title: format!("{clients} clients drained over {} s", DRAIN_WINDOW.as_secs()),
        what: format!(
            "{clients} clients are idle, and {TALKERS} more send a message of {MESSAGE_BYTES} bytes \
             every {} ms and get it back. The server is drained: all must read a close frame with \
             1012 and `retry=<ms>`. Each round trip's latency counts from when its message was due.",
            INTERVAL.as_millis()
        ),
        columns: vec![
            headline("bin_ratio", "fullest second ÷ mean", Unit::Ratio, Better::Lower),
            column("p99_ratio", "p99 during it ÷ before", Unit::Ratio, Better::Lower),
            column("p99_us", "p99 during it", Unit::Micros, Better::Lower),
            column("p99_before_us", "p99 before", Unit::Micros, Better::Lower),
            column("drain_s", "until the last was told", Unit::Seconds, Better::Neither),
            column("told", "close frames read", Unit::Count, Better::Neither),
        ],
        field: Field::Ours,
        run: Box::new(move |subject, effort| run(subject, effort, clients)),
    }
}

fn run(subject: &Subject, effort: &Effort, idle: usize) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::empty(subject, Mode::Echo)?;
    let all = (0..idle + TALKERS).map(|client| identity(0, client));
    stage.fleet.connect(all, Buffers::System, CONNECT_WITHIN)?;
    let mut talk = Talk::new(idle)?;
    talk.go_on(&mut stage, |talk| talk.elapsed() >= effort.warm_up)?;

    let mut talk = Talk::new(idle)?;
    talk.go_on(&mut stage, |talk| talk.elapsed() >= effort.watched / 5)?;
    let before = talk.latencies;

    let mut talk = Talk::new(idle)?;
    stage.server.terminate()?;
    talk.go_on(&mut stage, |talk| talk.closed_at.len() == idle + TALKERS)?;
    let drain = talk.elapsed();
    let seconds = DRAIN_WINDOW.as_secs();
    let fullest = (0..=drain.as_secs())
        .map(|second| talk.closed_at.iter().filter(|at| at.as_secs() == second).count())
        .max();
    let mean = (idle + TALKERS) as f64 / seconds as f64;
    let micros = |of: &Histogram<u64>| of.value_at_quantile(0.99) as f64 / 1e3;
    let (p99_us, p99_before_us) = (micros(&talk.latencies), micros(&before));
    Ok(Outcome { latency: Some(latency_of(&talk.latencies)), ..Outcome::default() }
        .with("bin_ratio", fullest.unwrap_or_default() as f64 / mean)
        .with("p99_ratio", p99_us / p99_before_us)
        .with("p99_us", p99_us)
        .with("p99_before_us", p99_before_us)
        .with("drain_s", drain.as_secs_f64())
        .with("told", talk.closed_at.len() as f64))
}

/// The talkers' round trips, and who was closed meanwhile.
struct Talk {
    /// The first of the talkers.
    first: usize,
    started: Instant,
    sent: u64,
    is_closed: Vec<bool>,
    closed_at: Vec<Duration>,
    latencies: Histogram<u64>,
}

impl Talk {
    fn new(first: usize) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            first,
            started: Instant::now(),
            sent: 0,
            is_closed: vec![false; first + TALKERS],
            closed_at: Vec::new(),
            latencies: histogram()?,
        })
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn go_on(
        &mut self,
        stage: &mut Stage,
        is_over: impl Fn(&Self) -> bool,
    ) -> Result<(), Box<dyn Error>> {
        let within = DRAIN_WINDOW + STEP_WITHIN;
        let mut wrong = None;
        while !is_over(self) {
            if self.elapsed() > within {
                let what = format!("{} close frames", self.closed_at.len());
                return Err(LoadError::Late { what, within }.into());
            }
            self.send_what_is_due(stage)?;
            let Self { started, latencies, closed_at, is_closed, .. } = self;
            stage.fleet.turn_parting(
                Duration::from_millis(1),
                &mut |_, got| {
                    if let Some(due) = stamp(got) {
                        let now = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                        latencies.saturating_record(now.saturating_sub(due));
                    }
                },
                &mut |client, close| {
                    if retry_of(close).is_none() {
                        wrong = Some(format!("client {client} was told {close:?}"));
                    }
                    is_closed[client] = true;
                    closed_at.push(started.elapsed());
                },
            )?;
            if let Some(wrong) = wrong {
                return Err(wrong.into());
            }
        }
        Ok(())
    }

    /// Each talker in its turn, evenly over the interval.
    fn send_what_is_due(&mut self, stage: &mut Stage) -> Result<(), LoadError> {
        let apart = INTERVAL.as_nanos() as u64 / TALKERS as u64;
        while u128::from(self.sent * apart) <= self.elapsed().as_nanos() {
            let client = self.first + (self.sent % TALKERS as u64) as usize;
            if !self.is_closed[client] {
                stage.fleet.send(client, &payload(self.sent * apart, MESSAGE_BYTES))?;
            }
            self.sent += 1;
        }
        Ok(())
    }
}

/// The milliseconds of `retry=<ms>` behind the code 1012.
fn retry_of(close: &[u8]) -> Option<u64> {
    let reason = close.strip_prefix(&1012_u16.to_be_bytes())?;
    std::str::from_utf8(reason).ok()?.strip_prefix("retry=")?.parse().ok()
}
