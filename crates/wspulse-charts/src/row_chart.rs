//! Bar charts with a horizontal bar in each row.

use super::axis::Axis;
use super::canvas::{Canvas, Fill, Stroke, Text, text_width};
use super::line_chart::heading;
use super::style::{AXIS, Emphasis, GRID, INK, PAPER, QUIET_INK, Style};

const WIDTH: f64 = 960.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 68.0;
const ROW: f64 = 28.0;
const BAR: f64 = 18.0;
const GROUP_HEADING: f64 = 32.0;
const NAME_SIZE: f64 = 14.0;

/// A chart with bars.
#[derive(Debug)]
pub struct RowChart {
    /// What the chart shows.
    pub title: String,
    /// What is said below the title.
    pub subtitle: String,
    /// The axis along which the bars lie.
    pub axis: Axis,
    /// The bars, from top to bottom.
    pub groups: Vec<Group>,
}

/// Bars that belong together.
#[derive(Debug)]
pub struct Group {
    /// What stands above them.
    pub heading: Option<String>,
    /// The bars, from top to bottom.
    pub rows: Vec<Row>,
}

/// A bar.
#[derive(Debug)]
pub struct Row {
    /// What stands before it.
    pub name: String,
    /// What is said at its end.
    pub label: String,
    /// How it looks.
    pub style: Style,
    /// How long it is.
    pub value: f64,
    /// The range that the value stands for.
    pub low: f64,
    /// The range's upper end.
    pub high: f64,
}

impl RowChart {
    /// Draws the chart.
    pub fn draw(&self) -> String {
        let height = TOP + self.groups.iter().map(Group::height).sum::<f64>() + BOTTOM;
        let mut canvas = Canvas::new(&self.title, WIDTH, height);
        heading(&mut canvas, &self.title, &self.subtitle, WIDTH);
        self.draw_axis(&mut canvas, height - BOTTOM);
        let mut top = TOP;
        for group in &self.groups {
            self.draw_group(&mut canvas, group, top);
            top += group.height();
        }
        canvas.finish()
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().flat_map(|group| &group.rows)
    }

    fn left(&self) -> f64 {
        let headings = self.groups.iter().filter_map(|group| group.heading.as_ref());
        let texts = self.rows().map(|row| &row.name).chain(headings);
        24.0 + texts.map(|text| text_width(text, NAME_SIZE)).fold(0.0, f64::max) + 12.0
    }

    fn right(&self) -> f64 {
        let labels = self.rows().map(|row| text_width(&row.label, NAME_SIZE));
        WIDTH - 16.0 - labels.fold(0.0, f64::max) - 12.0
    }

    fn place(&self, value: f64) -> f64 {
        self.left() + (self.right() - self.left()) * self.axis.place(value)
    }

    fn draw_axis(&self, canvas: &mut Canvas, bottom: f64) {
        for tick in &self.axis.ticks {
            let x = self.place(tick.value);
            canvas.line((x, TOP), (x, bottom), Stroke::new(GRID, 1.0));
            canvas.text((x, bottom + 16.0), &Text::new(&tick.label, 13.0, QUIET_INK).centred());
        }
        let (left, right) = (self.left(), self.right());
        canvas.line((left, TOP), (left, bottom), Stroke::new(AXIS, 1.0));
        let text = Text::new(&self.axis.label, 13.0, INK).centred();
        canvas.text((f64::midpoint(left, right), bottom + 44.0), &text);
    }

    fn draw_group(&self, canvas: &mut Canvas, group: &Group, mut top: f64) {
        if let Some(heading) = &group.heading {
            let text = Text::new(heading, NAME_SIZE, INK).emphasised(Emphasis::Strong);
            canvas.text((24.0, top + GROUP_HEADING / 2.0), &text);
            top += GROUP_HEADING;
        }
        for row in &group.rows {
            self.draw_row(canvas, row, top + ROW / 2.0);
            top += ROW;
        }
    }

    fn draw_row(&self, canvas: &mut Canvas, row: &Row, middle: f64) {
        let Style { colour, emphasis, .. } = row.style;
        let (left, end) = (self.left(), self.place(row.value));
        let opacity = match emphasis {
            Emphasis::Strong => 1.0,
            Emphasis::Plain => 0.65,
            Emphasis::Bound => 0.25,
        };
        let name = Text::new(&row.name, NAME_SIZE, colour).emphasised(emphasis).ending();
        canvas.text((left - 10.0, middle), &name);
        let (corner, size) = ((left, middle - BAR / 2.0), (end - left, BAR));
        // What lies below a pale bar must not show through.
        canvas.rectangle(corner, size, Fill { colour: PAPER, opacity: 1.0 });
        canvas.rectangle(corner, size, Fill { colour, opacity });
        let (low, high) = (self.place(row.low), self.place(row.high));
        if row.low < row.high {
            canvas.line((low, middle), (high, middle), Stroke::new(INK, 1.5));
            for x in [low, high] {
                canvas.line((x, middle - 4.0), (x, middle + 4.0), Stroke::new(INK, 1.5));
            }
        }
        let label = Text::new(&row.label, NAME_SIZE, INK).emphasised(emphasis);
        canvas.text((high.max(end) + 9.0, middle), &label);
    }
}

impl Group {
    fn height(&self) -> f64 {
        let heading = if self.heading.is_some() { GROUP_HEADING } else { 0.0 };
        self.rows.iter().map(|_| ROW).sum::<f64>() + heading
    }
}
