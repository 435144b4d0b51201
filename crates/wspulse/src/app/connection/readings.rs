//! What a connection has at a moment.

use std::net::SocketAddr;

use wspulse_core::OutboundStats;

use super::Connection;
use crate::membership::mailbox::Measures;
use crate::membership::shared::ConnectionState;

/// What a connection has at a moment, all of it of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionReadings {
    /// Whether it is connected, suspended or closed.
    pub state: ConnectionState,
    /// The address of its current or last peer, as far as it is known.
    pub peer_addr: Option<SocketAddr>,
    /// What became of the frames sent to it. What a member of a large room lacks is kept once for
    /// all of them, and not counted here.
    pub outbound: OutboundStats,
    /// How many messages have come from it, modulo 2^32: the difference of two readings, by
    /// [`wrapping_sub`](u32::wrapping_sub), is what came between them.
    pub received: u32,
}

impl Connection {
    /// What it has at the moment, for whoever looks at many connections now and then. Unlike
    /// [`outbound_stats`](Self::outbound_stats), it changes nothing of how a member of a large room
    /// is served.
    pub fn readings(&self) -> ConnectionReadings {
        let Measures { state, peer_addr, outbound, received } = self.shared().mailbox.measure();
        ConnectionReadings { state, peer_addr, outbound, received }
    }
}
