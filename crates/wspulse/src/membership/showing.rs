//! Writing while somebody looks at what is written.

use std::task::{Context, Waker};

use wspulse_core::EncodedFrame;
use wspulse_core::outbound::{Batch, WrittenBeside};

use super::mailbox::Loan;
use super::shared::ConnectionShared;
use super::tap::Passed;
use super::writing::poll_write_batch;

impl ConnectionShared {
    /// As [`write_or_wake`](Self::write_or_wake) with what it has borrowed, while somebody looks at what
    /// is written. Apart, so that all others pay for a look at one flag.
    #[cold]
    #[inline(never)]
    pub(super) fn write_loan_and_show(&self, mut loan: Loan) {
        let mut bytes_taken = 0;
        let mut cx = Context::from_waker(Waker::noop());
        let (transport, batch) = (&mut loan.transport, &mut loan.batch);
        let frames: Vec<_> = batch.frames().cloned().collect();
        let polled = poll_write_batch(transport, batch, &mut bytes_taken, self, &mut cx);
        let written = WrittenBeside { frames: frames.len() - loan.batch.len(), bytes: bytes_taken };
        self.show_written(frames, loan.batch.len());
        let given_back = self.mailbox.end_loan(loan, polled, written, self.server.queued_bytes());
        self.count_given_back(given_back);
    }

    /// What a batch holds, if somebody looks at what is written of it.
    #[inline]
    pub(crate) fn to_be_shown(&self, batch: &Batch) -> Option<Vec<EncodedFrame>> {
        self.mailbox.is_tapped().then(|| batch.frames().cloned().collect())
    }

    /// Of these frames, all but so many are written.
    #[cold]
    pub(crate) fn show_written(&self, mut frames: Vec<EncodedFrame>, left: usize) {
        frames.truncate(frames.len().saturating_sub(left));
        let meter = self.server.metrics();
        if meter.is_watched() {
            meter.tally().end_broadcasts(&frames);
        }
        for frame in frames {
            self.mailbox.show(&Passed::Outbound(frame));
        }
    }
}
