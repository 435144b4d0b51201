//! Which plots a report has, and what each of them shows.

mod by_size;
mod measures;

use wspulse_charts::{
    Axis, Group, Line, LineChart, Point, Row, RowChart, Style, Unit, count, human,
};

use super::model::{Better, Column, Report, ScenarioResult};
use super::{COMPRESSED, LIMIT, LIMIT_BATCHED, OURS};

/// What the scenarios are called that differ in the size of the room: with its members behind.
const ROOMS: &str = "fanout-saturated-";
/// What the scenarios are called that differ in the number of connections: with that number behind.
const CONNECTIONS: &str = "idle-memory-";

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// The name of the file that it belongs in.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// The picture itself.
    pub svg: String,
    /// The name of the scenario that it shows, if it is one alone.
    pub scenario: Option<String>,
}

impl Report {
    /// All plots: throughput and distance from the limit by room size, fairness, memory by connections,
    /// time and bytes by the size of compressed messages, and for each other scenario its latencies or, if it has none, its headline.
    pub fn plots(&self) -> Vec<Plot> {
        let mut rooms = self.family(ROOMS);
        if rooms.len() == 1 {
            // One size makes no line: it is shown as any other scenario.
            rooms.clear();
        }
        let connections = self.family(CONNECTIONS);
        let mut sizes = self.family(COMPRESSED);
        if sizes.len() == 1 {
            sizes.clear();
        }
        let mut plots = Vec::new();
        plots.extend(self.throughput_by_room_size(&rooms));
        plots.extend(self.limits_by_room_size(&self.family(ROOMS)));
        plots.extend(self.evenness());
        plots.extend(self.memory_by_connections(&connections));
        plots.extend(self.by_message_size());
        for scenario in &self.scenarios {
            let in_family = |family: &[(f64, &ScenarioResult)]| {
                family.iter().any(|(_, member)| member.name == scenario.name)
            };
            if let Some(plot) = self.latency(scenario) {
                plots.push(plot);
            } else if !in_family(&rooms) && !in_family(&connections) && !in_family(&sizes) {
                plots.extend(self.headline(scenario));
            }
        }
        plots
    }

    /// The scenarios whose name is this and a number, by that number.
    fn family(&self, prefix: &str) -> Vec<(f64, &ScenarioResult)> {
        let size = |name: &str| {
            let size: u32 = name.strip_prefix(prefix)?.parse().ok()?;
            (size > 0).then(|| f64::from(size))
        };
        let sized = self.scenarios.iter().filter_map(|one| Some((size(&one.name)?, one)));
        let mut family: Vec<(f64, &ScenarioResult)> = sized.collect();
        family.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        family
    }

    fn latency(&self, scenario: &ScenarioResult) -> Option<Plot> {
        let mut lines: Vec<Line> = self.lines(|subject| {
            let latency = scenario.latency(subject).into_iter();
            // The axis has no place for the maximum, and a logarithm none for 0.
            let shown = latency
                .filter(|(percentile, micros)| (50.0..100.0).contains(percentile) && *micros > 0.0);
            shown.map(|(percentile, micros)| Point::exact(percentile, micros)).collect()
        });
        for line in &mut lines {
            line.note = line.points.last().map(|last| human(last.y, Unit::Micros));
        }
        let points = || lines.iter().flat_map(|line| &line.points);
        let highest = points().map(|point| point.x).max_by(f64::total_cmp)?;
        let chart = LineChart {
            title: format!("Latency: {}", scenario.title),
            subtitle: self.subtitle(Better::Lower, &[scenario]),
            x: Axis::nines("percentile (%)", highest),
            y: Axis::logarithmic("latency", points().map(|point| point.y), Unit::Micros)?,
            lines,
        };
        Some(Plot {
            file: format!("latency-{}.svg", scenario.name),
            title: chart.title.clone(),
            svg: chart.draw(),
            scenario: Some(scenario.name.clone()),
        })
    }

    fn throughput_by_room_size(&self, rooms: &[(f64, &ScenarioResult)]) -> Option<Plot> {
        let scenarios: Vec<_> = rooms.iter().map(|(_, scenario)| *scenario).collect();
        let headline = rooms.first()?.1.headline()?;
        let mut lines = self.lines(|subject| {
            let point = |(members, scenario): &(f64, &ScenarioResult)| {
                let y = scenario.median(subject, &headline.key)?;
                let spread = scenario.spread(subject, &headline.key)?;
                Some(Point { x: *members, y, low: spread.min, high: spread.max })
            };
            rooms.iter().filter_map(point).collect()
        });
        for line in &mut lines {
            line.note = line.points.last().map(|last| human(last.y, headline.unit));
        }
        let highs = lines.iter().flat_map(|line| &line.points).map(|point| point.high);
        let sizes: Vec<f64> = rooms.iter().map(|(members, _)| *members).collect();
        let chart = LineChart {
            title: "Throughput by room size".into(),
            subtitle: self.subtitle(headline.better, &scenarios),
            x: Axis::sizes("members of the room", &sizes)?,
            y: Axis::from_zero(&headline.heading, highs, headline.unit)?,
            lines,
        };
        Some(Plot {
            file: "throughput-by-room-size.svg".into(),
            title: chart.title.clone(),
            svg: chart.draw(),
            scenario: None,
        })
    }

    fn memory_by_connections(&self, family: &[(f64, &ScenarioResult)]) -> Option<Plot> {
        let scenarios: Vec<_> = family.iter().map(|(_, scenario)| *scenario).collect();
        let headline = family.first()?.1.headline()?;
        let group = |(connections, scenario): &(f64, &ScenarioResult)| Group {
            heading: Some(format!("{} connections", count(connections))),
            rows: self.rows(scenario, headline),
        };
        let groups: Vec<Group> = family.iter().map(group).collect();
        let values = groups.iter().flat_map(|group| &group.rows).map(|row| row.value);
        let chart = RowChart {
            title: "Memory by connections".into(),
            subtitle: self.subtitle(headline.better, &scenarios),
            axis: Axis::logarithmic_from_tick(&headline.heading, values, headline.unit)?,
            groups,
        };
        Some(Plot {
            file: "memory-by-connections.svg".into(),
            title: chart.title.clone(),
            svg: chart.draw(),
            scenario: None,
        })
    }

    fn headline(&self, scenario: &ScenarioResult) -> Option<Plot> {
        let headline = scenario.headline()?;
        let rows = self.rows(scenario, headline);
        let highs = rows.iter().map(|row| row.high);
        let chart = RowChart {
            title: scenario.title.clone(),
            subtitle: self.subtitle(headline.better, &[scenario]),
            axis: Axis::from_zero(&headline.heading, highs, headline.unit)?,
            groups: vec![Group { heading: None, rows }],
        };
        Some(Plot {
            file: format!("headline-{}.svg", scenario.name),
            title: format!("{}: {}", scenario.title, headline.heading),
            svg: chart.draw(),
            scenario: Some(scenario.name.clone()),
        })
    }

    /// A line for each subject that has points; ours is last and so lies on top.
    fn lines(&self, points: impl Fn(&str) -> Vec<Point>) -> Vec<Line> {
        let subjects = self.styles();
        let line = |(name, style): (&str, Style)| Line {
            name: name.into(),
            note: None,
            style,
            points: points(name),
        };
        let mut lines: Vec<Line> = subjects.into_iter().map(line).collect();
        lines.retain(|line| !line.points.is_empty());
        lines.sort_by_key(|line| line.name == OURS);
        lines
    }

    /// A row for each subject that was measured, the best first.
    fn rows(&self, scenario: &ScenarioResult, column: &Column) -> Vec<Row> {
        let styles = self.styles();
        let row = |subject: &str| {
            let value = scenario.median(subject, &column.key)?;
            let spread = scenario.spread(subject, &column.key)?;
            let (_, style) = styles.iter().find(|(name, _)| *name == subject)?;
            Some(Row {
                name: subject.into(),
                label: human(value, column.unit),
                style: *style,
                value,
                low: spread.min,
                high: spread.max,
            })
        };
        self.best_first(scenario).into_iter().filter_map(row).collect()
    }

    /// The subjects, each with the same style in all plots.
    fn styles(&self) -> Vec<(&str, Style)> {
        let (mut peers, mut variants) = (0.., 0..);
        let is_variant =
            |name: &str| name.strip_prefix(OURS).is_some_and(|rest| rest.starts_with(['-', '+']));
        let style = |name| match name {
            OURS => (name, Style::OURS),
            LIMIT => (name, Style::LIMIT),
            LIMIT_BATCHED => (name, Style::LIMIT_BATCHED),
            _ if is_variant(name) => (name, Style::variant(variants.next().unwrap_or(0))),
            _ => (name, Style::peer(peers.next().unwrap_or(0))),
        };
        self.subjects.iter().map(|subject| subject.name.as_str()).map(style).collect()
    }

    /// Which way is better, and how many measurements stand behind a value in these scenarios.
    fn subtitle(&self, better: Better, scenarios: &[&ScenarioResult]) -> String {
        let better = match better {
            Better::Higher => "Higher is better",
            Better::Lower => "Lower is better",
            Better::Neither => "For information",
        };
        let subjects = || self.subjects.iter().map(|subject| &subject.name);
        let rounds = scenarios.iter().flat_map(|one| subjects().map(|name| one.rounds_of(name)));
        let rounds: Vec<usize> = rounds.filter(|rounds| *rounds > 0).collect();
        match (rounds.iter().min(), rounds.iter().max()) {
            (Some(1), Some(1)) | (None, _) | (_, None) => format!("{better} · one round"),
            (Some(fewest), Some(most)) if fewest == most => {
                format!("{better} · median of {most} rounds")
            }
            (Some(fewest), Some(most)) => format!("{better} · median of {fewest} to {most} rounds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{report, sample, scenario};
    use super::*;

    fn named(name: &str) -> ScenarioResult {
        let samples = vec![sample("fastws", 1, 100.0), sample("wspulse", 1, 300.0)];
        ScenarioResult { name: name.into(), ..scenario(samples) }
    }

    fn files(report: &Report) -> Vec<String> {
        report.plots().into_iter().map(|plot| plot.file).collect()
    }

    #[test]
    fn families_have_one_plot_and_other_scenarios_one_each() {
        let mut report = report();
        let more = [
            "fanout-saturated-1000",
            "connect",
            "idle-memory-1000",
            "fanout-saturated-10",
            "idle-memory-50",
        ];
        report.scenarios.extend(more.map(named));

        assert_eq!(
            files(&report),
            [
                "throughput-by-room-size.svg",
                "memory-by-connections.svg",
                "latency-echo.svg",
                "headline-connect.svg",
            ]
        );
    }

    #[test]
    fn a_single_room_size_is_shown_as_any_scenario() {
        let mut report = report();
        report.scenarios = vec![named("fanout-saturated-1000")];

        assert_eq!(files(&report), ["headline-fanout-saturated-1000.svg"]);
    }

    #[test]
    fn a_family_is_in_the_order_of_its_sizes() {
        let mut report = report();
        report.scenarios = ["idle-memory-1000", "idle-memory-50"].map(named).into();

        let sizes: Vec<f64> = report.family(CONNECTIONS).iter().map(|(size, _)| *size).collect();

        assert_eq!(sizes, [50.0, 1000.0]);
    }

    #[test]
    fn ours_lies_on_top_of_the_others() {
        let lines = report().lines(|_| vec![Point::exact(1.0, 1.0)]);

        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["fastws", "slowws", "wspulse"]);
    }

    #[test]
    fn a_plot_says_how_many_rounds_it_is_made_of() {
        let report = report();
        let mut fewer = report.scenarios[0].clone();
        assert_eq!(
            report.subtitle(Better::Higher, &[&fewer]),
            "Higher is better · median of 3 rounds"
        );

        fewer.samples.truncate(5);

        assert_eq!(
            report.subtitle(Better::Lower, &[&fewer]),
            "Lower is better · median of 2 to 3 rounds"
        );
    }

    #[test]
    fn variants_of_ours_look_like_it_but_are_told_apart() {
        let mut report = report();
        for (subject, name) in
            report.subjects.iter_mut().zip(["wspulse-raw", "wspulse+otel", "limit"])
        {
            subject.name = name.into();
        }

        let colours: Vec<&str> = report.styles().iter().map(|(_, style)| style.colour).collect();

        let expected =
            [Style::variant(0), Style::variant(1), Style::LIMIT].map(|style| style.colour);
        assert_eq!(colours, expected);
    }

    #[test]
    fn what_was_measured_nowhere_has_no_plot() {
        let mut report = report();
        report.scenarios = ["fanout-saturated-10", "fanout-saturated-20", "idle-memory-9", "other"]
            .map(|name| ScenarioResult { name: name.into(), ..scenario(Vec::new()) })
            .into();

        assert_eq!(files(&report), [""; 0]);
    }
}
