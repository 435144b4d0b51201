//! Transports on their way to a connection's task, and what that tells of them: one has come, one is
//! gone.

use std::net::SocketAddr;

use wspulse_core::Resumed;
use wspulse_core::outbound::Remainder;
use wspulse_core::protocol::SessionKind;

use super::{Mailbox, Next};
use crate::ground::begun::Begun;
use crate::ground::queued_bytes::QueuedBytes;
use crate::membership::shared::ConnectionState;
use crate::wire::transport::Upgrade;

impl Mailbox {
    /// Whether a transport has come that its task does not know of yet.
    pub(crate) fn has_upgrade(&self) -> bool {
        self.inner.lock().mail.as_ref().is_some_and(|mail| mail.upgrade.is_some())
    }

    /// Leaves another transport, and returns one that it displaces. Its client's new permission
    /// counts from now on, whatever becomes of the transport.
    pub(crate) fn attach(&self, upgrade: Upgrade) -> Option<Upgrade> {
        let mut displaced = None;
        let mut inner = self.inner.lock();
        inner.newest = upgrade.begun;
        if let Some(expires_at) = upgrade.expires_at {
            inner.expire_at(expires_at);
        }
        inner.post(|mail| displaced = mail.upgrade.replace(upgrade));
        drop(inner);
        displaced
    }

    /// Has the task drop its transport, and not the session.
    pub(crate) fn cut(&self) {
        let mut inner = self.inner.lock();
        if inner.state == ConnectionState::Connected {
            inner.post(|mail| mail.is_cut = true);
        }
    }

    // What follows is for the connection's task alone, but `has_newer`.

    /// What the client gets that has come back.
    pub(crate) fn resumed(&self) -> Resumed {
        self.inner.lock().queue.resumed()
    }

    /// Tells that the connection has a transport now, and returns what it was before and whether it
    /// has had one. Its state stays what it is after its end.
    pub(crate) fn set_connected(
        &self,
        peer_addr: Option<SocketAddr>,
    ) -> (ConnectionState, SessionKind) {
        let mut inner = self.inner.lock();
        let before = inner.state;
        if peer_addr.is_some() {
            inner.peer_addr = peer_addr;
        }
        inner.set_state(ConnectionState::Connected);
        let kind = match std::mem::replace(&mut inner.next, Next::Another) {
            Next::First => SessionKind::New,
            Next::FirstHere | Next::Another => SessionKind::Resumed,
        };
        (before, kind)
    }

    /// Whether a transport is attached or on its way whose handshake began later than this one.
    pub(crate) fn has_newer(&self, begun: Begun) -> bool {
        begun < self.inner.lock().newest
    }

    /// When the handshake of its newest transport began; the earliest if it has none.
    pub(crate) fn newest(&self) -> Begun {
        self.inner.lock().newest
    }

    /// Tells that the connection waits for a transport, and returns whether that is news, and how
    /// many volatile frames are gone with it. Without effect after its end. One may be on its way.
    pub(crate) fn set_suspended(
        &self,
        is_awaited: bool,
        queued_bytes: Option<&QueuedBytes>,
    ) -> (bool, usize) {
        let mut inner = self.inner.lock();
        if !is_awaited && inner.mail.as_ref().is_none_or(|mail| mail.upgrade.is_none()) {
            inner.newest = Begun::EARLIEST;
        }
        let before = inner.state;
        inner.set_state(ConnectionState::Suspended);
        let is_news = inner.state != before;
        if !is_news {
            return (false, 0);
        }
        let bytes_before = inner.queue.held_bytes();
        let faded = inner.queue.drop_volatile();
        if faded > 0 {
            inner.limit_receipts();
        }
        if let Some(queued_bytes) = queued_bytes {
            queued_bytes.release(bytes_before - inner.queue.held_bytes());
        }
        (true, faded)
    }

    /// The transport is gone: a frame that it has taken in part starts over, or is dropped, and what
    /// is kept of it will be written again. Behind a frame that is lost under a promise nothing is
    /// written: tells how many frames are dropped with it.
    pub(crate) fn rewind(&self, queued_bytes: Option<&QueuedBytes>) -> Option<(Remainder, usize)> {
        let mut inner = self.inner.lock();
        let remainder = inner.queue.rewind()?;
        let (mut behind, mut freed_bytes) = (0, 0);
        if remainder.is_dropped() {
            freed_bytes = remainder.wire_bytes();
            if inner.queue.keeps() {
                inner.has_gap = true;
                while let Some(bytes) = inner.queue.evict_oldest() {
                    behind += 1;
                    freed_bytes += bytes;
                }
            }
        }
        drop(inner);
        if let Some(queued_bytes) = queued_bytes {
            queued_bytes.release(freed_bytes);
        }
        Some((remainder, behind))
    }
}
