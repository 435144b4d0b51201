//! Why connections end, as labels for metrics.

use std::fmt;

/// Why a connection has ended, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// Closed by the application, or its transport was lost without a resume window.
    Normal,
    /// Kicked.
    Kicked,
    /// The resume window passed.
    GraceExpired,
    /// Its transport was lost, and no more sessions may be suspended.
    SuspendedLimit,
    /// The server was closed.
    ServerClosed,
    /// Replaced by a new connection with the same id.
    Duplicate,
    /// A new connection of its user took its place.
    UserLimit,
    /// A frame that was promised to be delivered could not be kept.
    FramesLost,
    /// Its send buffer was full.
    SlowConsumer,
    /// The client's permission has expired.
    Expired,
    /// The server is drained.
    Drained,
    /// The session went over to another server.
    Moved,
}

impl DisconnectReason {
    /// All reasons.
    pub const ALL: [Self; 12] = [
        Self::Normal,
        Self::Kicked,
        Self::GraceExpired,
        Self::SuspendedLimit,
        Self::ServerClosed,
        Self::Duplicate,
        Self::UserLimit,
        Self::FramesLost,
        Self::SlowConsumer,
        Self::Expired,
        Self::Drained,
        Self::Moved,
    ];

    /// The label for metrics: `normal`, `kick`, `grace_expired`, `suspended_limit`, `server_close`,
    /// `duplicate`, `user_limit`, `frames_lost`, `slow_consumer`, `expired`, `drain`
    /// or `moved`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Kicked => "kick",
            Self::GraceExpired => "grace_expired",
            Self::SuspendedLimit => "suspended_limit",
            Self::ServerClosed => "server_close",
            Self::Duplicate => "duplicate",
            Self::UserLimit => "user_limit",
            Self::FramesLost => "frames_lost",
            Self::SlowConsumer => "slow_consumer",
            Self::Expired => "expired",
            Self::Drained => "drain",
            Self::Moved => "moved",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
