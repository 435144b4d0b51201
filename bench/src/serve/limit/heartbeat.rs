//! Pings of a bare loop: in few large groups, each of which goes out in waves.

use std::io::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Peer;

/// How many groups take turns. With 10 of them, Pings of 10,000 connections cost half as much as
/// with 300, since more of them share a wake-up.
const GROUPS: u32 = 10;
/// As often as wspulse asks.
const PERIOD: Duration = Duration::from_secs(10);

const PING: [u8; 2] = [0x89, 0];

pub(super) struct Heartbeat {
    due_at: Instant,
    group: usize,
    /// Who is still to be asked of the group whose turn it is, and of the others between them.
    asking: Range<usize>,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Self {
        Self { due_at: now + PERIOD / GROUPS, group: 0, asking: 0..0 }
    }

    /// How long until there is something to do.
    pub(super) fn due_in(&self, now: Instant) -> Duration {
        if self.asking.is_empty() {
            self.due_at.saturating_duration_since(now)
        } else {
            Duration::ZERO
        }
    }

    /// Sends Pings, `sends` at the most.
    pub(super) fn send(&mut self, now: Instant, mut sends: usize, peers: &mut [Option<Peer>]) {
        if self.asking.is_empty() {
            if now < self.due_at {
                return;
            }
            self.due_at = now + PERIOD / GROUPS;
            self.group = (self.group + 1) % GROUPS as usize;
            self.asking = self.group..peers.len();
        }
        while sends > 0 && !self.asking.is_empty() {
            // Between two parts of a message there is no place for one.
            if let Some(peer) = &mut peers[self.asking.start]
                && peer.is_open
                && !peer.is_full
            {
                let _ = peer.socket.write(&PING);
                sends -= 1;
            }
            self.asking.start += GROUPS as usize;
        }
    }
}
