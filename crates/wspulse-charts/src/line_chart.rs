//! Line charts whose lines have their names at their ends.

use super::axis::Axis;
use super::canvas::{Canvas, Position, Stroke, Text, text_width};
use super::style::{AXIS, Emphasis, GRID, INK, QUIET_INK, Style};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
const LEFT: f64 = 96.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 68.0;
/// From the lines' ends to their names.
const LEADER: f64 = 26.0;
/// From one name to the next.
const NAME_HEIGHT: f64 = 20.0;
const NAME_SIZE: f64 = 14.0;
/// Thinner than our line, thicker than others': it must be seen below both.
const RANGE_WIDTH: f64 = 2.5;

/// A chart with lines.
#[derive(Debug)]
pub struct LineChart {
    /// What the chart shows.
    pub title: String,
    /// What is said below the title.
    pub subtitle: String,
    /// The axis to the right.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    /// The last lies on top.
    pub lines: Vec<Line>,
}

/// A line.
#[derive(Debug)]
pub struct Line {
    /// What stands at its end.
    pub name: String,
    /// What is said behind the name.
    pub note: Option<String>,
    /// How it looks.
    pub style: Style,
    /// Its points, from left to right.
    pub points: Vec<Point>,
}

/// A point of a line, and the range that it stands for.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Where it is, to the right.
    pub x: f64,
    /// Where it is, upwards.
    pub y: f64,
    /// The range's lower end.
    pub low: f64,
    /// The range's upper end.
    pub high: f64,
}

impl Point {
    /// A point that stands for no range.
    pub const fn exact(x: f64, y: f64) -> Self {
        Self { x, y, low: y, high: y }
    }
}

impl LineChart {
    /// Draws the chart.
    pub fn draw(&self) -> String {
        let mut canvas = Canvas::new(&self.title, WIDTH, HEIGHT);
        heading(&mut canvas, &self.title, &self.subtitle, WIDTH);
        self.draw_axes(&mut canvas);
        for line in &self.lines {
            self.draw_line(&mut canvas, line);
        }
        self.draw_names(&mut canvas);
        canvas.finish()
    }

    /// Where the lines' part of the picture ends: the names beside it need the rest.
    fn right(&self) -> f64 {
        let width = |line: &Line| {
            let note = line.note.as_deref().unwrap_or("");
            text_width(&line.name, NAME_SIZE) + text_width(note, NAME_SIZE)
        };
        let names = self.lines.iter().map(width).fold(0.0, f64::max);
        WIDTH - LEADER - names - 16.0
    }

    fn place(&self, x: f64, y: f64) -> Position {
        let (width, height) = (self.right() - LEFT, HEIGHT - TOP - BOTTOM);
        (LEFT + width * self.x.place(x), TOP + height * (1.0 - self.y.place(y)))
    }

    fn draw_axes(&self, canvas: &mut Canvas) {
        let (right, bottom) = (self.right(), HEIGHT - BOTTOM);
        for tick in &self.y.ticks {
            let (_, y) = self.place(0.0, tick.value);
            canvas.line((LEFT, y), (right, y), Stroke::new(GRID, 1.0));
            canvas.text((LEFT - 10.0, y), &Text::new(&tick.label, 13.0, QUIET_INK).ending());
        }
        for tick in &self.x.ticks {
            let (x, _) = self.place(tick.value, 0.0);
            canvas.line((x, TOP), (x, bottom), Stroke::new(GRID, 1.0));
            canvas.line((x, bottom), (x, bottom + 5.0), Stroke::new(AXIS, 1.0));
            canvas.text((x, bottom + 17.0), &Text::new(&tick.label, 13.0, QUIET_INK).centred());
        }
        canvas.line((LEFT, bottom), (right, bottom), Stroke::new(AXIS, 1.0));
        let (across, down) = (f64::midpoint(LEFT, right), f64::midpoint(TOP, bottom));
        let text = Text::new(&self.x.label, 13.0, INK).centred();
        canvas.text((across, HEIGHT - 22.0), &text);
        canvas.text((20.0, down), &Text::new(&self.y.label, 13.0, INK).centred().turned());
    }

    fn draw_line(&self, canvas: &mut Canvas, line: &Line) {
        let Style { colour, marker, emphasis } = line.style;
        let (stroke, radius) = match emphasis {
            Emphasis::Strong => (Stroke::new(colour, 3.5), 5.5),
            Emphasis::Plain => (Stroke::new(colour, 1.75), 4.0),
            Emphasis::Bound => (Stroke::new(colour, 1.75).dashed(), 3.0),
        };
        for point in line.points.iter().filter(|point| point.low < point.high) {
            let (low, high) = (self.place(point.x, point.low), self.place(point.x, point.high));
            canvas.line(low, high, Stroke::new(colour, RANGE_WIDTH).pale());
        }
        let points: Vec<Position> =
            line.points.iter().map(|point| self.place(point.x, point.y)).collect();
        canvas.polyline(&points, stroke);
        for point in points {
            canvas.marker(point, marker, radius, colour);
        }
    }

    fn draw_names(&self, canvas: &mut Canvas) {
        let last = |line: &Line| line.points.last().map(|point| self.place(point.x, point.y));
        let mut ends: Vec<(Position, &Line)> =
            self.lines.iter().filter_map(|line| Some((last(line)?, line))).collect();
        ends.sort_by(|((_, one), _), ((_, other), _)| one.total_cmp(other));
        let wanted: Vec<f64> = ends.iter().map(|((_, y), _)| *y).collect();
        let right = self.right() + LEADER;
        for ((end, line), y) in ends.iter().zip(apart(&wanted, TOP, HEIGHT - BOTTOM)) {
            let Style { colour, emphasis, .. } = line.style;
            let (x, from) = *end;
            let leader = [(x + 9.0, from), (right - 14.0, y), (right - 6.0, y)];
            canvas.polyline(&leader, Stroke::new(colour, 1.0).pale());
            let text = Text::new(&line.name, NAME_SIZE, colour).emphasised(emphasis);
            canvas.text((right, y), &text.noted(line.note.as_deref()));
        }
    }
}

/// The title of a chart and what it says below.
pub(crate) fn heading(canvas: &mut Canvas, title: &str, subtitle: &str, width: f64) {
    const SIZE: f64 = 20.0;
    let room = width - 48.0;
    // A title that is too long for the line is set smaller.
    let size = SIZE * (room / text_width(title, SIZE)).min(1.0);
    canvas.text((24.0, 32.0), &Text::new(title, size, INK).emphasised(Emphasis::Strong));
    canvas.text((24.0, 58.0), &Text::new(subtitle, 14.0, QUIET_INK));
}

/// Moves the heights of names, which come from top to bottom, as far apart as names need it. Names
/// that touch then lie around the middle of where they wanted to be.
fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mean = |run: &[f64]| run.iter().sum::<f64>() / run.iter().map(|_| 1.0).sum::<f64>();
    // Without what the names above a name take, a run of touching names has one height.
    let mut taken = 0.0;
    let mut runs: Vec<Vec<f64>> = Vec::new();
    for y in wanted {
        let mut run = vec![y - taken];
        while let Some(mut above) = runs.pop_if(|above| mean(above) > mean(&run)) {
            above.append(&mut run);
            run = above;
        }
        runs.push(run);
        taken += NAME_HEIGHT;
    }
    let lowest = (bottom - taken + NAME_HEIGHT).max(top);
    let heights = runs.iter().flat_map(|run| run.iter().map(|_| mean(run).clamp(top, lowest)));
    let mut taken = 0.0;
    let place = |height| {
        taken += NAME_HEIGHT;
        height + taken - NAME_HEIGHT
    };
    heights.map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_where_they_are_if_there_is_room() {
        assert_eq!(apart(&[10.0, 50.0, 90.0], 0.0, 100.0), [10.0, 50.0, 90.0]);
    }

    #[test]
    fn names_that_would_overlap_are_moved_apart() {
        assert_eq!(apart(&[50.0, 51.0, 52.0, 150.0], 0.0, 200.0), [31.0, 51.0, 71.0, 150.0]);
    }

    #[test]
    fn names_do_not_leave_the_chart() {
        assert_eq!(apart(&[98.0, 99.0, 100.0], 0.0, 100.0), [60.0, 80.0, 100.0]);
        assert_eq!(apart(&[0.0, 1.0], 0.0, 100.0), [0.0, 20.0]);
        assert_eq!(apart(&[], 0.0, 100.0), [0.0; 0]);
    }
}
