//! The data of a report, as it is collected and as it is written to JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use wspulse_charts::Unit;

use super::Bar;

/// One run of the benchmark: all scenarios, all subjects, all rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// The date on which it started.
    pub started: String,
    /// How thorough it was: `quick` or `full`.
    pub mode: String,
    /// How often a scenario was measured for a subject, at most.
    pub rounds: usize,
    /// Where receive work was done, if not on the core of who sent, as a loopback has it.
    #[serde(default)]
    pub elsewhere: Option<Elsewhere>,
    /// Who was measured, in the order in which the report names them.
    pub subjects: Vec<Subject>,
    /// Who should have been measured and was not.
    pub skipped: Vec<Skipped>,
    /// What was measured.
    pub scenarios: Vec<ScenarioResult>,
    /// What wspulse is held to. They come out of the scenarios, so they are added last.
    #[serde(default)]
    pub bars: Vec<Bar>,
}

/// The machine of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model.
    pub cpu: String,
    /// How many logical processors the run could use.
    pub cores: usize,
    /// The size of the memory.
    pub memory_bytes: u64,
    /// The kernel's version.
    pub kernel: String,
    /// The operating system.
    pub os: String,
    /// The Rust compiler's version.
    pub rustc: String,
    /// The load average of the minute before the run. Other work on the machine spoils a run.
    pub load_before: f64,
}

/// Receive work that is kept off the servers' cores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The core that it is to be done on, which is the load generator's.
    pub core: usize,
    /// How many of all packets were received there, in percent.
    pub percent: f64,
}

/// A server that was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its name, by which samples refer to it. Plots know [`super::OURS`], its variants, whose names
    /// add a word to it behind a hyphen or a plus, and both limits; all others are peers.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What a reader should know of its setup; may be empty.
    pub note: String,
}

/// A server that was not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// What was missing.
    pub why: String,
}

/// What one scenario gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioResult {
    /// Its name, unique in a report, fit for a file name. `fanout-saturated-<members>` and
    /// `idle-memory-<connections>` are plotted together, each family in one plot.
    pub name: String,
    /// Its name for readers.
    pub title: String,
    /// How it is measured, in a sentence.
    pub what: String,
    /// The values that a sample may have, in the order of the table's columns.
    pub columns: Vec<Column>,
    /// The measurements.
    pub samples: Vec<Sample>,
    /// The measurements that failed.
    pub failures: Vec<Failure>,
}

/// A value that a scenario measures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The key in [`Sample::values`].
    pub key: String,
    /// The heading of the table's column. It names the thing, the cells add the unit.
    pub heading: String,
    /// In what it is measured.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// Whether this is what the scenario is about. The first such column sorts the table, is
    /// compared between subjects, and is plotted.
    pub headline: bool,
}

/// Which way a value is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// It is told for information.
    Neither,
}

/// One measurement: a subject in a round of a scenario. There is one for each of these at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The subject's name.
    pub subject: String,
    /// The round, counted from 0. Within one, subjects are measured one after another, so that what
    /// changes on the machine in the course of a run meets all of them.
    pub round: usize,
    /// The values, by [`Column::key`].
    pub values: BTreeMap<String, f64>,
    /// How latencies were distributed, where they were measured.
    pub latency: Option<Latency>,
}

/// A distribution of latencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Pairs of a percentile, from 0 to 100, and its latency in microseconds.
    pub percentiles: Vec<(f64, f64)>,
}

/// A measurement that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The subject's name.
    pub subject: String,
    /// The round, counted from 0.
    pub round: usize,
    /// What went wrong.
    pub error: String,
}

impl Report {
    /// The whole report as JSON, indented. Values that are not finite become `null`.
    ///
    /// # Errors
    ///
    /// If `serde_json` cannot serialise it, which this data gives no cause for.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Whether the clients' receive work was kept off the servers' cores.
    pub const fn receives_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// The scenario with this name.
    pub fn scenario(&self, name: &str) -> Option<&ScenarioResult> {
        self.scenarios.iter().find(|scenario| scenario.name == name)
    }
}

impl ScenarioResult {
    /// The column with this key.
    pub fn column(&self, key: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.key == key)
    }

    /// The column that the scenario is about.
    pub fn headline(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.headline)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::*;

    #[test]
    fn a_report_comes_back_from_its_json() {
        let report = report();

        let json = report.to_json().expect("a report is plain data");

        assert_eq!(serde_json::from_str::<Report>(&json).expect("our own JSON"), report);
    }

    #[test]
    fn units_are_written_as_words() {
        let json = report().to_json().expect("a report is plain data");

        assert!(json.contains(r#""unit": "per_second""#), "{json}");
    }
}
