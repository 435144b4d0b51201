//! What is measured: a list of scenarios, each run for one server at a time.

mod catch_up;
mod compressed;
mod content;
mod drain;
mod echo;
mod fairness;
mod fanout;
mod flight;
mod inbound;
mod memory;
mod moves;
mod moving;
mod paced;
mod presence;
mod replay;
mod requests;
mod returning;
mod rooms;
mod rooms_paced;
mod scaling;
mod slow;
mod stage;
mod storm;
mod streams;
mod two_servers;
mod unacknowledged;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::Way;
use crate::report::{
    BEFORE, Better, Column, LIMIT, LIMIT_BATCHED, Latency, OURS, SERVER_CPU, Unit, human,
};
use crate::subject::Subject;
use content::Content;

/// How much time a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// For what happens rarely, such as heartbeats.
    pub(crate) watched: Duration,
}

impl Effort {
    pub(crate) const QUICK: Self = Self {
        warm_up: Duration::from_millis(200),
        measured: Duration::from_millis(500),
        watched: Duration::from_secs(10),
    };
    pub(crate) const FULL: Self = Self {
        warm_up: Duration::from_millis(300),
        measured: Duration::from_secs(1),
        watched: Duration::from_secs(20),
    };
}

/// What one run has come to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) values: BTreeMap<String, f64>,
    pub(crate) latency: Option<Latency>,
}

impl Outcome {
    fn with(mut self, key: &str, value: f64) -> Self {
        self.values.insert(key.to_owned(), value);
        self
    }
}

pub(crate) type Run = Box<dyn Fn(&Subject, &Effort) -> Result<Outcome, Box<dyn Error>>>;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Everyone.
    All,
    /// Our own, which can resume sessions whose clients need say nothing for it.
    Ours,
    /// The same, and with a promise of delivery.
    Resuming,
    /// Our own with a promise of delivery.
    Promising,
    /// Our own with both codecs, and everyone else.
    Inbound,
    /// Our own and those whose connections may be in many rooms.
    ManyRooms,
    /// Only those whose figures a bar is about: the others would take minutes.
    Rivals,
    /// Our own, and the limit as a process for each of the cores.
    Scaling,
    /// Those that compress, and our own and the batched limit, which do not.
    Compressing,
    /// Our own, and our own whose clients are streams of HTTP/2 connections.
    Streams,
    /// Those that a broker joins.
    Joined,
    /// Those of them whose sessions go from one to the other.
    Moving,
}

pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) what: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) field: Field,
    pub(crate) run: Run,
}

/// Whose figures the bars are about.
const RIVALS: [&str; 4] = [OURS, "uwebsockets", LIMIT_BATCHED, LIMIT];
/// Whose else in the saturated fan-out, and in the inbound scenarios.
const FANOUT_RIVALS: [&str; 3] = ["axum", "axum-each", "gws"];
const INBOUND_RIVALS: [&str; 1] = ["wspulse-raw"];
/// Those that have the modes for it.
const MANY_ROOMS: [&str; 3] = [OURS, "socketioxide", "socketio"];
/// Our own with a promise of delivery.
pub(crate) const PROMISING: [&str; 2] = ["wspulse+at-least-once", "wspulse+exactly-once"];

/// As it is, or was at another commit.
fn is_ours(name: &str) -> bool {
    [OURS, BEFORE].contains(&name)
}

impl Scenario {
    /// Whether a server takes part.
    pub(crate) fn includes(&self, subject: &Subject) -> bool {
        match self.field {
            Field::All => subject.name != "wspulse-raw",
            Field::Compressing => {
                subject.compresses() || is_ours(&subject.name) || subject.name == LIMIT_BATCHED
            }
            Field::Streams => subject.way == Way::Streams || is_ours(&subject.name),
            Field::Joined => subject.broker.is_some() && !subject.promises,
            Field::Moving => subject.broker.is_some() && subject.promises,
            Field::Ours => is_ours(&subject.name),
            Field::Resuming => is_ours(&subject.name) || PROMISING.contains(&&*subject.name),
            Field::Promising => PROMISING.contains(&&*subject.name),
            Field::Inbound => true,
            Field::ManyRooms => is_ours(&subject.name) || MANY_ROOMS.contains(&&*subject.name),
            Field::Rivals => {
                is_ours(&subject.name)
                    || PROMISING.contains(&&*subject.name)
                    || self.is_about(subject)
            }
            Field::Scaling => {
                is_ours(&subject.name)
                    || PROMISING.contains(&&*subject.name)
                    || subject.name == LIMIT_BATCHED
            }
        }
    }

    /// Whether anybody is there whom it is about.
    pub(crate) fn is_worth(&self, subjects: &[Subject]) -> bool {
        match self.field {
            Field::Compressing => subjects.iter().any(Subject::compresses),
            Field::Streams => subjects.iter().any(|subject| subject.way == Way::Streams),
            Field::All
            | Field::Ours
            | Field::Resuming
            | Field::Promising
            | Field::Inbound
            | Field::ManyRooms
            | Field::Rivals
            | Field::Scaling
            | Field::Joined
            | Field::Moving => true,
        }
    }

    /// Whether a bar is about a server's figure: then it takes part in all rounds.
    pub(crate) fn is_about(&self, subject: &Subject) -> bool {
        let name = subject.name.as_str();
        RIVALS.contains(&name)
            || (self.name.starts_with("fanout-saturated") && FANOUT_RIVALS.contains(&name))
            || (self.field == Field::Inbound && INBOUND_RIVALS.contains(&name))
            || (self.field == Field::ManyRooms && MANY_ROOMS.contains(&name))
    }
}

impl Scenario {
    /// The value that the scenario is about, for whoever watches.
    pub(crate) fn headline_of(&self, outcome: &Outcome) -> String {
        let column = self.columns.iter().find(|column| column.headline);
        let shown = column.and_then(|column| {
            outcome.values.get(&column.key).map(|value| human(*value, column.unit))
        });
        shown.unwrap_or_default()
    }
}

/// All scenarios whose load is known beforehand; [`FOLLOWING`] ones depend on what these found out.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = vec![echo::scenario(1), echo::scenario(100)];
    all.extend([requests::scenario(1), requests::scenario(64)]);
    all.push(fanout::one_at_a_time(100));
    all.extend([(100, 16), (1000, 16), (10_000, 8)].map(|(n, w)| fanout::saturated(n, w)));
    all.extend([rooms::scenario(ROOMS, ROOM_MEMBERS), scaling::scenario(ROOMS, ROOM_MEMBERS)]);
    all.push(two_servers::scenario(ROOMS, ROOM_MEMBERS));
    all.extend([moving::scenario(1000), fanout::to_an_audience(1000, 16)]);
    all.extend(inbound::Load::ALL.map(inbound::scenario));
    all.extend([memory::idle(1000), memory::idle(10_000), memory::idle_cpu(10_000)]);
    all.extend([memory::suspended(10_000), storm::scenario(10_000), slow::scenario(1000, 10)]);
    all.extend([unacknowledged::scenario(10_000), returning::scenario(10_000)]);
    all.extend([catch_up::scenario(1000), moves::scenario(1000), drain::scenario(10_000)]);
    all.push(presence::scenario(1000));
    all.extend([streams::in_a_room(), streams::echo()]);
    all.extend(MESSAGE_BYTES.map(|bytes| compressed::scenario(Content::Talk, bytes)));
    all.push(compressed::scenario(Content::Positions, 1024));
    all
}

/// How large compressed messages are.
const MESSAGE_BYTES: [usize; 6] = [64, 256, 1024, 4096, 16_384, 65_536];
/// How many small rooms there are, and how small they are.
const ROOMS: usize = 1000;
const ROOM_MEMBERS: usize = 10;

/// Scenarios whose load is a share of what the weakest server moved in another one.
pub(crate) struct Following {
    /// The scenario that finds out how much that is.
    pub(crate) after: &'static str,
    /// In percent.
    pub(crate) shares: &'static [u32],
    /// Whose figures count; all real servers' if this is empty.
    pub(crate) weakest_of: &'static [&'static str],
    /// One of them, by its share and by the deliveries a second that are all.
    pub(crate) at: fn(u32, f64) -> Scenario,
}

/// All of these.
pub(crate) const FOLLOWING: [Following; 2] = [
    Following {
        after: "fanout-saturated-1000",
        shares: &[30, 60, 90],
        weakest_of: &[],
        at: |percent, capacity| paced::scenario(1000, percent, capacity),
    },
    Following {
        after: "rooms-1000x10",
        shares: &[60],
        weakest_of: &[OURS, "uwebsockets"],
        at: |percent, capacity| rooms_paced::scenario(ROOMS, ROOM_MEMBERS, percent, capacity),
    },
];

pub(crate) use moving::{EVERYBODY, MOVES, VISITED};

fn column(key: &str, heading: &str, unit: Unit, better: Better) -> Column {
    Column { key: key.to_owned(), heading: heading.to_owned(), unit, better, headline: false }
}

fn headline(key: &str, heading: &str, unit: Unit, better: Better) -> Column {
    Column { headline: true, ..column(key, heading, unit, better) }
}

/// Processor time, where each operation's share of it is asked for.
fn cost_columns(operation: &str) -> Vec<Column> {
    vec![
        column(SERVER_CPU, &format!("server CPU per {operation}"), Unit::Micros, Better::Lower),
        column("server_user", "user share of it", Unit::Percent, Better::Neither),
        column(
            "load_us",
            &format!("load generator CPU per {operation}"),
            Unit::Micros,
            Better::Neither,
        ),
        column("server_cores", "server CPU", Unit::Percent, Better::Neither),
        column("load_cores", "load generator CPU", Unit::Percent, Better::Neither),
    ]
}

/// For latencies in nanoseconds, of up to a minute.
fn histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new_with_max(60_000_000_000, 3)
}

const PERCENTILES: [f64; 9] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99];

/// The percentiles of a histogram of nanoseconds, without those that too few values stand behind.
fn latency_of(histogram: &Histogram<u64>) -> Latency {
    let has_support = |percentile: &f64| histogram.len() as f64 * (100.0 - percentile) >= 100.0;
    let micros = |percentile| histogram.value_at_percentile(percentile) as f64 / 1e3;
    let percentiles = PERCENTILES.into_iter().filter(has_support);
    Latency {
        percentiles: percentiles.map(|percentile| (percentile, micros(percentile))).collect(),
    }
}
