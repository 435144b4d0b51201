//! What a session is told at its start.

use std::time::Duration;

use crate::heartbeat::HeartbeatConfig;

/// The times and bounds that all sessions of a server share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// When to ping and when to give a silent peer up.
    pub heartbeat: HeartbeatConfig,
    /// How long a socket may take for one frame, an upgrade to come about, and a close to be
    /// answered.
    pub write_wait: Duration,
    /// How long a session without a transport waits for the next one; zero: it ends at once.
    pub resume_window: Duration,
    /// How many received frames may wait for their callback before reading stops; at least 1.
    pub inbound_frames_max: usize,
}

/// Whether another connection with the same id still runs its callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// There is none.
    None,
    /// Its last callback has not returned yet.
    Running,
}
