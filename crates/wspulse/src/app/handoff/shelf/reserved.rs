//! Places for sessions that other servers leave to this one.

use std::mem;

use bytes::Bytes;
use tokio::time::Instant;
use wspulse_core::cluster::{MovedSession, NotGiven};

use super::{INHERITED_BYTES_MAX, Kept, Shelf};

/// A place for a session of another server.
pub(crate) struct Reserved<'a> {
    shelf: &'a Shelf,
    bytes: usize,
}

impl Shelf {
    /// A place for a session of another server, if there is one.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved<'_>> {
        let inner = &mut *self.0.lock();
        if inner.inherited_bytes.checked_add(bytes)? > INHERITED_BYTES_MAX {
            return None;
        }
        inner.inherited_bytes += bytes;
        Some(Reserved { shelf: self, bytes })
    }
}

impl Reserved<'_> {
    /// Keeps a session of a server that ends, under the ticket by which it is called there.
    pub(crate) fn keep(
        mut self,
        ticket: u64,
        session: Bytes,
        left_at: Instant,
        until: Instant,
    ) -> Result<(), NotGiven> {
        let read = MovedSession::decode(session.clone()).map_err(|_| NotGiven::Unknown)?;
        let kept = Kept { inherited: self.bytes, ..Kept::new(&read, session, left_at, until) };
        let inner = &mut *self.shelf.0.lock();
        match inner.by_ticket.get(&ticket) {
            // It is asked a second time.
            Some(known) if known.id == kept.id && known.inherited > 0 => {
                inner.inherited_bytes -= mem::take(&mut self.bytes);
                Ok(())
            }
            Some(_) => {
                inner.inherited_bytes -= mem::take(&mut self.bytes);
                Err(NotGiven::Busy)
            }
            None => {
                self.bytes = 0;
                inner.insert(ticket, kept);
                Ok(())
            }
        }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.shelf.0.lock().inherited_bytes -= self.bytes;
        }
    }
}
