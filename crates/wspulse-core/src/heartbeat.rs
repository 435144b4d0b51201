//! When to ask whether the peer lives, and when to give it up.

use std::time::{Duration, Instant};

use crate::clock::{CATCH_UP, after};

/// How often a Ping goes out and how long a silent peer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// Time between two Pings; the first comes one interval after the transport.
    pub ping_interval: Duration,
    /// A peer from which no byte at all came for so long is lost.
    pub pong_timeout: Duration,
}

/// The two deadlines of one transport.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    ping_at: Instant,
    heard_at: Instant,
}

impl Heartbeat {
    pub(crate) fn new(config: &HeartbeatConfig, now: Instant) -> Self {
        Self { ping_at: after(now, config.ping_interval), heard_at: now }
    }

    /// Any byte proves that the peer lives.
    pub(crate) fn handle_activity(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Whether a Ping is due; the next one is then due an interval later.
    pub(crate) fn poll_ping(&mut self, config: &HeartbeatConfig, now: Instant) -> bool {
        let due = now >= self.ping_at;
        if due {
            self.ping_at = after(now, config.ping_interval);
        }
        due
    }

    /// Somebody else has sent the Ping that was due; the next one is due an interval after `at`.
    pub(crate) fn handle_pinged(&mut self, config: &HeartbeatConfig, at: Instant) {
        self.ping_at = after(at, config.ping_interval);
    }

    /// Nothing could be heard, and nobody be asked, for the time that was missed. The peer is given
    /// the time for an answer at least, as its Ping goes out only now.
    pub(crate) fn handle_stall(
        &mut self,
        config: &HeartbeatConfig,
        missed: Duration,
        now: Instant,
    ) {
        let HeartbeatConfig { ping_interval, pong_timeout } = *config;
        let answer = pong_timeout.saturating_sub(ping_interval).max(CATCH_UP).min(pong_timeout);
        let silent_max = pong_timeout.saturating_sub(answer);
        let heard_at = after(self.heard_at, missed).min(now);
        self.heard_at = now.checked_sub(silent_max).unwrap_or(now).max(heard_at);
    }

    /// When the latest byte came, or the transport.
    pub(crate) const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    pub(crate) const fn ping_at(&self) -> Instant {
        self.ping_at
    }

    pub(crate) fn pong_deadline(&self, config: &HeartbeatConfig) -> Instant {
        after(self.heard_at, config.pong_timeout)
    }
}
