//! Frames that many sessions have written one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Batch;
use super::Compressed;
use super::backlog::Backlog;
use super::form::Form;
use super::kept::Kept;
use super::queue::{OutboundQueue, Writing};
use super::room::Load;
use crate::encoded::EncodedFrame;

/// Frames that lay in the queues of many sessions in the same order, and that each wrote at once.
/// One list stands for all: a session that keeps them holds one pointer.
#[derive(Debug, Clone, Default)]
pub struct Run(
    /// None of no frames, so that none takes no memory.
    Option<Arc<Frames>>,
);

#[derive(Debug, Default)]
struct Frames {
    list: Vec<EncodedFrame>,
    wire_bytes: usize,
    payload_bytes: usize,
}

impl Run {
    pub(super) fn frames(&self) -> &[EncodedFrame] {
        self.0.as_ref().map_or(&[], |run| &run.list)
    }

    /// The number of frames.
    pub fn len(&self) -> usize {
        self.frames().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.frames().is_empty()
    }

    /// The bytes of all frames on the wire.
    pub fn wire_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |run| run.wire_bytes)
    }

    /// The bytes of all payloads.
    pub fn payload_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |run| run.payload_bytes)
    }

    /// What is written of them in this form, a slice a frame.
    pub fn chunks(&self, form: Form) -> impl Iterator<Item = &[u8]> {
        self.frames().iter().map(move |frame| frame.wire_in(form))
    }

    /// What of them goes compressed in this form.
    pub fn compressed(&self, form: Form) -> Compressed {
        Compressed::of(self.frames(), form)
    }

    /// Becomes the run of these frames. Memory is used again where no session keeps what it was.
    pub fn refill<'a>(&mut self, frames: impl Iterator<Item = &'a EncodedFrame>) {
        let mut run = self.0.take().and_then(Arc::into_inner).unwrap_or_default();
        run.list.clear();
        run.list.extend(frames.cloned());
        run.wire_bytes = run.list.iter().map(EncodedFrame::wire_bytes).sum();
        run.payload_bytes = run.list.iter().map(EncodedFrame::payload_bytes).sum();
        self.0 = Some(Arc::new(run));
    }
}

/// Frames that never wait here: they are accepted when a writer has them already.
impl OutboundQueue {
    /// Accepts a run of frames and hands it to a writer at once, as a batch that is to be
    /// [written](Batch::advance_whole) or [filled](Batch::fill) with it. `None`, and nothing is
    /// changed, if something is in front of it, or if not all of it may be written now.
    #[inline]
    pub fn take_run(&mut self, run: &Run) -> Option<Batch> {
        let load = Load { frames: run.len(), bytes: run.wire_bytes() };
        let Ok(frames) = u32::try_from(load.frames) else { return None };
        let is_admitted = match self.keeping.make() {
            None => true,
            Some(retained) => !retained.is_stalled() && retained.admits_all(load),
        };
        if !is_admitted || !self.is_empty() || frames == 0 {
            return None;
        }
        let Writing::Between { front_losses, .. } = self.writing else { return None };
        self.writing = Writing::InFlight { frames, bytes: load.bytes, front_losses };
        self.pending_bytes += load.bytes;
        let kept = self.keeping.is_something().then_some(Kept::Nothing);
        Some(Batch { kept, ..Batch::default() })
    }
}

/// A batch that was [taken](OutboundQueue::take_run) for a run.
impl Batch {
    /// Takes note that all of the run is written.
    #[inline]
    pub fn advance_whole(&mut self, run: &Run) {
        match (&mut self.kept, run.frames()) {
            (None, _) => {}
            (Some(kept), [only]) => kept.push(only.clone()),
            (Some(kept), _) => kept.push_run(run.clone()),
        }
        self.sent += run.len() as u64;
        self.sent_bytes += run.wire_bytes();
    }

    /// Takes the run's frames in, as not all of it could be written at once.
    #[cold]
    pub fn fill(&mut self, run: &Run) {
        debug_assert!(self.is_empty() && self.sent == 0, "it was taken for this");
        self.frames = Backlog::from(run.frames().iter().cloned().collect::<VecDeque<_>>());
    }
}
