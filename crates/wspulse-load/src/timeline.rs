//! `Timeline`: what a run has done by each moment, about a second apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::histogram::Times;
use crate::seat::Stage;

/// How many moments a short run is to have.
const MOMENTS: u32 = 20;
const INTERVAL_MIN: Duration = Duration::from_millis(50);
const INTERVAL_MAX: Duration = Duration::from_secs(1);

/// What was so at a moment of a run, and what has happened since the one before.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Moment {
    /// Since the start of the run.
    #[serde(rename = "at_seconds", serialize_with = "seconds")]
    pub at: Duration,
    /// The time since the moment before.
    #[serde(rename = "interval_seconds", serialize_with = "seconds")]
    pub interval: Duration,
    /// How many clients there are to be.
    pub clients: u64,
    /// How many of them have a connection.
    pub open: u64,
    /// How many messages were sent by now.
    pub sent: u64,
    /// How many copies have come by now.
    pub received: u64,
    /// How many were expected by now.
    pub expected: u64,
    /// How many attempts to connect have failed by now.
    pub attempts_failed: u64,
    /// The latency of half of the copies that have come since the moment before, in microseconds.
    pub p50_micros: Option<f64>,
    /// That of 99 of 100.
    pub p99_micros: Option<f64>,
    /// The longest.
    pub max_micros: Option<f64>,
}

/// All that was seen of a run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) moments: Vec<Moment>,
    /// All latencies.
    pub(crate) latency: Times,
}

/// Looks at a run again and again.
#[derive(Debug)]
pub(crate) struct Timeline {
    looking: JoinHandle<Seen>,
    end: oneshot::Sender<()>,
}

impl Timeline {
    pub(crate) fn start(
        stage: Arc<Stage>,
        mut watch: impl FnMut(&Moment) + Send + 'static,
    ) -> Self {
        let (end, mut ended) = oneshot::channel();
        let looking = tokio::spawn(async move {
            let interval = (stage.plan.duration / MOMENTS).clamp(INTERVAL_MIN, INTERVAL_MAX);
            let started_at = Instant::now();
            let mut seen = Seen::default();
            let mut last_at = Duration::ZERO;
            loop {
                let is_last = tokio::select! {
                    biased;
                    _ = &mut ended => true,
                    () = tokio::time::sleep(interval) => false,
                };
                let at = started_at.elapsed();
                let moment = look(&stage, at, at.saturating_sub(last_at), &mut seen.latency);
                last_at = at;
                watch(&moment);
                seen.moments.push(moment);
                if is_last {
                    return seen;
                }
            }
        });
        Self { looking, end }
    }

    /// Looks once more and ends.
    pub(crate) async fn finish(self) -> Seen {
        // If nobody listens, what it does has failed, as is seen below.
        let _ = self.end.send(());
        self.looking.await.unwrap_or_default()
    }
}

fn look(stage: &Stage, at: Duration, interval: Duration, all: &mut Times) -> Moment {
    let tally = &stage.tally;
    let latency = tally.take_latency();
    all.add(&latency);
    Moment {
        at,
        interval,
        clients: stage.plan.clients as u64,
        open: tally.open.get(),
        sent: tally.sent.get(),
        received: tally.received.get(),
        expected: tally.expected.get(),
        attempts_failed: tally.attempts_failed.get(),
        p50_micros: latency.percentile(50.0),
        p99_micros: latency.percentile(99.0),
        max_micros: latency.max(),
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
