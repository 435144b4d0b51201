//! Writing for a connection whose task sleeps, with the transport that it has left.
//!
//! To wake a task, to have it polled and to put it to sleep again costs a good part of what a write
//! costs. So whoever has a frame for many connections borrows one's transport after the other. While
//! it is lent, its task does nothing: it is still one at a time who has it.

use std::io;
use std::task::Poll;

use wspulse_core::outbound::{Batch, WrittenBeside};

use super::{Attention, GivenBack, Inner, Mailbox, Pings};
use crate::ground::ping_schedule::Mark;
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
        if !(inner.is_asleep() && inner.queue.is_writable()) {
            return None;
        }
        let transport = inner.transport.take()?;
        let batch = inner.queue.take().in_form(transport.form);
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
        // The log may forget what it has in hand before its task has its turn, and hold more then
        // than there is room for beside what is left.
        if !inner.queue.is_empty() {
            inner.stop_following();
        }
        let is_quiet = inner.take_back(transport, polled);
        let must_hear = inner.queue.note_written_beside(written);
        if must_hear || was_missed || !is_quiet || given_back.has_more {
            inner.wake();
        }
        given_back
    }

    /// Borrows the transport for a Ping, if this is the beat that its task left it for. Else the task
    /// is told that it must ping. With it comes the number of the newest frame that was written to it.
    /// [`end_ping`](Self::end_ping) must follow.
    pub(crate) fn borrow_for_ping(&self, beat: Mark) -> Option<(Box<Transport>, u64)> {
        // What it lacks of a log that it follows may come behind the Ping.
        let inner = &mut *self.inner.lock();
        let is_free =
            inner.is_asleep() && inner.pings.open_at == Some(beat) && !inner.queue.is_writable();
        if is_free && let Some(transport) = inner.transport.take() {
            // One that hears nothing back has its turn at the next beat.
            inner.pings = Pings { open_at: None, was_pinged: true, is_due: false };
            inner.attention = Attention::Lent { was_missed: false };
            return Some((transport, inner.queue.written_to_transport()));
        }
        inner.ring();
        None
    }

    /// Gives back what was borrowed for a Ping, as [`end_loan`](Self::end_loan) does.
    pub(crate) fn end_ping(&self, transport: Box<Transport>, polled: Poll<io::Result<()>>) {
        let inner = &mut *self.inner.lock();
        let Attention::Lent { was_missed } = inner.attention else { return };
        let is_quiet = inner.take_back(transport, polled);
        if was_missed || !is_quiet || inner.may_write() {
            inner.wake();
        }
    }

    /// In a model of threads, which has no clock for beats.
    #[cfg(all(test, shuttle))]
    pub(crate) fn open_for_ping(&self, beat: Mark) {
        self.inner.lock().pings.open_at = Some(beat);
    }

    /// It is a beat at which the task must look after its heartbeat by itself.
    pub(crate) fn ring(&self) {
        self.inner.lock().ring();
    }
}

impl Inner {
    /// Whether its task sleeps, and there is a client. What there was to write was written.
    pub(super) fn is_asleep(&self) -> bool {
        self.attention == Attention::MailAndFrames && self.state == ConnectionState::Connected
    }

    /// Takes back what was lent. Tells whether the task need not hear of it: all that it was given is
    /// written, and there is no mail.
    #[inline]
    fn take_back(&mut self, transport: Box<Transport>, polled: Poll<io::Result<()>>) -> bool {
        self.transport = Some(transport);
        self.attention = Attention::MailAndFrames;
        match polled {
            Poll::Ready(Ok(())) => self.mail.is_none(),
            Poll::Ready(Err(error)) => {
                self.mail.get_or_insert_default().write_error = Some(error);
                false
            }
            Poll::Pending => false,
        }
    }

    fn ring(&mut self) {
        self.pings.is_due = true;
        match &mut self.attention {
            Attention::Mail | Attention::MailAndFrames => self.wake(),
            Attention::Lent { was_missed } => *was_missed = true,
            // It looks before it sleeps.
            Attention::Awake => {}
        }
    }
}
