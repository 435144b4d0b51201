//! `Outcome`: all that a run tells, for people and for programs.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use wspulse_charts::Unit;

use crate::histogram::float;
use crate::plan::{FanOut, Plan, Protocol};
use crate::require::Verdict;
use crate::summary::{MEASURES, Summary};
use crate::timeline::Moment;

/// The percentiles of the curve of latencies.
const PERCENTILES: [f64; 14] =
    [50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 99.9999];

/// From so late on, this program's own slowness is to be seen in the latencies.
const LAG_MICROS: f64 = 10_000.0;

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// As planned.
    Complete,
    /// Early, as somebody wished.
    Stopped,
}

/// What a run has shown.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// What was done.
    pub setting: Setting,
    /// How it ended.
    pub ending: Ending,
    /// What was required, and whether it is met.
    pub verdicts: Vec<Verdict>,
    /// The numbers, by their names; none of what there was nothing of.
    #[serde(serialize_with = "by_name")]
    pub measured: Vec<Measured>,
    /// Latencies in microseconds, by their percentiles.
    pub latency_micros_by_percentile: Vec<(f64, f64)>,
    /// Why connections failed and ended, with how often.
    pub causes: Vec<(String, u64)>,
    /// What should be known before these numbers are believed.
    pub notes: Vec<String>,
    /// What was so, about once a second.
    pub moments: Vec<Moment>,
}

/// What was done in a run.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Setting {
    /// Where clients connected, without the query, which may hold secrets.
    pub url: String,
    /// What was spoken.
    pub protocol: Protocol,
    /// How many clients there were.
    pub clients: usize,
    /// Over how many rooms they were spread.
    pub rooms: usize,
    /// How many members of each room sent.
    pub senders: usize,
    /// How many messages each of them was to send in a second.
    pub rate: f64,
    /// Who was to get a copy.
    pub fan_out: FanOut,
    /// How long a message was.
    pub message_bytes: usize,
    /// How long was sent.
    pub duration_seconds: f64,
    /// How often each connection was cut.
    pub cut_every_seconds: Option<f64>,
}

/// A number of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Measured {
    /// Its name, by which it is required.
    pub name: &'static str,
    /// In what it is measured.
    pub unit: Unit,
    /// What it says.
    pub what: &'static str,
    /// None if there is nothing that it could be of.
    pub value: Option<f64>,
}

fn by_name<S: Serializer>(measured: &[Measured], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Value {
        value: Option<f64>,
        unit: Unit,
    }
    let named = measured.iter().map(|one| (one.name, Value { value: one.value, unit: one.unit }));
    named.collect::<BTreeMap<_, _>>().serialize(serializer)
}

impl Outcome {
    pub(crate) fn new(
        plan: &Plan,
        ending: Ending,
        summary: &Summary,
        moments: Vec<Moment>,
        causes: Vec<(String, u64)>,
        mut notes: Vec<String>,
    ) -> Self {
        notes.extend(doubts(plan, summary));
        let measured = MEASURES.iter().map(|measure| Measured {
            name: measure.name,
            unit: measure.unit,
            what: measure.what,
            value: (measure.value)(summary),
        });
        Self {
            setting: Setting::of(plan),
            ending,
            verdicts: plan.requirements.iter().map(|one| one.judge(summary)).collect(),
            measured: measured.collect(),
            latency_micros_by_percentile: curve(summary),
            causes,
            notes,
            moments,
        }
    }

    /// Whether all is met that was required.
    pub fn is_met(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.is_met)
    }

    /// A number by its name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.measured.iter().find(|one| one.name == name)?.value
    }
}

impl Setting {
    fn of(plan: &Plan) -> Self {
        let without_query = plan.url_text.split(['?', '#']).next().unwrap_or_default();
        Self {
            url: without_query.to_owned(),
            protocol: plan.protocol,
            clients: plan.clients,
            rooms: plan.rooms,
            senders: plan.senders,
            rate: plan.rate,
            fan_out: plan.fan_out,
            message_bytes: plan.message_bytes,
            duration_seconds: plan.duration.as_secs_f64(),
            cut_every_seconds: plan.cut_every.map(|every| every.as_secs_f64()),
        }
    }
}

/// The percentiles that stand for at least one copy each.
fn curve(summary: &Summary) -> Vec<(f64, f64)> {
    let copies = float(summary.latency.len());
    let is_shown = |percentile: &f64| copies * (1.0 - percentile / 100.0) >= 1.0;
    let shown = PERCENTILES.into_iter().filter(is_shown);
    shown.filter_map(|one| Some((one, summary.latency.percentile(one)?))).collect()
}

/// Why the numbers may say less than they seem to.
fn doubts(plan: &Plan, summary: &Summary) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(lag) = summary.lag.percentile(99.0).filter(|lag| *lag > LAG_MICROS) {
        doubts.push(format!(
            "this program sent 1 of 100 messages {:.0} ms late or more, and that is a part of the \
             latencies: give it a machine of its own, or share the clients among several",
            lag / 1000.0
        ));
    }
    if summary.connected < summary.clients {
        let missing = summary.clients - summary.connected;
        doubts.push(format!(
            "{missing} of {} clients never became ready: the rest had the server for themselves",
            summary.clients
        ));
    }
    if summary.unsent > 0 {
        doubts.push(format!(
            "{} messages were due and not sent, and have no latency: a client's outbox was full, or \
             it had ended",
            summary.unsent
        ));
    }
    let is_silent = summary.expected > 0 && summary.received == 0;
    if is_silent {
        let fan_out = plan.fan_out;
        doubts.push(format!(
            "no copy came of {} that were expected: is `fan-out` right ({fan_out:?}), does the \
             server pass on such a `message`, and does a `hello` have to come first?",
            summary.expected
        ));
    }
    doubts
}
