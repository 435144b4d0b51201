//! The bars that wspulse is held to, and whether it clears them.

use serde::{Deserialize, Serialize};

use super::OURS;
use super::markdown::cell;
use wspulse_charts::{Unit, human, three_digits};

use super::model::Report;
use super::statistics::Paired;

/// A demand on what wspulse reaches, in itself or beside a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// What is measured: the title of the scenario and the heading of the column.
    pub scenario_title: String,
    /// The demand in words: `≥ 1.5 × uWebSockets`.
    pub text: String,
    /// The unit of `ours` and of the value that it is held against.
    pub unit: Unit,
    /// The median that wspulse reached, if it was measured.
    pub ours: Option<f64>,
    /// The peer that wspulse is held against, and the median that it reached.
    pub against: Option<(String, f64)>,
    /// How many times the peer's value ours is.
    pub ratio: Option<Paired>,
    /// The bar: for the median of the ratios if there is a peer, else for `ours`.
    pub bound: f64,
    /// On which side of the bar the good values are.
    pub direction: Direction,
    /// What came of it.
    pub verdict: Verdict,
}

/// On which side of a bar the good values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// On it or above.
    AtLeast,
    /// On it or below.
    AtMost,
}

/// Whether a bar is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Missed,
    /// Something that it takes to tell was skipped or failed.
    NotMeasured,
}

impl Bar {
    /// A bar for the value of `ours`, wspulse or a variant of it.
    pub fn absolute(
        report: &Report,
        scenario: &str,
        key: &str,
        ours: &str,
        direction: Direction,
        bound: f64,
    ) -> Self {
        let (title, unit) = subject_matter(report, scenario, key);
        let scenario_title = titled(title, ours);
        let ours = report.median(scenario, ours, key);
        Self {
            scenario_title,
            text: format!("{} {}", direction.sign(), human(bound, unit)),
            unit,
            ours,
            against: None,
            ratio: None,
            bound,
            direction,
            verdict: direction.judge(ours, bound),
        }
    }

    /// A bar for how many times a peer's value is that of `ours`, wspulse or a variant of it.
    pub fn relative(
        report: &Report,
        scenario: &str,
        key: &str,
        (ours, versus): (&str, &str),
        direction: Direction,
        bound: f64,
    ) -> Self {
        let (title, unit) = subject_matter(report, scenario, key);
        let scenario_title = titled(title, ours);
        let ratio = report.ratio(scenario, key, ours, versus);
        let theirs = report.median(scenario, versus, key);
        Self {
            scenario_title,
            text: format!("{} {bound} × {versus}", direction.sign()),
            unit,
            ours: report.median(scenario, ours, key),
            against: theirs.map(|theirs| (versus.into(), theirs)),
            ratio,
            bound,
            direction,
            verdict: direction.judge(ratio.map(|ratio| ratio.median), bound),
        }
    }

    /// A bar for how many times what wspulse has in one scenario it may have in another, of which
    /// only the ratio within a round is of interest.
    pub fn growth(
        report: &Report,
        (from, to): (&str, &str),
        key: &str,
        direction: Direction,
        bound: f64,
    ) -> Self {
        let (title, unit) = subject_matter(report, to, key);
        let ratio = report.growth(key, OURS, from, to);
        let before = report.median(from, OURS, key);
        Self {
            scenario_title: title,
            text: format!("{} {bound} × {from}", direction.sign()),
            unit,
            ours: report.median(to, OURS, key),
            against: before.map(|before| (from.to_owned(), before)),
            ratio,
            bound,
            direction,
            verdict: direction.judge(ratio.map(|ratio| ratio.median), bound),
        }
    }

    fn row(&self) -> String {
        let absent = || "–".to_owned();
        let against = self.against.as_ref();
        let cells = [
            cell(&self.scenario_title),
            self.ours.map_or_else(absent, |ours| human(ours, self.unit)),
            against.map_or_else(absent, |(name, theirs)| {
                format!("{}: {}", cell(name), human(*theirs, self.unit))
            }),
            self.ratio.map_or_else(absent, ratio),
            cell(&self.text),
            self.verdict.as_str().into(),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

/// All bars as a Markdown table, after a line that counts them.
pub(super) fn table(bars: &[Bar]) -> String {
    let count = |verdict| bars.iter().filter(|bar| bar.verdict == verdict).count();
    let mut counts = vec![format!("{} of {} met", count(Verdict::Met), bars.len())];
    for (verdict, word) in [(Verdict::Missed, "missed"), (Verdict::NotMeasured, "not measured")] {
        if count(verdict) > 0 {
            counts.push(format!("**{} {word}**", count(verdict)));
        }
    }
    let summary = counts.join(", ");
    let mut lines = vec![
        format!("{summary}. Ratios are taken within a round; the median (and range) is shown."),
        String::new(),
        "| what | ours | against | ratio | bar | met? |".into(),
        "|---|---:|---:|---:|---|---|".into(),
    ];
    lines.extend(bars.iter().map(Bar::row));
    lines.join("\n")
}

/// A ratio's median, and its range if it has one.
pub(super) fn ratio(ratio: Paired) -> String {
    let [median, min, max] = [ratio.median, ratio.min, ratio.max].map(three_digits);
    if min == max { median } else { format!("{median} ({min}–{max})") }
}

/// Tells which variant of wspulse a bar is about, if it is one.
fn titled(title: String, ours: &str) -> String {
    if ours == OURS { title } else { format!("{title} ({ours})") }
}

/// How a bar calls what it is about, and in which unit it is.
fn subject_matter(report: &Report, scenario: &str, key: &str) -> (String, Unit) {
    let found = report.scenario(scenario);
    let title = found.map_or(scenario, |found| &found.title);
    match found.and_then(|found| found.column(key)) {
        Some(column) => (format!("{title}: {}", column.heading), column.unit),
        None => (format!("{title}: {key}"), Unit::Count),
    }
}

impl Direction {
    const fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => "≥",
            Self::AtMost => "≤",
        }
    }

    fn judge(self, value: Option<f64>, bound: f64) -> Verdict {
        let Some(value) = value else { return Verdict::NotMeasured };
        let met = match self {
            Self::AtLeast => value >= bound,
            Self::AtMost => value <= bound,
        };
        if met { Verdict::Met } else { Verdict::Missed }
    }
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Met => "yes",
            Self::Missed => "**NO**",
            Self::NotMeasured => "**NOT MEASURED**",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::*;

    #[test]
    fn a_bar_beside_a_peer_judges_the_median_of_the_paired_ratios() {
        let report = report();
        let bar = |bound| {
            Bar::relative(&report, "echo", "rate", (OURS, "fastws"), Direction::AtLeast, bound)
                .verdict
        };

        assert_eq!(bar(2.0), Verdict::Met);
        assert_eq!(bar(2.1), Verdict::Missed);
    }

    #[test]
    fn a_bar_for_a_value_judges_our_median() {
        let report = report();
        let bar =
            |bound| Bar::absolute(&report, "echo", "rate", OURS, Direction::AtMost, bound).verdict;

        assert_eq!(bar(300.0), Verdict::Met);
        assert_eq!(bar(299.0), Verdict::Missed);
    }

    #[test]
    fn a_bar_for_a_variant_judges_and_names_it() {
        let report = report();
        let bar = Bar::absolute(&report, "echo", "rate", "fastws", Direction::AtMost, 200.0);

        assert_eq!(bar.row(), "| Echo: messages (fastws) | 200 /s | – | – | ≤ 200 /s | yes |");
    }

    #[test]
    fn a_bar_without_its_peer_is_neither_met_nor_missed() {
        let report = report();
        let bar = Bar::relative(&report, "echo", "rate", (OURS, "absent"), Direction::AtLeast, 1.0);

        assert_eq!(bar.verdict, Verdict::NotMeasured);
        assert_eq!(
            bar.row(),
            "| Echo: messages | 300 /s | – | – | ≥ 1 × absent | **NOT MEASURED** |"
        );
    }

    #[test]
    fn the_table_shows_each_bar_and_counts_what_is_missed() {
        let report = report();
        let table = table(&[
            Bar::relative(&report, "echo", "rate", (OURS, "fastws"), Direction::AtLeast, 1.5),
            Bar::absolute(&report, "echo", "rate", OURS, Direction::AtLeast, 1e6),
        ]);

        let rows = [
            "1 of 2 met, **1 missed**.",
            "| what | ours | against | ratio | bar | met? |",
            "| Echo: messages | 300 /s | fastws: 200 /s | 2.00 (1.50–2.00) | ≥ 1.5 × fastws | yes |",
            "| Echo: messages | 300 /s | – | – | ≥ 1.00 M/s | **NO** |",
        ];
        for row in rows {
            assert!(table.contains(row), "{row}\n{table}");
        }
    }
}
