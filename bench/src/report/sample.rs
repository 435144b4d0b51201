//! A small report for tests.

use std::collections::BTreeMap;

use super::model::{
    Better, Column, Failure, Latency, Machine, Report, Sample, ScenarioResult, Skipped, Subject,
};
use wspulse_charts::Unit;

/// Two subjects and three rounds of an echo; a third subject that fails, a fourth that is skipped.
pub(super) fn report() -> Report {
    let mut echo = scenario(vec![
        sample("wspulse", 0, 200.0),
        sample("fastws", 0, 100.0),
        sample("wspulse", 1, 300.0),
        sample("fastws", 1, 200.0),
        sample("wspulse", 2, 600.0),
        sample("fastws", 2, 300.0),
    ]);
    echo.samples[0].latency = Some(Latency { percentiles: vec![(50.0, 10.0), (99.0, 90.0)] });
    echo.samples[2].latency = Some(Latency { percentiles: vec![(50.0, 20.0), (99.0, 80.0)] });
    echo.samples[4].latency = Some(Latency { percentiles: vec![(50.0, 30.0), (99.0, 99.0)] });
    echo.failures = [0, 2]
        .map(|round| Failure {
            subject: "slowws".into(),
            round,
            error: "no answer\nafter 5 s".into(),
        })
        .into();
    Report {
        machine: Machine {
            cpu: "Abacus 9000".into(),
            cores: 4,
            memory_bytes: 16 << 30,
            kernel: "6.1.0".into(),
            os: "Debian 12".into(),
            rustc: "1.91.0".into(),
            load_before: 0.05,
        },
        started: "2025-01-31".into(),
        mode: "full".into(),
        rounds: 3,
        elsewhere: None,
        subjects: [("fastws", "2.1"), ("wspulse", "0.1.0"), ("slowws", "7")]
            .map(|(name, version)| Subject {
                name: name.into(),
                version: version.into(),
                note: String::new(),
            })
            .into(),
        skipped: vec![Skipped { name: "otherws".into(), why: "no compiler for it".into() }],
        scenarios: vec![echo],
        bars: Vec::new(),
    }
}

/// A scenario with these samples.
pub(super) fn scenario(samples: Vec<Sample>) -> ScenarioResult {
    ScenarioResult {
        name: "echo".into(),
        title: "Echo".into(),
        what: "A client sends a message and waits for it.".into(),
        columns: vec![
            Column {
                key: "rate".into(),
                heading: "messages".into(),
                unit: Unit::PerSecond,
                better: Better::Higher,
                headline: true,
            },
            Column {
                key: "cpu".into(),
                heading: "CPU".into(),
                unit: Unit::Percent,
                better: Better::Lower,
                headline: false,
            },
        ],
        samples,
        failures: Vec::new(),
    }
}

/// A sample with this rate.
pub(super) fn sample(subject: &str, round: usize, rate: f64) -> Sample {
    Sample {
        subject: subject.into(),
        round,
        values: BTreeMap::from([("rate".into(), rate)]),
        latency: None,
    }
}
