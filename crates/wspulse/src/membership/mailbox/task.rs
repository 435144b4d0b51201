//! What the connection's task alone does with its mailbox.

use std::sync::atomic::Ordering;
use std::task::Waker;

use wspulse_core::outbound::{Batch, WrittenBeside};

use super::{Attention, GivenBack, Inner, Mail, Mailbox, Pings};
use crate::ground::ping_schedule::Mark;
use crate::ground::queued_bytes::QueuedBytes;
use crate::wire::transport::Transport;

/// What there was when a task looked.
pub(crate) struct Collected {
    pub(crate) mail: Option<Box<Mail>>,
    pub(crate) has_frames: bool,
    /// Something is awaited that the client must say.
    pub(crate) awaits: bool,
    /// Somebody waits for an acknowledgement.
    pub(crate) awaits_receipt: bool,
    /// That which the task has left.
    pub(crate) transport: Option<Box<Transport>>,
    /// What others have written with it.
    pub(crate) written: Option<WrittenBeside>,
    /// What others have done for its heartbeat.
    pub(crate) pings: Pings,
}

/// What a task that goes to sleep has found.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// There is a transport, which takes what it is given, and nothing for it.
    pub(crate) is_writable: bool,
    /// Whether something is awaited that the client must say.
    pub(crate) awaits: bool,
    /// How much others may write with the transport before the task must hear of it.
    pub(crate) written_beside_max: WrittenBeside,
    /// The beat at which others may ping with it.
    pub(crate) pinged_at: Option<Mark>,
}

impl Mailbox {
    /// Takes the commands that have come, and tells of frames. From now on the task is awake,
    /// until it [sleeps](Self::sleep). `None` while somebody else writes with its transport: it is
    /// woken when that is back.
    pub(crate) fn collect(&self) -> Option<Collected> {
        let mut inner = self.inner.lock();
        if let Attention::Lent { was_missed } = &mut inner.attention {
            *was_missed = true;
            return None;
        }
        inner.stop_following();
        Some(inner.collect())
    }

    /// As [`collect`](Self::collect), for a task that is over. What is lent does not come back.
    pub(crate) fn collect_last(&self) -> Collected {
        self.lock().collect()
    }

    /// Has `waker` called for the next command and, if the task is writable, the next frame: then it
    /// leaves its transport, for others to write with. Tells whether there is none already, nor
    /// anything awaited that was not when the task looked, so that it may sleep.
    pub(crate) fn sleep(
        &self,
        waker: &Waker,
        found: Found,
        transport: &mut Option<Box<Transport>>,
    ) -> bool {
        let Found { is_writable, awaits, written_beside_max, pinged_at } = found;
        let mut inner = self.inner.lock();
        let is_news = inner.mail.is_some() || inner.pings.is_due || (!awaits && inner.awaits());
        if is_news || (is_writable && inner.queue.is_writable()) {
            return false;
        }
        match &mut inner.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        inner.attention = if is_writable {
            inner.transport = transport.take();
            inner.queue.tell_written_beside_at(written_beside_max);
            inner.pings.open_at = pinged_at;
            Attention::MailAndFrames
        } else {
            Attention::Mail
        };
        true
    }

    /// Whether an end was posted that keeps received messages from their handler, although the
    /// task may not know of it yet. Who posted it orders that against what follows by other means,
    /// if at all: a handler that ends its own connection sees its own store.
    pub(crate) fn discards_received(&self) -> bool {
        self.discards_received.load(Ordering::Relaxed)
    }

    /// Takes all frames that wait, for one write; [`give_back`](Self::give_back) must follow.
    pub(crate) fn take_batch(&self) -> Batch {
        self.inner.lock().queue.take()
    }

    /// Returns the frames that were not written.
    pub(crate) fn give_back(&self, batch: Batch, queued_bytes: Option<&QueuedBytes>) -> GivenBack {
        self.inner.lock().give_back(batch, queued_bytes)
    }

    /// Drops the frames that still wait and tells how many they were.
    pub(crate) fn discard(&self, queued_bytes: Option<&QueuedBytes>) -> usize {
        let mut inner = self.inner.lock();
        if let Some(queued_bytes) = queued_bytes {
            queued_bytes.release(inner.queue.held_bytes());
        }
        inner.close_receipts();
        inner.queue.discard()
    }
}

impl Inner {
    fn collect(&mut self) -> Collected {
        self.attention = Attention::Awake;
        let (has_frames, awaits) = (self.may_write(), self.awaits());
        let awaits_receipt = self.rare.as_ref().is_some_and(|rare| rare.has_receipts());
        let (mail, transport) = (self.mail.take(), self.transport.take());
        let written = self.queue.take_written_beside();
        let pings = std::mem::take(&mut self.pings);
        Collected { mail, has_frames, awaits, awaits_receipt, transport, written, pings }
    }
}
