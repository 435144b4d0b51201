//! Frames that many sessions have written one after the other.

use std::sync::Arc;

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

    /// Becomes the run of these frames. Memory is used again where no session keeps what it was.
    pub(super) fn refill<'a>(&mut self, frames: impl Iterator<Item = &'a EncodedFrame>) {
        let mut run = self.0.take().and_then(Arc::into_inner).unwrap_or_default();
        run.list.clear();
        run.list.extend(frames.cloned());
        run.wire_bytes = run.list.iter().map(EncodedFrame::wire_bytes).sum();
        run.payload_bytes = run.list.iter().map(EncodedFrame::payload_bytes).sum();
        self.0 = Some(Arc::new(run));
    }
}
