//! What a connection has at a moment, for a look at many.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use wspulse_core::OutboundStats;

use super::Mailbox;
use crate::membership::shared::ConnectionState;

/// What a connection has at a moment.
pub(crate) struct Measures {
    pub(crate) state: ConnectionState,
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) outbound: OutboundStats,
    /// Modulo 2^32.
    pub(crate) received: u32,
}

impl Mailbox {
    /// For a look at everybody: who follows a room's log goes on with that, unlike at
    /// [`stats`](Self::stats).
    pub(crate) fn measure(&self) -> Measures {
        let inner = self.inner.lock();
        Measures {
            state: inner.state,
            peer_addr: inner.peer_addr,
            outbound: inner.queue.stats(),
            received: self.received.load(Ordering::Relaxed),
        }
    }

    /// So many messages have come. For the connection's task alone, which need not exclude others.
    #[inline]
    pub(crate) fn count_received(&self, messages: u32) {
        let received = self.received.load(Ordering::Relaxed);
        self.received.store(received.wrapping_add(messages), Ordering::Relaxed);
    }
}
