#![doc = include_str!("../README.md")]

mod axis;
mod canvas;
mod line_chart;
mod number;
mod row_chart;
mod style;
mod unit;

pub use axis::{Axis, Tick};
pub use line_chart::{Line, LineChart, Point};
pub use number::{count, human, human_with_range, three_digits};
pub use row_chart::{Group, Row, RowChart};
pub use style::{Emphasis, Marker, Style};
pub use unit::Unit;
