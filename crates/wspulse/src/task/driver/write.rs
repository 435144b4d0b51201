//! From the outbound queue to the transport.

use std::sync::Arc;
use std::task::{Context, Poll};

use wspulse_core::outbound::Batch;
use wspulse_core::session::Taken;

use super::acknowledge::queue_question;
use super::{Driver, now};
use crate::ground::budget::poll_unbudgeted;
use crate::membership::mailbox::GivenBack;
use crate::membership::writing::poll_write_batch;

/// How far writing got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// There is nowhere to write to.
    Nowhere,
    /// All that waited.
    All,
    /// The socket takes no more for now; it will say when it does.
    Blocked,
    /// The socket takes nothing any more. What it has to be read still counts.
    Failed,
    /// The transport is gone.
    Lost,
}

impl Driver {
    /// Writes what waits, until the socket takes no more or nothing is left. The queue is looked
    /// at only if there `may_be_frames`.
    pub(super) fn drive_write(&mut self, may_be_frames: bool, cx: &mut Context<'_>) -> Written {
        if !may_be_frames
            && self.session.is_at_rest()
            && self.transport.as_ref().is_some_and(|transport| transport.is_flushed())
        {
            return Written::All;
        }
        let mut taken = Taken::default();
        // For one batch only, so that the callback has its turn again.
        let mut is_starved = self.is_starved();
        while self.session.is_writable()
            && let Some(transport) = &mut self.transport
        {
            let connection = &*self.connection;
            let batch =
                if may_be_frames { connection.mailbox.take_batch() } else { Batch::default() };
            let mut batch = batch.in_form(transport.form);
            let waiting = batch.len();
            if waiting == 0 && transport.is_flushed() {
                // An empty batch need not be given back.
                if may_be_frames && self.session.asks() && self.relieve_window(now()) {
                    continue;
                }
                return self.flushed();
            }
            if self.session.wants_to_ask() {
                queue_question(&mut self.session, transport, &connection.mailbox, now());
            }
            let bytes_before = taken.bytes;
            let shown = connection.to_be_shown(&batch);
            let polled = if std::mem::take(&mut is_starved) {
                poll_unbudgeted(cx, |cx| {
                    poll_write_batch(transport, &mut batch, &mut taken.bytes, connection, cx)
                })
            } else {
                poll_write_batch(transport, &mut batch, &mut taken.bytes, connection, cx)
            };
            let frames = waiting - batch.len();
            if let Some(shown) = shown {
                connection.show_written(shown, batch.len());
            }
            taken.frames += frames;
            if frames > 0 && self.session.asks() {
                self.session.handle_written(frames, taken.bytes - bytes_before, now);
            }
            let given_back = if may_be_frames {
                connection.mailbox.give_back(batch, connection.server.queued_bytes())
            } else {
                GivenBack { evicted: 0, conflated: 0, has_more: false }
            };
            let has_more = given_back.has_more;
            connection.count_given_back(given_back);
            match polled {
                // More has come while that was written.
                Poll::Ready(Ok(())) if has_more => {}
                Poll::Ready(Ok(())) => return self.flushed(),
                Poll::Ready(Err(error)) => {
                    self.session.handle_write_failed(Arc::new(error), now());
                    self.settle();
                    return if self.transport.is_some() { Written::Failed } else { Written::Lost };
                }
                Poll::Pending => {
                    taken.bytes_held = transport.bytes_unflushed as usize;
                    self.session.handle_write_blocked(taken, now());
                    return Written::Blocked;
                }
            }
        }
        Written::Nowhere
    }

    fn flushed(&mut self) -> Written {
        if self.session.is_at_rest() {
            return Written::All;
        }
        self.session.handle_flushed();
        self.settle();
        if self.transport.is_some() { Written::All } else { Written::Lost }
    }
}
