//! The report's pictures: lines over time and proportions, in SVG.
//!
//! Written by hand: two plain charts need less code than a chart library's set-up.

use std::fmt::Write;

use crate::scene::Outcome;

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 48.0;
const COLOURS: [&str; 8] =
    ["#0b6e99", "#d1495b", "#3a7d44", "#8a5a00", "#6b4ba3", "#2a9d8f", "#555555", "#c06000"];

struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

struct Chart {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    y_max: Option<f64>,
    lines: Vec<Line>,
}

/// Resident memory over time.
pub(super) fn memory(outcomes: &[Outcome]) -> String {
    let mib = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
    let line = |outcome: &Outcome| Line {
        name: outcome.name.to_owned(),
        points: outcome.memory.iter().map(|(at, kib)| (*at, mib(*kib))).collect(),
    };
    let lines = outcomes.iter().map(line).collect();
    let (x, y) = ("seconds", "resident MiB");
    Chart { title: "Memory of the servers", x, y, y_max: None, lines }.draw()
}

/// How long a server's clients take to catch up: the part of reconnects that is done by a time.
pub(super) fn catch_up(outcomes: &[Outcome]) -> String {
    let line = |outcome: &Outcome| {
        let all = outcome.kinds.iter().flat_map(|kind| &kind.down.1.catch_up_micros);
        let mut micros: Vec<u64> = all.copied().collect();
        micros.sort_unstable();
        let points = (0..=99).filter_map(|part| {
            let index = (micros.len() * part) / 100;
            let micros = u32::try_from(*micros.get(index)?).unwrap_or(u32::MAX);
            Some((f64::from(micros) / 1_000.0, f64::from(u32::try_from(part).ok()?)))
        });
        Line { name: outcome.name.to_owned(), points: points.collect() }
    };
    let lines = outcomes.iter().map(line).collect();
    let (x, y) = ("ms from the handshake to the last missed frame", "% of reconnects");
    Chart { title: "Catching up after a reconnect", x, y, y_max: Some(100.0), lines }.draw()
}

impl Chart {
    fn draw(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x_max = nice(points().map(|(x, _)| *x).fold(1.0, f64::max));
        let y_max =
            self.y_max.unwrap_or_else(|| nice(points().map(|(_, y)| *y).fold(1.0, f64::max)));
        let place = |(x, y): (f64, f64)| {
            let across = (WIDTH - LEFT - RIGHT) * x / x_max;
            let up = (HEIGHT - TOP - BOTTOM) * y / y_max;
            (LEFT + across, HEIGHT - BOTTOM - up)
        };
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="13"><title>{title}</title><rect width="100%" height="100%" fill="#ffffff"/><text x="{LEFT}" y="26" font-size="17" font-weight="600">{title}</text>"##,
            title = self.title
        );
        for step in 0..=4 {
            let part = f64::from(step) / 4.0;
            let (x, bottom) = place((x_max * part, 0.0));
            let (left, y) = place((0.0, y_max * part));
            let right = WIDTH - RIGHT;
            let _ = write!(
                svg,
                r##"<path d="M{left:.1} {y:.1}H{right:.1}M{x:.1} {bottom:.1}V{TOP}" stroke="#dddddd"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#555555">{}</text><text x="{:.1}" y="{:.1}" text-anchor="end" fill="#555555">{}</text>"##,
                bottom + 18.0,
                x_max * part,
                left - 8.0,
                y + 4.0,
                y_max * part,
            );
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        let (below, height) = (HEIGHT - 10.0, f64::midpoint(TOP, HEIGHT - BOTTOM));
        let _ = write!(
            svg,
            r#"<text x="{middle}" y="{below}" text-anchor="middle">{}</text><text transform="translate(18 {height}) rotate(-90)" text-anchor="middle">{}</text>"#,
            self.x, self.y
        );
        for ((line, colour), row) in self.lines.iter().zip(COLOURS.iter().cycle()).zip(0_u32..) {
            let path: Vec<String> = line
                .points
                .iter()
                .map(|point| place(*point))
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let y = TOP + 12.0 + 22.0 * f64::from(row);
            let x = WIDTH - RIGHT + 12.0;
            let _ = write!(
                svg,
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/><text x="{x}" y="{y}" fill="{colour}">{}</text>"#,
                path.join(" "),
                line.name
            );
        }
        svg + "</svg>\n"
    }
}

/// The next number at which an axis may end, such that its quarters are round.
fn nice(most: f64) -> f64 {
    let unit = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    steps.map(|step| step * unit).into_iter().find(|end| *end >= most).unwrap_or(most)
}
