//! What goes wrong in a network, and how often.

use std::ops::Range;
use std::time::Duration;

/// What goes wrong in a [`MemoryNetwork`](super::MemoryNetwork). Of a thousand messages, so many; each
/// receiver's copy has its own luck.
///
/// ```
/// use std::time::Duration;
/// use wspulse::testing::cluster::{MemoryNetwork, NetworkFaults};
///
/// let mut faults = NetworkFaults::NONE;
/// faults.lost_per_mille = 100;
/// faults.delay = Duration::ZERO..Duration::from_millis(20);
/// let network = MemoryNetwork::with_faults(7, faults);
/// # drop(network);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkFaults {
    /// How many are lost, requests and replies too. Of every second one, the receiver is told
    /// [`EngineStatus::Lost`](crate::cluster::EngineStatus::Lost).
    pub lost_per_mille: u16,
    /// How many come twice. The second copy may come behind later messages.
    pub twice_per_mille: u16,
    /// How long they take. An empty range is no time at all. What one publisher says to one topic
    /// stays in order.
    pub delay: Range<Duration>,
    /// How many find their publisher's own connection gone, which then comes back within
    /// [`outage`](Self::outage).
    pub interrupted_per_mille: u16,
    /// How long a connection is gone. An empty range is no time at all.
    pub outage: Range<Duration>,
    /// Of a thousand appends to a log, and reads of one, so many have no answer. Of the appends, every
    /// second one is in the log all the same.
    pub log_unanswered_per_mille: u16,
    /// How many of these find nobody who keeps the log, and are told so at once.
    pub log_failed_per_mille: u16,
    /// Whether what an engine publishes comes back to it, if it is subscribed.
    pub echo: bool,
}

impl NetworkFaults {
    /// None: everything arrives, once, at once.
    pub const NONE: Self = Self {
        lost_per_mille: 0,
        twice_per_mille: 0,
        delay: Duration::ZERO..Duration::ZERO,
        interrupted_per_mille: 0,
        outage: Duration::ZERO..Duration::ZERO,
        log_unanswered_per_mille: 0,
        log_failed_per_mille: 0,
        echo: false,
    };

    /// Everything that an engine may do, often enough for a short test to see it: 2 % are lost, 2 %
    /// come twice, all take up to 50 ms, and of 1,000 one finds no connection, for up to 3 s.
    pub const ALL: Self = Self {
        lost_per_mille: 20,
        twice_per_mille: 20,
        delay: Duration::ZERO..Duration::from_millis(50),
        interrupted_per_mille: 1,
        outage: Duration::from_millis(10)..Duration::from_secs(3),
        log_unanswered_per_mille: 20,
        log_failed_per_mille: 20,
        echo: true,
    };
}
