//! Axes: from a value to a place, and which values get a tick.

use super::number::{Scale, count, round};
use super::unit::Unit;

/// The percentiles with a tick on an axis of nines.
const NINES: [f64; 7] = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999];

/// How much wider than its values a logarithmic axis is, at each end.
const MARGIN: f64 = 1.25;

/// How much longer than its largest value a linear axis is.
const HEADROOM: f64 = 1.05;

/// About how many ticks an axis should have.
const TICKS: f64 = 5.0;

/// An axis of a chart.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it measures.
    pub label: String,
    /// The values with a label, in order.
    pub ticks: Vec<Tick>,
    kind: Kind,
    low: f64,
    high: f64,
}

/// A value with a label.
#[derive(Clone, Debug)]
pub struct Tick {
    /// Where it is.
    pub value: f64,
    /// What is said there.
    pub label: String,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Linear,
    Logarithmic,
    /// Each step divides the distance to 100 by ten.
    Nines,
}

impl Axis {
    /// A linear axis from 0 to a little above the largest of these values.
    pub fn from_zero(label: &str, values: impl Iterator<Item = f64>, unit: Unit) -> Option<Self> {
        let largest = values.max_by(f64::total_cmp)?;
        // An axis on which everything is 0 needs a length nevertheless.
        let largest = if largest > 0.0 { largest } else { 1.0 };
        // Steps are round in the scale that labels are in: 512 KiB is a round part of 2 MiB.
        let scale = Scale::of(largest, unit);
        let step = round_step(largest / scale.factor / TICKS) * scale.factor;
        let high = largest * HEADROOM;
        let mut ticks = vec![Tick { value: 0.0, label: "0".into() }];
        let mut value = step;
        while value <= high {
            ticks.push(Tick { value, label: scale.round(value) });
            value += step;
        }
        Some(Self { label: label.into(), ticks, kind: Kind::Linear, low: 0.0, high })
    }

    /// A logarithmic axis with these values inside. There must be one, and they must be positive.
    pub fn logarithmic(label: &str, values: impl Iterator<Item = f64>, unit: Unit) -> Option<Self> {
        let (smallest, largest) = range(values)?;
        let (low, high) = (smallest / MARGIN, largest * MARGIN);
        let ticks = logarithmic_ticks(low, high, unit);
        Some(Self {
            label: format!("{label} (log scale)"),
            ticks,
            kind: Kind::Logarithmic,
            low,
            high,
        })
    }

    /// A logarithmic axis that starts at a tick, for bars: they need a start that is marked.
    pub fn logarithmic_from_tick(
        label: &str,
        values: impl Iterator<Item = f64>,
        unit: Unit,
    ) -> Option<Self> {
        let (smallest, largest) = range(values)?;
        let base = if is_binary(unit) { 4.0 } else { 10.0 };
        let below = smallest / MARGIN;
        let low = f64::powf(base, below.log(base).floor());
        let high = largest * MARGIN;
        let ticks = logarithmic_ticks(low, high, unit);
        Some(Self {
            label: format!("{label} (log scale)"),
            ticks,
            kind: Kind::Logarithmic,
            low,
            high,
        })
    }

    /// A logarithmic axis with a tick at each of these sizes, which are in order.
    pub fn sizes(label: &str, sizes: &[f64]) -> Option<Self> {
        let (low, high) = (sizes.first()? / MARGIN, sizes.last()? * MARGIN);
        let tick = |value: &f64| Tick { value: *value, label: count(value) };
        let ticks = sizes.iter().map(tick).collect();
        Some(Self { label: label.into(), ticks, kind: Kind::Logarithmic, low, high })
    }

    /// An axis of percentiles, from 50 to the highest that there is.
    pub fn nines(label: &str, highest: f64) -> Self {
        let high = highest.max(NINES[1]);
        // What was written as 99.9 may be a trifle less.
        let shown = NINES.into_iter().filter(|value| *value <= high + 1e-9);
        let ticks = shown.map(|value| Tick { value, label: count(value) }).collect();
        Self { label: label.into(), ticks, kind: Kind::Nines, low: NINES[0], high }
    }

    /// Where a value is, from 0 at the axis's start to 1 at its end.
    pub fn place(&self, value: f64) -> f64 {
        // The ends first: beyond them, a logarithm may have no value.
        if value <= self.low {
            return 0.0;
        }
        if value >= self.high {
            return 1.0;
        }
        let [value, low, high] = [value, self.low, self.high].map(|value| match self.kind {
            Kind::Linear => value,
            Kind::Logarithmic => value.log10(),
            Kind::Nines => -(1.0 - value / 100.0).log10(),
        });
        (value - low) / (high - low)
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let values: Vec<f64> = values.filter(|value| *value > 0.0).collect();
    let smallest = values.iter().copied().min_by(f64::total_cmp)?;
    Some((smallest, values.iter().copied().max_by(f64::total_cmp)?))
}

/// Round values from `low` to `high`: the fewest that are at least four.
fn logarithmic_ticks(low: f64, high: f64, unit: Unit) -> Vec<Tick> {
    let binary: [(f64, &[f64]); 3] = [(16.0, &[1.0]), (4.0, &[1.0]), (2.0, &[1.0])];
    let decimal: [(f64, &[f64]); 5] = [
        (100.0, &[1.0]),
        (10.0, &[1.0]),
        (10.0, &[1.0, 2.0, 5.0]),
        (10.0, &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]),
        (10.0, &[1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0]),
    ];
    let choices: &[(f64, &[f64])] = if is_binary(unit) { &binary } else { &decimal };
    let candidates = choices.iter().map(|(base, steps)| multiples(low, high, *base, steps));
    let mut found = Vec::new();
    for values in candidates {
        found = values;
        if found.len() >= 4 {
            break;
        }
    }
    found.into_iter().map(|value| Tick { value, label: round(value, unit) }).collect()
}

/// Each power of `base` times each of `steps`, from `low` to `high`.
fn multiples(low: f64, high: f64, base: f64, steps: &[f64]) -> Vec<f64> {
    let mut values = Vec::new();
    let mut power = f64::powf(base, low.log(base).floor());
    // The factor forgives what a power is off.
    let range = low * (1.0 - 1e-9)..=high * (1.0 + 1e-9);
    while power <= high {
        values.extend(steps.iter().map(|step| step * power).filter(|value| range.contains(value)));
        power *= base;
    }
    values
}

const fn is_binary(unit: Unit) -> bool {
    match unit {
        Unit::Bytes | Unit::Kib | Unit::Mib => true,
        Unit::PerSecond
        | Unit::Micros
        | Unit::Percent
        | Unit::Count
        | Unit::Seconds
        | Unit::Ratio => false,
    }
}

/// The smallest round number that is not below this one.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    fn assert_place(axis: &Axis, value: f64, expected: f64) {
        let place = axis.place(value);
        assert!((place - expected).abs() < 1e-6, "{value} is at {place}, not {expected}");
    }

    #[test]
    fn each_nine_of_a_percentile_is_as_far_from_the_last() {
        let axis = Axis::nines("", 99.99);

        assert_eq!(labels(&axis), ["50", "90", "99", "99.9", "99.99"]);
        let distance = axis.place(99.99) - axis.place(99.9);
        assert_place(&axis, 50.0, 0.0);
        assert_place(&axis, 99.9, 1.0 - distance);
        assert_place(&axis, 99.0, 1.0 - 2.0 * distance);
        assert_place(&axis, 90.0, 1.0 - 3.0 * distance);
    }

    #[test]
    fn a_linear_axis_starts_at_zero_and_has_its_ticks_at_round_values() {
        let axis = Axis::from_zero("", [3.1e6, 0.2e6].into_iter(), Unit::PerSecond)
            .expect("there are values");

        assert_eq!(labels(&axis), ["0", "1 M/s", "2 M/s", "3 M/s"]);
        assert_place(&axis, 0.0, 0.0);
        assert_place(&axis, 3.1e6, 1.0 / HEADROOM);
    }

    #[test]
    fn ticks_of_memory_are_powers_of_two() {
        let axis = Axis::logarithmic_from_tick("", [7.0, 90.0].into_iter(), Unit::Kib)
            .expect("there are values");

        assert_eq!(labels(&axis), ["4 KiB", "8 KiB", "16 KiB", "32 KiB", "64 KiB"]);
        assert_place(&axis, 4.0, 0.0);
    }

    #[test]
    fn ticks_are_denser_on_a_short_axis() {
        let ticks = |low, high| {
            let axis = Axis::logarithmic("", [low, high].into_iter(), Unit::Micros);
            axis.expect("there are values").ticks.len()
        };

        for (low, high) in [(90.0, 110.0), (30.0, 300.0), (10.0, 1e5), (1.0, 1e7)] {
            assert!((3..=9).contains(&ticks(low, high)), "{low} to {high}");
        }
    }

    #[test]
    fn what_is_beyond_an_axis_is_at_its_end() {
        let nines = Axis::nines("", 99.9);
        assert_place(&nines, 100.0, 1.0);
        assert_place(&nines, 0.0, 0.0);

        let memory = Axis::logarithmic_from_tick("", [7.0, -3.0].into_iter(), Unit::Kib)
            .expect("there is a positive value");
        assert_place(&memory, -3.0, 0.0);
    }

    #[test]
    fn an_axis_on_which_all_is_zero_has_a_length() {
        let axis = Axis::from_zero("", [0.0].into_iter(), Unit::Percent).expect("there is a value");

        assert_place(&axis, 0.0, 0.0);
        assert!(axis.ticks.len() > 1);
    }

    #[test]
    fn an_axis_without_values_does_not_exist() {
        assert!(Axis::from_zero("", [].into_iter(), Unit::Count).is_none());
        assert!(Axis::logarithmic("", [0.0].into_iter(), Unit::Count).is_none());
    }
}
