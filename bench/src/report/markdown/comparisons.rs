//! The columns of a table that hold all subjects against one of them.

use super::bars;
use crate::report::model::{Column, ScenarioResult};
use crate::report::{LIMIT_BATCHED, OURS, SERVER_CPU};

/// A column of a table that holds all subjects against one of them.
pub(super) struct Comparison<'a> {
    pub(super) heading: String,
    column: &'a Column,
    versus: &'static str,
}

/// Beside ours the headline, beside the limit the server's processor time as well.
pub(super) fn comparisons(scenario: &ScenarioResult) -> Vec<Comparison<'_>> {
    let headline = scenario.headline();
    let cpu = scenario.column(SERVER_CPU).filter(|cpu| headline != Some(cpu));
    let has_limit = scenario.rounds_of(LIMIT_BATCHED) > 0;
    let of = |heading, column, versus| Comparison { heading, column, versus };
    let beside_ours = headline.map(|column| of(format!("× {OURS}"), column, OURS));
    let beside_limit =
        headline.map(|column| of(format!("× {LIMIT_BATCHED}"), column, LIMIT_BATCHED));
    let cpu = cpu.map(|column| of(format!("CPU × {LIMIT_BATCHED}"), column, LIMIT_BATCHED));
    let beside_limit = beside_limit.into_iter().chain(cpu).filter(|_| has_limit);
    beside_ours.into_iter().chain(beside_limit).collect()
}

impl Comparison<'_> {
    pub(super) fn cell(&self, scenario: &ScenarioResult, subject: &str) -> String {
        if subject == self.versus {
            return "1".into();
        }
        let ratio = scenario.ratio(&self.column.key, subject, self.versus);
        ratio.map_or_else(|| "–".into(), bars::ratio)
    }
}

#[cfg(test)]
mod tests {
    use crate::report::sample::{report, sample};
    use crate::report::{LIMIT_BATCHED, SERVER_CPU};

    #[test]
    fn where_the_limit_was_measured_all_are_held_against_it_too() {
        let mut report = report();
        report.scenarios[0].columns[1].key = SERVER_CPU.into();
        let mut samples = vec![sample("wspulse", 0, 300.0), sample(LIMIT_BATCHED, 0, 400.0)];
        samples[0].values.insert(SERVER_CPU.into(), 30.0);
        samples[1].values.insert(SERVER_CPU.into(), 20.0);
        report.scenarios[0].samples = samples;
        report.subjects[0].name = LIMIT_BATCHED.into();

        let markdown = report.markdown(&[]);

        let rows = [
            "| subject | **messages** | CPU | × wspulse | × limit-batched | CPU × limit-batched |",
            "|---|---:|---:|---:|---:|---:|",
            "| *limit-batched* | 400 /s | 20.0 % | 1.33 | 1 | 1 |",
            "| **wspulse** | 300 /s | 30.0 % | 1 | 0.750 | 1.50 |",
        ];
        assert!(markdown.contains(&rows.join("\n")), "{markdown}");
    }
}
