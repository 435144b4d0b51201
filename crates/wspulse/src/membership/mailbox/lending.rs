//! Writing for a connection whose task sleeps, with the transport that it has left.
//!
//! To wake a task, to have it polled and to put it to sleep again costs a good part of what a write
//! costs. So whoever has a frame for many connections borrows one's transport after the other. While
//! it is lent, its task does nothing: it is still one at a time who has it.

use std::io;
use std::task::Poll;

use wspulse_core::outbound::{Batch, WrittenBeside};

use super::{Attention, GivenBack, Mailbox};
use crate::ground::queued_bytes::QueuedBytes;
use crate::membership::shared::ConnectionState;
use crate::wire::transport::Transport;

/// A transport that its task has left, and what is to be written to it.
pub(crate) struct Loan {
    pub(crate) transport: Box<Transport>,
    pub(crate) batch: Batch,
}

impl Mailbox {
    /// Borrows the transport and what waits for it, if there is something and the task sleeps.
    /// [`end_loan`](Self::end_loan) must follow.
    pub(crate) fn borrow_transport(&self) -> Option<Loan> {
        let inner = &mut *self.lock();
        let is_free = inner.attention == Attention::MailAndFrames
            && inner.state == ConnectionState::Connected
            && inner.queue.is_writable();
        if !is_free {
            return None;
        }
        let transport = inner.transport.take()?;
        let batch = inner.queue.take();
        if batch.is_empty() {
            // As much is on its way as may be: what follows from that is decided by its task.
            inner.transport = Some(transport);
            inner.wake();
            return None;
        }
        inner.attention = Attention::Lent { was_missed: false };
        Some(Loan { transport, batch })
    }

    /// Gives back what was borrowed, and wakes the task if there is something that it must do
    /// itself: the transport takes nothing for now, or never again.
    pub(crate) fn end_loan(
        &self,
        loan: Loan,
        polled: Poll<io::Result<()>>,
        written: WrittenBeside,
        queued_bytes: Option<&QueuedBytes>,
    ) -> GivenBack {
        let Loan { transport, batch } = loan;
        let inner = &mut *self.inner.lock();
        let Attention::Lent { was_missed } = inner.attention else {
            // Its task has ended meanwhile, and has counted what was in the batch.
            return GivenBack { evicted: 0, conflated: 0, has_more: false };
        };
        let given_back = inner.give_back(batch, queued_bytes);
        inner.transport = Some(transport);
        inner.attention = Attention::MailAndFrames;
        let is_done = matches!(polled, Poll::Ready(Ok(())));
        if let Poll::Ready(Err(error)) = polled {
            inner.mail.get_or_insert_default().write_error = Some(error);
        }
        let must_hear = inner.queue.note_written_beside(written);
        if must_hear || was_missed || !is_done || given_back.has_more || inner.mail.is_some() {
            inner.wake();
        }
        given_back
    }
}
