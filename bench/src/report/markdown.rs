//! The report as Markdown.

mod comparisons;

use super::bars;
use wspulse_charts::{Unit, count, human, human_with_range};

use super::model::{Better, Column, Elsewhere, Failure, Machine, Report, ScenarioResult};
use super::plots::Plot;
use super::{LIMIT, LIMIT_BATCHED, OURS};
use comparisons::comparisons;

/// Below this, figures are not what the report calls them.
pub(crate) const ELSEWHERE_PERCENT_MIN: f64 = 90.0;

/// From here on, other work took a whole core before the run began.
const LOAD_BEFORE_MAX: f64 = 1.0;

impl Report {
    /// The report as Markdown: the machine, the bars, then a table for each scenario. The plots are
    /// linked by their file names: those of one scenario under its table, the others after the bars.
    pub fn markdown(&self, plots: &[Plot]) -> String {
        let mut parts = vec![self.head()];
        parts.extend(self.warnings());
        parts.push(self.subjects());
        parts.extend(self.skipped());
        if !self.bars.is_empty() {
            parts.push(format!("## Bars\n\n{}", bars::table(&self.bars)));
        }
        let across = images(plots.iter().filter(|plot| plot.scenario.is_none()));
        if !across.is_empty() {
            parts.push("## At a glance".into());
            parts.extend(across);
        }
        parts.push(format!("## Scenarios\n\n{}", self.legend()));
        for scenario in &self.scenarios {
            parts.extend(self.scenario_parts(scenario));
            let of_scenario = |plot: &&Plot| plot.scenario.as_ref() == Some(&scenario.name);
            parts.extend(images(plots.iter().filter(of_scenario)));
        }
        parts.join("\n\n") + "\n"
    }

    fn head(&self) -> String {
        let Machine { cpu, cores, memory_bytes, kernel, os, rustc, load_before } = &self.machine;
        // Cast for display: what a float cannot hold of a memory's size is below the third digit.
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let memory = human(*memory_bytes as f64, Unit::Bytes);
        let rows = [
            ("processor", format!("{} ({} logical cores)", cell(cpu), count(cores))),
            ("memory", memory),
            ("system", format!("{}, kernel {}", cell(os), cell(kernel))),
            ("rustc", cell(rustc)),
            ("load before", format!("{load_before:.2}")),
            ("run", format!("{}, {}, {}", cell(&self.started), cell(&self.mode), self.in_rounds())),
        ];
        let elsewhere = self.elsewhere.map(|Elsewhere { core, percent }| {
            ("receive work", format!("on core {core}, the load's: {percent:.1} % of all packets"))
        });
        let rows = rows.into_iter().chain(elsewhere);
        let rows: Vec<_> = rows.map(|(name, value)| format!("| {name} | {value} |")).collect();
        format!("# Benchmark results\n\n| machine | |\n|---|---|\n{}", rows.join("\n"))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.mode == "quick" {
            warnings.push(
                "**QUICK RUN:** short and with few rounds, to see that everything works. Take no \
                 number from it."
                    .into(),
            );
        }
        if self.machine.load_before >= LOAD_BEFORE_MAX {
            warnings.push(format!(
                "**BUSY MACHINE:** the load average was {:.2} before the run began, so other work \
                 may have disturbed it.",
                self.machine.load_before
            ));
        }
        if let Some(Elsewhere { percent, .. }) = self.elsewhere {
            warnings.push(
                "**RECEIVE WORK ELSEWHERE:** servers did not pay for what their clients received, \
                 nor for receiving themselves. Compare no number with those of other runs."
                    .into(),
            );
            if percent < ELSEWHERE_PERCENT_MIN {
                warnings.push(format!(
                    "**NOT STEERED:** only {percent:.1} % of all packets were received where they \
                     should have been."
                ));
            }
        }
        warnings
    }

    fn subjects(&self) -> String {
        let mut lines = vec!["| subject | version | note |".into(), "|---|---|---|".into()];
        lines.extend(self.subjects.iter().map(|subject| {
            let (version, note) = (cell(&subject.version), cell(&subject.note));
            format!("| {} | {version} | {note} |", name(&subject.name))
        }));
        lines.join("\n")
    }

    fn skipped(&self) -> Option<String> {
        let skipped = self.skipped.iter();
        let lines =
            skipped.map(|one| format!("- **SKIPPED: {}** – {}", cell(&one.name), cell(&one.why)));
        list(&lines.collect::<Vec<_>>())
    }

    fn legend(&self) -> String {
        let cells = if self.rounds > 1 {
            "Cells show the median of the rounds and, in brackets, the range. "
        } else {
            ""
        };
        format!(
            "{cells}The best comes first, by the column in bold. “× {OURS}” is that column's value \
             divided by what {OURS} reached in the same round; “× {LIMIT_BATCHED}” likewise, and \
             “CPU × {LIMIT_BATCHED}” for the server's processor time."
        )
    }

    fn in_rounds(&self) -> String {
        if self.rounds == 1 { "1 round".into() } else { format!("{} rounds", self.rounds) }
    }

    fn scenario_parts(&self, scenario: &ScenarioResult) -> Vec<String> {
        let title = format!("### {}", cell(&scenario.title));
        let mut parts = vec![title, scenario.what.clone()];
        let subjects = self.best_first(scenario);
        parts.push(if subjects.is_empty() {
            "**NO MEASUREMENT**".into()
        } else {
            table(scenario, &subjects)
        });
        parts.extend(list(&failures(&scenario.failures)));
        parts
    }

    /// The subjects that a scenario has samples of, the best of its headline first.
    pub(super) fn best_first(&self, scenario: &ScenarioResult) -> Vec<&str> {
        let names = self.subjects.iter().map(|subject| subject.name.as_str());
        let mut subjects: Vec<&str> = names.filter(|name| scenario.rounds_of(name) > 0).collect();
        if let Some(headline) = scenario.headline() {
            let value = |subject: &str| scenario.median(subject, &headline.key);
            subjects.sort_by(|one, other| match (value(one), value(other), headline.better) {
                (_, _, Better::Neither) | (None, None, _) => std::cmp::Ordering::Equal,
                (Some(one), Some(other), Better::Higher) => other.total_cmp(&one),
                (Some(one), Some(other), Better::Lower) => one.total_cmp(&other),
                (one, other, Better::Higher | Better::Lower) => one.is_none().cmp(&other.is_none()),
            });
        }
        subjects
    }
}

/// Text that may stand in a cell or a line, whatever it holds.
pub(super) fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}

fn table(scenario: &ScenarioResult, subjects: &[&str]) -> String {
    let headline = scenario.headline();
    let mut headings = vec!["subject".to_owned()];
    headings.extend(scenario.columns.iter().map(|column| {
        let heading = cell(&column.heading);
        if headline == Some(column) { format!("**{heading}**") } else { heading }
    }));
    let comparisons = comparisons(scenario);
    headings.extend(comparisons.iter().map(|comparison| comparison.heading.clone()));
    let mut lines = vec![row(&headings), format!("|---|{}", "---:|".repeat(headings.len() - 1))];
    for &subject in subjects {
        let mut cells = vec![name(subject) + &rounds_note(scenario, subject)];
        cells.extend(scenario.columns.iter().map(|column| value(scenario, subject, column)));
        cells.extend(comparisons.iter().map(|comparison| comparison.cell(scenario, subject)));
        lines.push(row(&cells));
    }
    lines.join("\n")
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn name(subject: &str) -> String {
    match subject {
        OURS => format!("**{subject}**"),
        LIMIT | LIMIT_BATCHED => format!("*{subject}*"),
        _ => cell(subject),
    }
}

/// Says so if a subject was measured in fewer rounds than others.
fn rounds_note(scenario: &ScenarioResult, subject: &str) -> String {
    let (measured, all) = (scenario.rounds_of(subject), scenario.rounds());
    if measured == all { String::new() } else { format!(" ({measured} of {all} rounds)") }
}

fn value(scenario: &ScenarioResult, subject: &str, column: &Column) -> String {
    let median = scenario.median(subject, &column.key);
    match median.zip(scenario.spread(subject, &column.key)) {
        Some((median, spread)) if spread.min < spread.max => {
            human_with_range(median, (spread.min, spread.max), column.unit)
        }
        Some((median, _)) => human(median, column.unit),
        None => "–".into(),
    }
}

/// One line for each subject and error, with the rounds in which it came up.
fn failures(failures: &[Failure]) -> Vec<String> {
    let mut distinct: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for Failure { subject, round, error } in failures {
        match distinct.iter_mut().find(|(name, text, _)| name == subject && text == error) {
            Some((_, _, rounds)) => rounds.push((round + 1).to_string()),
            None => distinct.push((subject, error, vec![(round + 1).to_string()])),
        }
    }
    let line = |(subject, error, rounds): &(&str, &str, Vec<String>)| {
        let noun = if rounds.len() == 1 { "round" } else { "rounds" };
        let rounds = rounds.join(", ");
        format!("- **FAILED: {}** in {noun} {rounds} – {}", cell(subject), cell(error))
    };
    distinct.iter().map(line).collect()
}

fn list(lines: &[String]) -> Option<String> {
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn images<'a>(plots: impl Iterator<Item = &'a Plot>) -> Vec<String> {
    plots.map(|plot| format!("![{}]({})", cell(&plot.title), plot.file)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::bars::{Bar, Direction};
    use super::super::sample::{report, sample, scenario};
    use super::*;

    fn assert_has(markdown: &str, lines: &[&str]) {
        for line in lines {
            assert!(markdown.lines().any(|found| found == *line), "{line}\n\n{markdown}");
        }
    }

    #[test]
    fn the_machine_comes_first_and_the_bars_before_the_scenarios() {
        let mut report = report();
        report.bars = vec![Bar::relative(
            &report,
            "echo",
            "rate",
            ("wspulse", "fastws"),
            Direction::AtLeast,
            1.5,
        )];

        let markdown = report.markdown(&[]);

        assert_has(
            &markdown,
            &[
                "| processor | Abacus 9000 (4 logical cores) |",
                "| memory | 16.0 GiB |",
                "| run | 2025-01-31, full, 3 rounds |",
                "| **wspulse** | 0.1.0 |  |",
            ],
        );
        let position = |text: &str| markdown.find(text).unwrap_or_else(|| panic!("no {text}"));
        assert!(position("| machine |") < position("## Bars"));
        assert!(position("## Bars") < position("## Scenarios"));
    }

    #[test]
    fn a_scenario_has_a_row_for_each_subject_the_best_first_and_ours_in_bold() {
        let markdown = report().markdown(&[]);

        let rows = [
            "| subject | **messages** | CPU | × wspulse |",
            "|---|---:|---:|---:|",
            "| **wspulse** | 300 /s (200–600) | – | 1 |",
            "| fastws | 200 /s (100–300) | – | 0.500 (0.500–0.667) |",
        ];
        assert!(markdown.contains(&rows.join("\n")), "{markdown}");
    }

    #[test]
    fn the_best_is_the_lowest_where_lower_is_better_and_the_unmeasured_is_last() {
        let mut report = report();
        let mut slow = sample("slowws", 1, 0.0);
        slow.values.clear();
        report.scenarios[0].samples.push(slow);
        report.scenarios[0].columns[0].better = Better::Lower;

        assert_eq!(report.best_first(&report.scenarios[0]), ["fastws", "wspulse", "slowws"]);
    }

    #[test]
    fn one_round_has_no_range() {
        let mut report = report();
        report.rounds = 1;
        report.scenarios =
            vec![scenario(vec![sample("wspulse", 1, 2e6), sample("fastws", 1, 1e6)])];

        assert_has(
            &report.markdown(&[]),
            &["| **wspulse** | 2.00 M/s | – | 1 |", "| fastws | 1.00 M/s | – | 0.500 |"],
        );
    }

    #[test]
    fn what_is_missing_is_said_aloud() {
        let mut report = report();
        report.scenarios[0].samples.truncate(5);

        assert_has(
            &report.markdown(&[]),
            &[
                "- **SKIPPED: otherws** – no compiler for it",
                "- **FAILED: slowws** in rounds 1, 3 – no answer after 5 s",
                "| fastws (2 of 3 rounds) | 150 /s (100–200) | – | 0.583 (0.500–0.667) |",
            ],
        );
    }

    #[test]
    fn a_scenario_that_failed_for_all_says_so() {
        let mut report = report();
        report.scenarios[0].samples.clear();

        assert_has(&report.markdown(&[]), &["**NO MEASUREMENT**"]);
    }

    #[test]
    fn a_run_that_proves_nothing_says_so() {
        let mut report = report();
        assert!(!report.markdown(&[]).contains("**BUSY MACHINE:**"));
        report.mode = "quick".into();
        report.machine.load_before = 3.0;

        let markdown = report.markdown(&[]);

        assert!(markdown.contains("**QUICK RUN:**") && markdown.contains("**BUSY MACHINE:**"));
    }

    #[test]
    fn receive_work_that_was_done_elsewhere_is_told_and_so_is_what_was_not() {
        let mut report = report();
        let steered = |percent| Some(Elsewhere { core: 3, percent });
        report.elsewhere = steered(99.25);
        let markdown = report.markdown(&[]);
        assert_has(&markdown, &["| receive work | on core 3, the load's: 99.2 % of all packets |"]);
        assert!(markdown.contains("**RECEIVE WORK ELSEWHERE:**"));
        assert!(!markdown.contains("**NOT STEERED:**"));

        report.elsewhere = steered(50.0);

        assert!(report.markdown(&[]).contains("**NOT STEERED:** only 50.0 %"));
    }

    #[test]
    fn plots_of_a_scenario_stand_under_its_table() {
        let plot = |file: &str, scenario: Option<&str>| Plot {
            file: file.into(),
            title: "A plot".into(),
            svg: String::new(),
            scenario: scenario.map(Into::into),
        };

        let markdown = report().markdown(&[plot("a.svg", Some("echo")), plot("b.svg", None)]);

        let position = |text: &str| markdown.find(text).unwrap_or_else(|| panic!("no {text}"));
        assert!(position("![A plot](b.svg)") < position("## Scenarios"));
        assert!(position("![A plot](a.svg)") > position("| fastws | 200"));
    }

    #[test]
    fn text_from_outside_cannot_break_a_table() {
        assert_eq!(cell("a|b\n  c <d> *e*"), "a\\|b c &lt;d> \\*e\\*");
    }
}
