//! Plots of what compressed messages cost and take, by their size.

use wspulse_charts::{Axis, LineChart, Point, human};

use super::{Plot, Report, ScenarioResult};
use crate::report::model::Better;
use crate::report::{COMPRESSED, SERVER_CPU, WIRE_BYTES};

/// What is shown of each size: the column, the file and the title.
const SHOWN: [(&str, &str, &str); 2] = [
    (SERVER_CPU, "compressed-cpu-by-size.svg", "Compressed fan-out: server CPU by message size"),
    (WIRE_BYTES, "compressed-bytes-by-size.svg", "Compressed fan-out: bytes by message size"),
];

impl Report {
    pub(super) fn by_message_size(&self) -> Vec<Plot> {
        let sizes = self.family(COMPRESSED);
        if sizes.len() < 2 {
            // One size makes no line.
            return Vec::new();
        }
        let plot = |(key, file, title)| self.one_by_message_size(&sizes, key, file, title);
        SHOWN.into_iter().filter_map(plot).collect()
    }

    fn one_by_message_size(
        &self,
        sizes: &[(f64, &ScenarioResult)],
        key: &str,
        file: &str,
        title: &str,
    ) -> Option<Plot> {
        let column = sizes.first()?.1.column(key)?;
        let mut lines = self.lines(|subject| {
            let point = |(bytes, scenario): &(f64, &ScenarioResult)| {
                let y = scenario.median(subject, key)?;
                let spread = scenario.spread(subject, key)?;
                Some(Point { x: *bytes, y, low: spread.min, high: spread.max })
            };
            sizes.iter().filter_map(point).collect()
        });
        for line in &mut lines {
            line.note = line.points.last().map(|last| human(last.y, column.unit));
        }
        let values = lines.iter().flat_map(|line| &line.points).map(|point| point.y);
        let scenarios: Vec<_> = sizes.iter().map(|(_, scenario)| *scenario).collect();
        let bytes: Vec<f64> = sizes.iter().map(|(bytes, _)| *bytes).collect();
        let chart = LineChart {
            title: title.into(),
            subtitle: self.subtitle(Better::Lower, &scenarios),
            x: Axis::sizes("bytes of the message", &bytes)?,
            y: Axis::logarithmic(&column.heading, values, column.unit)?,
            lines,
        };
        let svg = chart.draw();
        Some(Plot { file: file.into(), title: chart.title, svg, scenario: None })
    }
}

#[cfg(test)]
mod tests {
    use wspulse_charts::Unit;

    use crate::report::model::{Column, ScenarioResult};
    use crate::report::sample::{report, sample, scenario};
    use crate::report::{SERVER_CPU, WIRE_BYTES};

    #[test]
    fn time_and_bytes_of_all_sizes_are_in_a_plot_each() {
        let mut report = report();
        report.scenarios = ["compressed-64", "compressed-1024"]
            .map(|name| {
                let mut one = sample("wspulse", 0, 1.0);
                one.values.extend([(SERVER_CPU.into(), 2.0), (WIRE_BYTES.into(), 345.0)]);
                let mut of_size = ScenarioResult { name: name.into(), ..scenario(vec![one]) };
                let column = |key: &str, unit| Column {
                    key: key.into(),
                    unit,
                    headline: false,
                    ..of_size.columns[0].clone()
                };
                let more = [column(SERVER_CPU, Unit::Micros), column(WIRE_BYTES, Unit::Bytes)];
                of_size.columns.extend(more);
                of_size
            })
            .into();

        let plots = report.plots();

        let files: Vec<&str> = plots.iter().map(|plot| plot.file.as_str()).collect();
        assert_eq!(files, ["compressed-cpu-by-size.svg", "compressed-bytes-by-size.svg"]);
        assert!(plots[1].svg.contains("345 B"), "{}", plots[1].svg);
    }
}
