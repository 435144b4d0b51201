//! How requests to clients end.

use std::fmt;

/// How a request that was sent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// A reply has come.
    Replied,
    /// A reply has come that is an error.
    Refused,
    /// None has come in time.
    TimedOut,
    /// The connection has ended before.
    Closed,
    /// Too much waited in front of the reply, see
    /// [`read_ahead`](crate::ServerBuilder::read_ahead).
    Overloaded,
    /// Whoever waited does not any more: the future was dropped before a reply had come.
    Abandoned,
}

impl RequestOutcome {
    /// All outcomes.
    pub const ALL: [Self; 6] = [
        Self::Replied,
        Self::Refused,
        Self::TimedOut,
        Self::Closed,
        Self::Overloaded,
        Self::Abandoned,
    ];

    /// The label for metrics: `replied`, `refused`, `timed_out`, `closed`, `overloaded` or
    /// `abandoned`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Overloaded => "overloaded",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for RequestOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
