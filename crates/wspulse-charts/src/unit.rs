//! `Unit`: in what a value is measured.

use serde::{Deserialize, Serialize};

/// In what a value is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// So many in a second.
    PerSecond,
    /// Microseconds.
    Micros,
    /// Bytes.
    Bytes,
    /// Units of 1,024 bytes.
    Kib,
    /// Units of 1,048,576 bytes.
    Mib,
    /// Hundredths.
    Percent,
    /// So many.
    Count,
    /// Seconds.
    Seconds,
    /// One value divided by another.
    Ratio,
}
