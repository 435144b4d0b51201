//! A run: clients connect, they send and are cut, the last copies come, all part.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use wspulse_client::ConfigError;

use crate::histogram::float;
use crate::limits::{self, DescriptorsError};
use crate::mark::Marks;
use crate::outcome::{Ending, Outcome};
use crate::pacer::Pacer;
use crate::plan::{FanOut, Plan};
use crate::road::Road;
use crate::seat::{Room, Seat, Stage};
use crate::summary::Summary;
use crate::tally::Tally;
use crate::template::Fields;
use crate::timeline::{Moment, Seen, Timeline};
use crate::trust::{self, TrustError};

/// How many clients part at a time.
const PARTING_MAX: usize = 256;

/// How often is looked whether the last copies have come.
const LOOK: Duration = Duration::from_millis(10);

/// A run that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// More clients than descriptors.
    #[error(transparent)]
    Descriptors(#[from] DescriptorsError),
    /// Certificates that cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A client that cannot be made: its URL, its headers, its subprotocols.
    #[error("client {client}: {source}")]
    #[non_exhaustive]
    Client {
        /// Its number.
        client: usize,
        /// What is wrong.
        source: ConfigError,
    },
    /// Not one client has become ready.
    #[error("none of {clients} clients became ready within {within:?}{}", why(causes))]
    #[non_exhaustive]
    NobodyReady {
        /// How many there are.
        clients: usize,
        /// How long each had.
        within: Duration,
        /// Why attempts have failed, each with how often.
        causes: Vec<(String, u64)>,
    },
    /// The thread that sends has panicked.
    #[error("the thread that sends has failed: {_0}")]
    Sending(#[source] tokio::task::JoinError),
}

fn why(causes: &[(String, u64)]) -> String {
    if causes.is_empty() {
        return "; nothing has failed: the server has not answered, or `ready` names what never comes"
            .to_owned();
    }
    let lines: Vec<_> =
        causes.iter().map(|(cause, times)| format!("\n  {times} × {cause}")).collect();
    lines.concat()
}

/// What goes on in the background of a run, and ends with it.
struct Crew {
    lives: JoinSet<()>,
    seats: Arc<Mutex<Vec<Arc<Seat>>>>,
}

/// Makes a run. `stop` ends it early, and the report is of what there was. `watch` is shown each
/// moment, about once a second.
///
/// # Errors
///
/// [`RunError`] if there is nothing to report: nothing could be begun, or nobody became ready.
pub async fn run(
    plan: Plan,
    stop: impl Future<Output = ()>,
    watch: impl FnMut(&Moment) + Send + 'static,
) -> Result<Outcome, RunError> {
    limits::make_room(plan.clients)?;
    let warning = limits::warn_of_ports(plan.clients, plan.sources.len());
    let stage = Arc::new(stage(plan)?);
    let timeline = Timeline::start(Arc::clone(&stage), watch);
    let mut crew = Crew { lives: JoinSet::new(), seats: Arc::default() };
    // It is asked again after it has come: whoever stops the sending still waits for what was sent.
    let mut stop = pin!(stop.fuse());
    let started_at = Instant::now();
    let mut ending = Ending::Complete;
    tokio::select! {
        connected = connect(&stage, &mut crew, started_at) => connected?,
        () = &mut stop => ending = Ending::Stopped,
    }
    let connecting = started_at.elapsed();
    if stage.tally.ready.get() == 0 && ending == Ending::Complete {
        crew.part().await;
        return Err(RunError::NobodyReady {
            clients: stage.plan.clients,
            within: stage.plan.connect_timeout,
            causes: with_notes(&stage),
        });
    }
    let mut sent = Sent::default();
    if ending == Ending::Complete {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let mut sending = pin!(send(&stage, &crew, Arc::clone(&is_stopped)));
        sent = tokio::select! {
            sent = &mut sending => sent?,
            () = &mut stop => {
                ending = Ending::Stopped;
                is_stopped.store(true, Ordering::Release);
                sending.await?
            }
        };
        tokio::select! {
            () = settle(&stage) => {}
            () = &mut stop => ending = Ending::Stopped,
        }
    }
    let Seen { moments, latency } = timeline.finish().await;
    let mut summary = Summary::of(&stage.tally);
    let causes = stage.tally.causes();
    crew.part().await;
    // What clients had taken over and not sent, they have given back by now.
    (summary.sent, summary.unsent) = (stage.tally.sent.get(), stage.tally.unsent.get());
    summary.clients = stage.plan.clients as u64;
    summary.due = sent.due;
    summary.connecting_seconds = connecting.as_secs_f64();
    summary.sending_seconds = sent.took.as_secs_f64();
    summary.latency = latency;
    let notes = warning.into_iter().chain(stage.road.hits.notes()).collect();
    Ok(Outcome::new(&stage.plan, ending, &summary, moments, causes, notes))
}

fn with_notes(stage: &Stage) -> Vec<(String, u64)> {
    let notes = stage.road.hits.notes().into_iter().map(|note| (note, 1));
    stage.tally.causes().into_iter().chain(notes).collect()
}

pub(crate) fn stage(plan: Plan) -> Result<Stage, RunError> {
    let trust = trust::config(&plan.trust)?;
    let marks = Marks::new(&fresh_name());
    let room = |number| {
        let fields = Fields { n: number, run: marks.run(), ..Fields::default() };
        Room { name: plan.room.fill(&fields), members: AtomicUsize::new(0) }
    };
    Ok(Stage {
        rooms: (0..plan.rooms).map(room).collect(),
        road: Road::new(plan.address, plan.sources.clone()),
        tally: Tally::default(),
        sending_at: OnceLock::new(),
        changed: Notify::new(),
        marks,
        trust,
        plan,
    })
}

/// The name of a run, which no other has.
fn fresh_name() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};

    // Random enough for a name, and no dependency more.
    let number = RandomState::new().build_hasher().finish();
    format!("{:08x}", number >> 32)
}

/// Has all clients connect, each when it is due, and waits until each is ready, has ended, or has
/// had its time.
async fn connect(stage: &Arc<Stage>, crew: &mut Crew, started_at: Instant) -> Result<(), RunError> {
    let plan = &stage.plan;
    let mut last_due_at = started_at;
    for number in 0..plan.clients {
        let seconds = float(number as u64) / plan.connect_rate;
        last_due_at = started_at + Duration::from_secs_f64(seconds);
        if last_due_at > Instant::now() {
            tokio::time::sleep_until(last_due_at.into()).await;
        }
        let (seat, messages) = Seat::take(stage, number, last_due_at)
            .map_err(|source| RunError::Client { client: number, source })?;
        crew.lives.spawn(Arc::clone(&seat).live(messages));
        crew.seats.lock().push(seat);
    }
    let all_are_settled = async {
        while stage.tally.ready.get() + stage.tally.ended.get() < plan.clients as u64 {
            stage.changed.notified().await;
        }
    };
    // Whoever is not ready by then is not waited for.
    let deadline = last_due_at + plan.connect_timeout;
    let _ = tokio::time::timeout_at(deadline.into(), all_are_settled).await;
    Ok(())
}

/// What was sent in a run.
#[derive(Debug, Default)]
struct Sent {
    due: u64,
    took: Duration,
}

async fn send(
    stage: &Arc<Stage>,
    crew: &Crew,
    is_stopped: Arc<AtomicBool>,
) -> Result<Sent, RunError> {
    let mut ready = crew.seats.lock().clone();
    ready.retain(|seat| seat.is_ready());
    for seat in &ready {
        seat.expect_copies();
    }
    let senders = ready.iter().filter(|seat| stage.plan.is_sender(seat.number)).cloned().collect();
    let sending_at = *stage.sending_at.get_or_init(Instant::now);
    let pacer = Pacer {
        stage: Arc::clone(stage),
        senders,
        sending_at,
        is_stopped: Arc::clone(&is_stopped),
    };
    let pacing = async {
        let due = tokio::task::spawn_blocking(move || pacer.drive()).await;
        // Clients that send nothing stay as long as those that do.
        let until = sending_at + stage.plan.duration;
        while Instant::now() < until && !is_stopped.load(Ordering::Acquire) {
            tokio::time::sleep(LOOK).await;
        }
        due
    };
    let due = tokio::select! {
        due = pacing => due.map_err(RunError::Sending)?,
        never = cut(stage, &ready, sending_at) => match never {},
    };
    Ok(Sent { due, took: sending_at.elapsed() })
}

/// Cuts one client after another, each as often as the plan says.
async fn cut(stage: &Stage, seats: &[Arc<Seat>], from: Instant) -> Infallible {
    let Some(every) = stage.plan.cut_every else { return std::future::pending().await };
    let mut due_at = from;
    for seat in seats.iter().cycle() {
        due_at += every.div_f64(float(seats.len() as u64));
        tokio::time::sleep_until(due_at.into()).await;
        seat.cut();
    }
    std::future::pending().await
}

/// Waits until all copies have come, as long as it may.
async fn settle(stage: &Stage) {
    let all_have_come = async {
        let tally = &stage.tally;
        while stage.plan.fan_out == FanOut::Unknown || tally.received.get() < tally.expected.get() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // What has not come by then is lost.
    let _ = tokio::time::timeout(stage.plan.settle, all_have_come).await;
}

impl Crew {
    /// Has all clients part from the server.
    async fn part(mut self) {
        let mut partings = JoinSet::new();
        let seats = std::mem::take(&mut *self.seats.lock());
        for seat in seats {
            while partings.len() >= PARTING_MAX {
                partings.join_next().await;
            }
            partings.spawn(async move { seat.close().await });
        }
        while partings.join_next().await.is_some() {}
        while self.lives.join_next().await.is_some() {}
    }
}
