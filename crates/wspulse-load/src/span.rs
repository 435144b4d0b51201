//! `Span`: a time as people write it, `500ms` or `1.5s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// The longest time that can be asked for.
const SPAN_MAX: Duration = Duration::from_hours(24);

/// The units of a time, each with its seconds. `s` must come behind those that end in it.
const UNITS: [(&str, f64); 6] =
    [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)];

/// A time as text: a number and `us`, `ms`, `s`, `min` or `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a time: write a number from 0 and us, ms, s, min or h, up to 24h, as in 500ms"
)]
pub struct SpanError {
    text: String,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError { text: text.to_owned() };
        let seconds = UNITS.iter().find_map(|(unit, factor)| {
            let number: f64 = text.trim().strip_suffix(unit)?.trim_end().parse().ok()?;
            Some(number * factor)
        });
        let span = Duration::try_from_secs_f64(seconds.ok_or_else(wrong)?).map_err(|_| wrong())?;
        if span > SPAN_MAX { Err(wrong()) } else { Ok(Self(span)) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_its_unit() {
        for (text, millis) in
            [("500ms", 500), ("1.5s", 1500), ("2 s", 2000), ("1min", 60_000), ("0s", 0)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_said_with_what_would_be_one() {
        for text in ["", "5", "s", "-1s", "NaNs", "25h", "1 day"] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("500ms"), "{error}");
        }
    }
}
