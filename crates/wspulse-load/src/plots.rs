//! The plots of a report.

use wspulse_charts::{Axis, Line, LineChart, Point, Style, Unit, human};

use crate::histogram::float;
use crate::outcome::Outcome;
use crate::timeline::Moment;

/// All plots that there is something for, as SVG.
pub(crate) fn plots(outcome: &Outcome) -> Vec<String> {
    let charts = [percentiles(outcome), latency(outcome), throughput(outcome), clients(outcome)];
    charts.into_iter().flatten().map(|chart| chart.draw()).collect()
}

fn line(name: &str, style: Style, points: Vec<Point>, unit: Unit) -> Line {
    let note = points.last().map(|last| human(last.y, unit));
    Line { name: name.into(), note, style, points }
}

fn percentiles(outcome: &Outcome) -> Option<LineChart> {
    let shown = outcome.latency_micros_by_percentile.iter().filter(|(_, micros)| *micros > 0.0);
    let points: Vec<_> = shown.map(|(x, y)| Point::exact(*x, *y)).collect();
    let heights = points.iter().map(|point| point.y);
    Some(LineChart {
        title: "Latency, from when a message was due to its copy".into(),
        subtitle: "So many of 100 copies came within so long · lower is better".into(),
        x: Axis::nines("percentile (%)", points.last()?.x),
        y: Axis::logarithmic("latency", heights, Unit::Micros)?,
        lines: vec![line("latency", Style::OURS, points, Unit::Micros)],
    })
}

/// A chart over the time of the run.
fn over_time(
    outcome: &Outcome,
    (title, subtitle): (&str, &str),
    y: Option<Axis>,
    lines: Vec<Line>,
) -> Option<LineChart> {
    let times = outcome.moments.iter().map(|moment| moment.at.as_secs_f64());
    let lines: Vec<_> = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
    Some(LineChart {
        title: title.into(),
        subtitle: subtitle.into(),
        x: Axis::from_zero("since the start", times, Unit::Seconds)?,
        y: y?,
        lines,
    })
}

fn points(outcome: &Outcome, y: impl Fn(&Moment) -> Option<f64>) -> Vec<Point> {
    let point = |moment: &Moment| Some(Point::exact(moment.at.as_secs_f64(), y(moment)?));
    outcome.moments.iter().filter_map(point).collect()
}

fn heights(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| &line.points).map(|point| point.y)
}

fn latency(outcome: &Outcome) -> Option<LineChart> {
    let positive = |micros: Option<f64>| micros.filter(|micros| *micros > 0.0);
    let lines = vec![
        line(
            "longest",
            Style::peer(4),
            points(outcome, |one| positive(one.max_micros)),
            Unit::Micros,
        ),
        line("p50", Style::peer(1), points(outcome, |one| positive(one.p50_micros)), Unit::Micros),
        line("p99", Style::OURS, points(outcome, |one| positive(one.p99_micros)), Unit::Micros),
    ];
    let y = Axis::logarithmic("latency", heights(&lines), Unit::Micros);
    over_time(outcome, ("Latency over time", "Of what came in each interval"), y, lines)
}

fn throughput(outcome: &Outcome) -> Option<LineChart> {
    let rate = |count: fn(&Moment) -> u64| {
        let mut before = 0;
        let points = outcome.moments.iter().filter_map(|moment| {
            let seconds = moment.interval.as_secs_f64();
            // Messages that come back as unsent make less of what was sent.
            let more = count(moment).saturating_sub(before);
            before = count(moment);
            (seconds > 0.0).then(|| Point::exact(moment.at.as_secs_f64(), float(more) / seconds))
        });
        points.collect::<Vec<_>>()
    };
    let lines = vec![
        line("sent", Style::peer(0), rate(|one| one.sent), Unit::PerSecond),
        line("received", Style::OURS, rate(|one| one.received), Unit::PerSecond),
    ];
    let y = Axis::from_zero("in a second", heights(&lines), Unit::PerSecond);
    over_time(outcome, ("Messages sent and copies received", "In each interval"), y, lines)
}

fn clients(outcome: &Outcome) -> Option<LineChart> {
    let open = points(outcome, |one| Some(float(one.open)));
    let lines = vec![line("connected", Style::OURS, open, Unit::Count)];
    let y = Axis::from_zero("clients", heights(&lines), Unit::Count);
    over_time(outcome, ("Clients with a connection", "At each moment"), y, lines)
}
