//! `Requirement`: what must be true of a run, as in `latency.p99 < 50ms`.

use std::str::FromStr;

use serde::Serialize;
use wspulse_charts::{Unit, human};

use crate::histogram::float;
use crate::span::{Span, SpanError};
use crate::summary::{MEASURES, Measure, Summary};

/// How a value is compared. Those of two signs come first, so that they are found first.
const COMPARISONS: [(&str, Comparison); 5] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Below),
    (">", Comparison::Above),
    ("=", Comparison::Equal),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtMost,
    AtLeast,
    Below,
    Above,
    Equal,
}

/// What must be true of a run.
#[derive(Debug, Clone)]
pub(crate) struct Requirement {
    text: String,
    measure: &'static Measure,
    comparison: Comparison,
    bound: f64,
}

/// What became of a requirement.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The requirement, as it was written.
    pub requirement: String,
    /// What was measured, as people read it.
    pub measured: String,
    /// Whether it is met. Where nothing was measured it is not.
    pub is_met: bool,
}

/// A text that is no requirement.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequireError {
    /// It has another form.
    #[error(
        "require {text:?}: it must be a measure, one of < <= = >= >, and a value, as in `latency.p99 < 50ms`"
    )]
    #[non_exhaustive]
    Form {
        /// The requirement.
        text: String,
    },
    /// There is no such measure.
    #[error("require {text:?}: there is no measure {name:?}; there are {}", names())]
    #[non_exhaustive]
    Measure {
        /// The requirement.
        text: String,
        /// What it begins with.
        name: String,
    },
    /// A time that is none.
    #[error("require {text:?}: {source}")]
    #[non_exhaustive]
    Time {
        /// The requirement.
        text: String,
        /// What is wrong.
        source: SpanError,
    },
    /// A number that is none.
    #[error("require {text:?}: {value:?} is not a number, such as 100 or 99.9")]
    #[non_exhaustive]
    Number {
        /// The requirement.
        text: String,
        /// What it ends with.
        value: String,
    },
}

fn names() -> String {
    MEASURES.iter().map(|measure| measure.name).collect::<Vec<_>>().join(", ")
}

impl FromStr for Requirement {
    type Err = RequireError;

    fn from_str(text: &str) -> Result<Self, RequireError> {
        let found = COMPARISONS.iter().find_map(|(sign, comparison)| {
            let (name, value) = text.split_once(sign)?;
            Some((name.trim(), *comparison, value.trim()))
        });
        let text = text.to_owned();
        let Some((name, comparison, value)) = found else {
            return Err(RequireError::Form { text });
        };
        let Some(measure) = Measure::find(name) else {
            return Err(RequireError::Measure { text: text.clone(), name: name.to_owned() });
        };
        let number = |value: &str| {
            let number = value.replace('_', "").parse::<f64>().ok();
            number
                .filter(|number| number.is_finite())
                .ok_or_else(|| RequireError::Number { text: text.clone(), value: value.to_owned() })
        };
        let bound = match measure.unit {
            Unit::Micros => {
                let time: Span = value
                    .parse()
                    .map_err(|source| RequireError::Time { text: text.clone(), source })?;
                float(u64::try_from(time.0.as_micros()).unwrap_or(u64::MAX))
            }
            Unit::Percent => number(value.trim_end_matches('%').trim_end())?,
            Unit::PerSecond => number(value.trim_end_matches("/s").trim_end())?,
            Unit::Bytes | Unit::Kib | Unit::Mib | Unit::Count | Unit::Seconds | Unit::Ratio => {
                number(value)?
            }
        };
        Ok(Self { text, measure, comparison, bound })
    }
}

impl Requirement {
    pub(crate) fn judge(&self, summary: &Summary) -> Verdict {
        let value = (self.measure.value)(summary);
        let is_met = value.is_some_and(|value| match self.comparison {
            Comparison::AtMost => value <= self.bound,
            Comparison::AtLeast => value >= self.bound,
            Comparison::Below => value < self.bound,
            Comparison::Above => value > self.bound,
            // What is counted is whole, and what is timed is not asked to be exact.
            Comparison::Equal => (value - self.bound).abs() < 1e-9,
        });
        let measured = value.map(|value| human(value, self.measure.unit));
        Verdict {
            requirement: self.text.clone(),
            measured: measured.unwrap_or_else(|| "nothing was measured".to_owned()),
            is_met,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn summary() -> Summary {
        let mut summary = Summary { clients: 4, connected: 4, ..Summary::default() };
        summary.latency.record(Duration::from_millis(20));
        summary
    }

    #[test]
    fn a_requirement_is_met_or_missed() {
        for (text, is_met) in [
            ("latency.p99 < 50ms", true),
            ("latency.p99<=10ms", false),
            ("latency.max >= 0.02s", true),
            ("connected.percent = 100 %", true),
            ("connected > 4", false),
            ("lost = 0", true),
            // Nobody has come back, so nobody has come back soon.
            ("reconnect.p99 < 1s", false),
        ] {
            let verdict = text.parse::<Requirement>().expect(text).judge(&summary());
            assert_eq!(verdict.is_met, is_met, "{verdict:?}");
        }
    }

    #[test]
    fn what_is_no_requirement_is_said_with_what_would_be_one() {
        for (text, words) in [
            ("latency.p99", "latency.p99 < 50ms"),
            ("p99 < 5ms", "latency.p99.9"),
            ("latency.p99 < 5", "500ms"),
            ("lost = none", "99.9"),
            ("lost = NaN", "99.9"),
        ] {
            let error = text.parse::<Requirement>().expect_err(text).to_string();
            assert!(error.contains(words) && error.contains(text), "{error}");
        }
    }
}
