//! What has arrived, and who waits to hear that.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};
use wspulse_core::OutboundStats;
use wspulse_core::outbound::{Acknowledged, Doubt, NotKept, NotWritten, ResumedAt};

use super::awaited::Waiter;
use super::requests::Requests;
use super::{Inner, Mailbox};
use crate::ground::begun::Begun;
use crate::ground::queued_bytes::QueuedBytes;
use crate::membership::shared::ConnectionState;
use crate::membership::tap::TapQueue;
use crate::settings::error::NotAcknowledged;
use crate::settings::token::Proof;
use crate::wire::transport::ComesBack;

impl Mailbox {
    /// Who wants to hear that all has arrived which is held now; `None` if nothing is.
    pub(crate) fn await_acknowledgement(
        &self,
        waiter: Waiter,
    ) -> Result<Option<Answer>, NotAcknowledged> {
        let mut inner = self.lock();
        if !inner.queue.keeps() {
            return Err(NotAcknowledged::NotPromised);
        }
        let held = inner.queue.held();
        let OutboundStats { accepted, acknowledged, conflated, .. } = inner.queue.stats();
        match inner.state {
            // Nothing is held any more of what was dropped with the end.
            ConnectionState::Closed if acknowledged + conflated < accepted => {
                Err(NotAcknowledged::Closed)
            }
            ConnectionState::Closed if held > 0 => Err(NotAcknowledged::Closed),
            ConnectionState::Closed => Ok(None),
            ConnectionState::Connected | ConnectionState::Suspended => match inner.queue.doubt() {
                Doubt::Lasting => Err(NotAcknowledged::Unanswered),
                Doubt::UntilAcknowledged if held == 0 => Err(NotAcknowledged::Unanswered),
                Doubt::None if held == 0 => Ok(None),
                Doubt::None | Doubt::UntilAcknowledged => {
                    let receipts = &mut inner.rare.get_or_insert_default().receipts;
                    let answer = receipts.wait_for(held, waiter);
                    // It asks the client soon.
                    inner.wake_for_awaited();
                    Ok(Some(answer))
                }
            },
        }
    }

    /// The client speaks `wspulse.1`.
    pub(crate) fn begin_exchange(&self) {
        self.inner.lock().rare.get_or_insert_default().proof = Some(Proof::new());
    }

    /// By what the client's token is told, if it speaks `wspulse.1`.
    pub(crate) fn proof(&self) -> Option<Proof> {
        self.inner.lock().rare.as_ref()?.proof
    }

    /// The client has come back with the token of this number.
    pub(crate) fn confirm_token(&self, number: u32) {
        if let Some(rare) = &mut self.inner.lock().rare
            && let Some(proof) = &mut rare.proof
        {
            proof.confirm_number(number);
        }
    }

    /// A handshake with the token of this number takes over. Whether it may be an older one of the
    /// client that it takes over from.
    pub(crate) fn overtake(&self, token: u32) -> bool {
        let mut inner = self.inner.lock();
        let proof = inner.rare.as_mut().and_then(|rare| rare.proof.as_mut());
        proof.is_some_and(|proof| proof.overtake(token))
    }

    /// Whether the token of this number is the newest; 0 is that of none.
    pub(crate) fn has_newest(&self, token: u32) -> bool {
        self.proof().is_some_and(|proof| token > 0 && proof.is_newest(token))
    }

    // What follows is for the connection's task alone.

    /// Whether a handshake comes too late to take the session: its client is known to have a newer
    /// token, or has come back by a later handshake with more frames. A lower count alone may be that
    /// of a client that has lost some, and must hear so.
    pub(crate) fn is_outdated(&self, begun: Begun, comes_back: ComesBack) -> bool {
        let inner = self.inner.lock();
        let proof = inner.rare.as_ref().and_then(|rare| rare.proof);
        proof.is_some_and(|proof| {
            let has_less = comes_back.received < inner.queue.resumable_from();
            proof.has_left(comes_back.token) || (has_less && proof.has_returned_since(begun))
        })
    }

    /// Another token is about to be sent: that of the proof that is returned.
    pub(crate) fn renew_proof(&self) -> Option<Proof> {
        let mut inner = self.inner.lock();
        let proof = inner.rare.as_mut()?.proof.as_mut()?;
        proof.renew();
        Some(*proof)
    }

    /// The client has shown that it has the newest token.
    pub(crate) fn confirm_proof(&self) {
        if let Some(rare) = &mut self.inner.lock().rare
            && let Some(proof) = &mut rare.proof
        {
            proof.confirm();
        }
    }

    /// A client comes back that has the frames up to this number, by a handshake that began then.
    pub(crate) fn resume_at(
        &self,
        number: u64,
        begun: Begun,
        queued_bytes: Option<&QueuedBytes>,
    ) -> Result<ResumedAt, NotKept> {
        let mut inner = self.inner.lock();
        let resumed = inner.queue.resume_at(number)?;
        if let Some(rare) = &mut inner.rare
            && let Some(proof) = &mut rare.proof
        {
            proof.note_return(begun);
        }
        inner.settle_receipts(resumed.freed.frames, Ok(()));
        release(resumed.freed, queued_bytes);
        Ok(resumed)
    }

    /// The number of the newest frame that the current transport has taken whole.
    pub(crate) fn written_to_transport(&self) -> u64 {
        self.inner.lock().queue.written_to_transport()
    }

    /// Forgets what has arrived, and tells how many frames that are.
    pub(crate) fn acknowledge(
        &self,
        number: u64,
        queued_bytes: Option<&QueuedBytes>,
    ) -> Result<usize, NotWritten> {
        let mut inner = self.inner.lock();
        let freed = inner.queue.acknowledge(number)?;
        inner.settle_receipts(freed.frames, Ok(()));
        release(freed, queued_bytes);
        Ok(freed.frames)
    }

    /// Forgets what was written up to this frame, as nobody will say whether it has arrived.
    pub(crate) fn presume(&self, number: u64, queued_bytes: Option<&QueuedBytes>) {
        let mut inner = self.inner.lock();
        let freed = inner.queue.presume(number);
        let cause = match inner.state {
            ConnectionState::Closed => NotAcknowledged::Closed,
            ConnectionState::Connected | ConnectionState::Suspended => NotAcknowledged::Unanswered,
        };
        inner.settle_receipts(freed.frames, Err(cause));
        release(freed, queued_bytes);
    }

    /// Whether frames wait that are to be written, now or later.
    pub(crate) fn has_waiting(&self) -> bool {
        self.inner.lock().queue.has_waiting()
    }

    /// What waits must wait for an acknowledgement.
    pub(crate) fn stall(&self) {
        self.inner.lock().queue.stall();
    }

    /// Forgets all that was written.
    pub(crate) fn presume_all(&self, queued_bytes: Option<&QueuedBytes>) {
        self.presume(u64::MAX, queued_bytes);
    }
}

fn release(freed: Acknowledged, queued_bytes: Option<&QueuedBytes>) {
    if let Some(queued_bytes) = queued_bytes {
        queued_bytes.release(freed.bytes);
    }
}

impl Inner {
    fn settle_receipts(&mut self, frames: usize, outcome: Result<(), NotAcknowledged>) {
        if let Some(rare) = &mut self.rare {
            rare.receipts.settle(frames, outcome);
            self.rare.take_if(|rare| rare.is_empty());
        }
    }

    /// Frames are gone that nobody waits for any more: no receipt is for more than there are.
    pub(super) fn limit_receipts(&mut self) {
        let held = self.queue.held();
        if let Some(rare) = &mut self.rare {
            rare.receipts.limit(held);
            self.rare.take_if(|rare| rare.is_empty());
        }
    }

    /// Nothing more will be acknowledged.
    pub(super) fn close_receipts(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.receipts.close();
        }
    }
}

/// What few connections need.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) receipts: Receipts,
    pub(super) requests: Requests,
    /// The connection's own callback was refused a frame: there is room once the client has
    /// acknowledged others.
    pub(super) awaits_room: bool,
    /// Of a client that speaks `wspulse.1`.
    pub(super) proof: Option<Proof>,
    /// The session is about to go over to another server: no transport comes to it.
    pub(super) is_leaving: bool,
    /// For how long it has existed at other servers.
    pub(super) age_elsewhere: Duration,
    /// When the connection expires, if it does.
    pub(super) expires_at: Option<Instant>,
    /// Those who look at what passes.
    pub(super) taps: Vec<Arc<TapQueue>>,
}

impl Rare {
    /// Whether anybody waits for an acknowledgement.
    pub(super) fn has_receipts(&self) -> bool {
        !self.receipts.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        let is_awaited = self.awaits_room || !self.requests.are_none();
        let is_looked_at = !self.taps.is_empty();
        !is_awaited
            && !is_looked_at
            && !self.is_leaving
            && self.age_elsewhere.is_zero()
            && self.receipts.is_empty()
            && self.proof.is_none()
            && self.expires_at.is_none()
    }
}

/// Those that wait, for one connection.
#[derive(Default)]
pub(super) struct Receipts(Vec<Receipt>);

struct Receipt {
    /// How many frames must be acknowledged yet.
    frames: usize,
    answer: oneshot::Sender<Result<(), NotAcknowledged>>,
    waiter: Waiter,
}

type Answer = oneshot::Receiver<Result<(), NotAcknowledged>>;

impl Receipts {
    /// Somebody waits for the next so many frames.
    pub(super) fn wait_for(&mut self, frames: usize, waiter: Waiter) -> Answer {
        // Who has given up waiting takes no place.
        self.0.retain(|receipt| !receipt.answer.is_closed());
        let (answer, receiver) = oneshot::channel();
        self.0.push(Receipt { frames, answer, waiter });
        receiver
    }

    /// The oldest frames are known to have arrived, or nobody will ever know.
    pub(super) fn settle(&mut self, frames: usize, outcome: Result<(), NotAcknowledged>) {
        if frames == 0 {
            return;
        }
        self.settle_if(|receipt| {
            receipt.frames = receipt.frames.saturating_sub(frames);
            // One frame of unknown fate is enough for all who wait for it.
            (receipt.frames == 0 || outcome.is_err()).then_some(outcome)
        });
    }

    /// So many frames are left that may be acknowledged.
    pub(super) fn limit(&mut self, frames: usize) {
        self.settle_if(|receipt| {
            receipt.frames = receipt.frames.min(frames);
            (receipt.frames == 0).then_some(Ok(()))
        });
    }

    /// Nothing more will be acknowledged.
    pub(super) fn close(&mut self) {
        self.settle_if(|_| Some(Err(NotAcknowledged::Closed)));
    }

    /// Whether the connection's own callback waits for one.
    pub(super) fn are_awaited(&self) -> bool {
        let mut receipts = self.0.iter();
        receipts.any(|receipt| receipt.waiter == Waiter::OwnCallback && !receipt.answer.is_closed())
    }

    /// Too much waits in front of the acknowledgement for a callback that waits for that.
    pub(super) fn overload(&mut self) {
        self.settle_if(|receipt| match receipt.waiter {
            Waiter::OwnCallback => Some(Err(NotAcknowledged::Overloaded)),
            Waiter::Other => None,
        });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn settle_if(
        &mut self,
        mut settled: impl FnMut(&mut Receipt) -> Option<Result<(), NotAcknowledged>>,
    ) {
        let mut place = 0;
        while let Some(receipt) = self.0.get_mut(place) {
            match settled(receipt) {
                Some(outcome) => {
                    // Nobody is there to hear it, if this fails.
                    let _ = self.0.swap_remove(place).answer.send(outcome);
                }
                None => place += 1,
            }
        }
    }
}
