//! Numbers for readers: three digits and a fitting unit.

use super::unit::Unit;

/// A value with its unit, as a reader likes it: `1.23 M/s`, `850 µs`, `12.0 KiB`.
pub fn human(value: f64, unit: Unit) -> String {
    Scale::of(value, unit).with_suffix(value)
}

/// A value and its range in the value's scale: `1.23 M/s (1.20–1.31)`.
pub fn human_with_range(value: f64, (min, max): (f64, f64), unit: Unit) -> String {
    let scale = Scale::of(value, unit);
    let (min, max) = (scale.digits(min), scale.digits(max));
    format!("{} ({min}–{max})", scale.with_suffix(value))
}

/// As [`human`], without zeros that say nothing: `1 M/s`, for the ticks of an axis.
pub(crate) fn round(value: f64, unit: Unit) -> String {
    Scale::of(value, unit).round(value)
}

/// Three significant digits; all of them before the decimal point.
pub fn three_digits(value: f64) -> String {
    // The exponent is taken after rounding: 9.996 has as many decimals as 10.0.
    let exponent = format!("{value:.2e}").split_once('e').and_then(|(_, text)| text.parse().ok());
    let decimals = usize::try_from(2 - exponent.unwrap_or(0_i32)).unwrap_or(0);
    if value == 0.0 { "0".into() } else { thousands(&format!("{value:.decimals$}")) }
}

/// A number of things, with its thousands set apart: `10,000`.
pub fn count(value: impl std::fmt::Display) -> String {
    thousands(&value.to_string())
}

/// A multiple of a unit in which a value has few digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How much of the unit it is.
    pub(crate) factor: f64,
    suffix: &'static str,
}

impl Scale {
    /// The scale that suits this value.
    pub(crate) fn of(value: f64, unit: Unit) -> Self {
        let scales = scales(unit);
        // What rounds to 1 of a scale is shown in it: 999.9 µs is 1.00 ms.
        let fits = |scale: &&Self| value.abs() / scale.factor >= 0.9995;
        let unscaled = |scale: &&Self| (scale.factor - 1.0).abs() < f64::EPSILON;
        let found = if value == 0.0 {
            scales.iter().find(unscaled)
        } else {
            scales.iter().rfind(fits).or(scales.first())
        };
        found.copied().unwrap_or(Self { factor: 1.0, suffix: "" })
    }

    /// The value in this scale, with its suffix and without zeros that say nothing.
    pub(crate) fn round(self, value: f64) -> String {
        let digits = self.digits(value);
        let shortened = digits.trim_end_matches('0').trim_end_matches('.');
        self.suffixed(if digits.contains('.') { shortened } else { &digits })
    }

    fn with_suffix(self, value: f64) -> String {
        self.suffixed(&self.digits(value))
    }

    fn suffixed(self, digits: &str) -> String {
        format!("{digits} {}", self.suffix).trim_end().into()
    }

    fn digits(self, value: f64) -> String {
        let value = value / self.factor;
        // What is counted one by one has no decimals unless it is a mean.
        let counted = matches!(self.suffix, "" | "B") && value.fract() == 0.0;
        if counted { thousands(&format!("{value:.0}")) } else { three_digits(value) }
    }
}

/// The scales of a unit, the smallest first.
fn scales(unit: Unit) -> &'static [Scale] {
    const fn scale(factor: f64, suffix: &'static str) -> Scale {
        Scale { factor, suffix }
    }
    const KIB: f64 = 1024.0;
    match unit {
        Unit::PerSecond => {
            const { &[scale(1.0, "/s"), scale(1e3, "k/s"), scale(1e6, "M/s"), scale(1e9, "G/s")] }
        }
        Unit::Micros => {
            const { &[scale(1e-3, "ns"), scale(1.0, "µs"), scale(1e3, "ms"), scale(1e6, "s")] }
        }
        Unit::Seconds => const { &[scale(1e-6, "µs"), scale(1e-3, "ms"), scale(1.0, "s")] },
        Unit::Bytes => {
            const {
                &[
                    scale(1.0, "B"),
                    scale(KIB, "KiB"),
                    scale(KIB * KIB, "MiB"),
                    scale(KIB * KIB * KIB, "GiB"),
                ]
            }
        }
        Unit::Kib => {
            const {
                &[
                    scale(1.0 / KIB, "B"),
                    scale(1.0, "KiB"),
                    scale(KIB, "MiB"),
                    scale(KIB * KIB, "GiB"),
                ]
            }
        }
        Unit::Mib => {
            const {
                &[
                    scale(1.0 / KIB / KIB, "B"),
                    scale(1.0 / KIB, "KiB"),
                    scale(1.0, "MiB"),
                    scale(KIB, "GiB"),
                ]
            }
        }
        Unit::Percent => const { &[scale(1.0, "%")] },
        Unit::Count => const { &[scale(1.0, ""), scale(1e6, "M"), scale(1e9, "G")] },
        Unit::Ratio => const { &[scale(1.0, "×")] },
    }
}

/// Sets the thousands of a decimal number apart.
fn thousands(digits: &str) -> String {
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let (sign, whole) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_get_three_digits_and_a_fitting_unit() {
        for (value, unit, expected) in [
            (1_234_567.0, Unit::PerSecond, "1.23 M/s"),
            (85_000.0, Unit::PerSecond, "85.0 k/s"),
            (0.5, Unit::PerSecond, "0.500 /s"),
            (0.25, Unit::Micros, "250 ns"),
            (85.04, Unit::Micros, "85.0 µs"),
            (12_345.0, Unit::Micros, "12.3 ms"),
            (2.5e6, Unit::Micros, "2.50 s"),
            (0.0123, Unit::Seconds, "12.3 ms"),
            (1234.4, Unit::Seconds, "1,234 s"),
            (64.0, Unit::Bytes, "64 B"),
            (1536.0, Unit::Bytes, "1.50 KiB"),
            (12.0, Unit::Kib, "12.0 KiB"),
            (0.5, Unit::Kib, "512 B"),
            (2048.0, Unit::Mib, "2.00 GiB"),
            (98.76, Unit::Percent, "98.8 %"),
            (10_000.0, Unit::Count, "10,000"),
            (2.5, Unit::Count, "2.50"),
            (1_234_567.0, Unit::Count, "1.23 M"),
            (1.5, Unit::Ratio, "1.50 ×"),
        ] {
            assert_eq!(human(value, unit), expected);
        }
    }

    #[test]
    fn zero_and_less_are_values_too() {
        assert_eq!(human(0.0, Unit::Seconds), "0 s");
        assert_eq!(human(0.0, Unit::PerSecond), "0 /s");
        assert_eq!(human(-2048.0, Unit::Bytes), "-2.00 KiB");
    }

    #[test]
    fn what_rounds_up_to_the_next_unit_is_shown_in_it() {
        assert_eq!(human(999.9, Unit::Micros), "1.00 ms");
        assert_eq!(human(999.4, Unit::Micros), "999 µs");
        assert_eq!(human(9.996, Unit::Percent), "10.0 %");
    }

    #[test]
    fn a_range_is_shown_in_the_scale_of_its_value() {
        let range = (900_000.0, 1_310_000.0);

        assert_eq!(human_with_range(1_234_000.0, range, Unit::PerSecond), "1.23 M/s (0.900–1.31)");
    }

    #[test]
    fn ticks_have_no_needless_zeros() {
        assert_eq!(round(1e6, Unit::PerSecond), "1 M/s");
        assert_eq!(round(2.5e3, Unit::Micros), "2.5 ms");
        assert_eq!(round(100.0, Unit::Micros), "100 µs");
        assert_eq!(round(0.0, Unit::Kib), "0 KiB");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(thousands("-12345.678"), "-12,345.678");
    }
}
