//! Plots across scenarios of what all servers are measured by: how far they are from the limit, and
//! how evenly they serve.

use wspulse_charts::{Axis, Group, Line, LineChart, Point, RowChart, Unit, human};

use super::{Plot, Report, ScenarioResult};
use crate::report::model::Better;
use crate::report::{FAIRNESS, LIMIT_BATCHED, SERVER_CPU};

/// The scenario with the smallest rooms, and their size.
const SMALL_ROOMS: (&str, f64) = ("rooms-1000x10", 10.0);

impl Report {
    /// How many times the limit's processor time each server takes, by the size of the room.
    pub(super) fn limits_by_room_size(&self, rooms: &[(f64, &ScenarioResult)]) -> Option<Plot> {
        let (name, members) = SMALL_ROOMS;
        let small = self.scenario(name).map(|scenario| (members, scenario));
        let sized: Vec<_> = small.into_iter().chain(rooms.iter().copied()).collect();
        let mut lines = self.lines(|subject| {
            let point = |(members, scenario): &(f64, &ScenarioResult)| {
                let ratio = scenario.ratio(SERVER_CPU, subject, LIMIT_BATCHED)?;
                Some(Point { x: *members, y: ratio.median, low: ratio.min, high: ratio.max })
            };
            sized.iter().filter_map(point).collect()
        });
        for line in &mut lines {
            line.note = line.points.last().map(|last| human(last.y, Unit::Ratio));
        }
        let is_alone = |line: &Line| line.name == LIMIT_BATCHED;
        if sized.len() < 2 || lines.iter().all(is_alone) {
            return None;
        }
        let values = lines.iter().flat_map(|line| &line.points).map(|point| point.y);
        let members: Vec<f64> = sized.iter().map(|(members, _)| *members).collect();
        let scenarios: Vec<_> = sized.iter().map(|(_, scenario)| *scenario).collect();
        let chart = LineChart {
            title: "How far from the limit, by room size".into(),
            subtitle: self.subtitle(Better::Lower, &scenarios),
            x: Axis::sizes("members of the room (of 10: in 1,000 such rooms)", &members)?,
            y: Axis::logarithmic("server CPU per delivery × limit-batched", values, Unit::Ratio)?,
            lines,
        };
        Some(Plot {
            file: "limit-by-room-size.svg".into(),
            title: chart.title.clone(),
            svg: chart.draw(),
            scenario: None,
        })
    }

    /// How evenly each server treats those who ask the same of it.
    pub(super) fn evenness(&self) -> Option<Plot> {
        let of_scenario = |scenario: &ScenarioResult| {
            let rows = self.rows(scenario, scenario.column(FAIRNESS)?);
            let group = Group { heading: Some(scenario.title.clone()), rows };
            (group.rows.len() > 1).then_some(group)
        };
        let groups: Vec<Group> = self.scenarios.iter().filter_map(of_scenario).collect();
        let highs = groups.iter().flat_map(|group| &group.rows).map(|row| row.high);
        let heading = "best served ÷ worst served (1 × is even)";
        let scenarios: Vec<_> = self.scenarios.iter().collect();
        let chart = RowChart {
            title: "Fairness".into(),
            subtitle: self.subtitle(Better::Lower, &scenarios),
            axis: Axis::from_zero(heading, highs, Unit::Ratio)?,
            groups,
        };
        Some(Plot {
            file: "fairness.svg".into(),
            title: chart.title.clone(),
            svg: chart.draw(),
            scenario: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Report;
    use wspulse_charts::Unit;

    use crate::report::model::{Column, Sample, ScenarioResult};
    use crate::report::sample::{report, sample, scenario};
    use crate::report::{FAIRNESS, LIMIT_BATCHED, SERVER_CPU};

    fn with(key: &str, sample: Sample, value: f64) -> Sample {
        let mut sample = sample;
        sample.values.insert(key.into(), value);
        sample
    }

    fn files(report: &Report) -> Vec<String> {
        report.plots().into_iter().map(|plot| plot.file).collect()
    }

    #[test]
    fn small_and_large_rooms_are_held_against_the_limit_in_one_plot() {
        let mut report = report();
        report.subjects[0].name = LIMIT_BATCHED.into();
        report.scenarios = ["rooms-1000x10", "fanout-saturated-100"]
            .map(|name| {
                let samples = vec![
                    with(SERVER_CPU, sample("wspulse", 0, 1.0), 3.0),
                    with(SERVER_CPU, sample(LIMIT_BATCHED, 0, 1.0), 2.0),
                ];
                ScenarioResult { name: name.into(), ..scenario(samples) }
            })
            .into();

        let plots = report.plots();

        let plot = plots.iter().find(|plot| plot.file == "limit-by-room-size.svg");
        assert!(plot.expect("both have a ratio").svg.contains("1.50 ×"));
    }

    #[test]
    fn without_the_limit_nothing_is_held_against_it() {
        assert!(!files(&report()).contains(&"limit-by-room-size.svg".to_owned()));
    }

    #[test]
    fn fairness_of_all_scenarios_is_in_one_plot() {
        let mut report = report();
        assert!(!files(&report).contains(&"fairness.svg".to_owned()));
        let echo = &mut report.scenarios[0];
        echo.columns.push(Column {
            key: FAIRNESS.into(),
            unit: Unit::Ratio,
            headline: false,
            ..echo.columns[0].clone()
        });
        for sample in &mut echo.samples {
            sample.values.insert(FAIRNESS.into(), 1.25);
        }

        let plots = report.plots();

        let plot = plots.iter().find(|plot| plot.file == "fairness.svg");
        assert!(plot.expect("two were measured").svg.contains("1.25 ×"));
    }
}
