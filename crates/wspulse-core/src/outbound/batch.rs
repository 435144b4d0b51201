//! What a writer takes out of a queue, and what it has of a frame when its transport is gone.

use std::mem;

use super::backlog::Backlog;
use super::form::Form;
use super::kept::Kept;
use super::run::Run;
use crate::encoded::EncodedFrame;

/// All that waited, taken out for one write.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) frames: Backlog,
    pub(super) front_bytes_written: usize,
    pub(super) sent: u64,
    pub(super) sent_bytes: usize,
    pub(super) kept: Option<Kept>,
    pub(super) form: Form,
}

/// A frame that a transport has taken in part, with the number of bytes it took.
#[derive(Debug, Clone)]
pub struct Remainder {
    pub(super) frame: EncodedFrame,
    pub(super) bytes_written: usize,
    pub(super) form: Form,
    pub(super) is_dropped: bool,
}

impl Batch {
    /// Whether all of it is written.
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// To be written in this form: that of the transport, always the same over one.
    #[must_use]
    pub fn in_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// In which form it is written.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The number of frames that are not wholly written.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// The frames that are not wholly written, oldest first.
    pub fn frames(&self) -> impl Iterator<Item = &EncodedFrame> {
        self.frames.iter()
    }

    /// The unwritten rest of the first frame, if a part of that frame is written.
    pub fn started(&self) -> Option<&[u8]> {
        (self.front_bytes_written > 0).then(|| self.chunks().next()).flatten()
    }

    /// The bytes to write, a slice a frame.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.front_bytes_written;
        self.frames.iter().map(move |frame| &frame.wire_in(self.form)[mem::take(&mut skip)..])
    }

    /// Takes note that the next `bytes` are written, and shows each frame that is whole by now.
    /// Returns what goes beyond this batch's bytes.
    pub fn advance(&mut self, mut bytes: usize, mut on_sent: impl FnMut(&EncodedFrame)) -> usize {
        #[cfg(feature = "deflate")]
        if self.form != Form::Plain {
            return self.advance_in_form(bytes, on_sent);
        }
        let (begun_bytes, offered_bytes) = (self.front_bytes_written, bytes);
        while let Some(front) = &self.frames.first {
            let rest = front.wire_bytes() - self.front_bytes_written;
            if bytes < rest {
                self.front_bytes_written += bytes;
                // All but what lies in the frame that is written in part now.
                self.sent_bytes += begun_bytes + offered_bytes - self.front_bytes_written;
                return 0;
            }
            bytes -= rest;
            on_sent(front);
            self.pop_sent();
        }
        self.sent_bytes += begun_bytes + (offered_bytes - bytes);
        bytes
    }

    /// As [`advance`](Self::advance), where frames have other bytes on the wire than they count by.
    #[cfg(feature = "deflate")]
    fn advance_in_form(
        &mut self,
        mut bytes: usize,
        mut on_sent: impl FnMut(&EncodedFrame),
    ) -> usize {
        while let Some(front) = &self.frames.first {
            let rest = front.wire_in(self.form).len() - self.front_bytes_written;
            if bytes < rest {
                self.front_bytes_written += bytes;
                return 0;
            }
            bytes -= rest;
            on_sent(front);
            self.sent_bytes += front.wire_bytes();
            self.pop_sent();
        }
        bytes
    }

    #[inline]
    fn pop_sent(&mut self) {
        if let (Some(written), Some(kept)) = (self.frames.pop(), &mut self.kept) {
            kept.push(written);
        }
        self.front_bytes_written = 0;
        self.sent += 1;
    }

    /// Takes note that these frames are written, with which the batch begins.
    pub(super) fn advance_run(&mut self, run: &Run) {
        debug_assert!(self.started().is_none(), "a run is of whole frames");
        debug_assert!(run.frames().iter().zip(self.frames()).all(|(a, b)| a.is_same(b)));
        self.frames.drop_front(run.len());
        if let Some(kept) = &mut self.kept {
            kept.push_run(run.clone());
        }
        self.sent += run.len() as u64;
        self.sent_bytes += run.wire_bytes();
    }
}

impl Remainder {
    /// Of a frame that was begun in this form.
    #[must_use]
    pub const fn in_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Whether the queue has dropped the frame, so that no other transport will get it.
    pub const fn is_dropped(&self) -> bool {
        self.is_dropped
    }

    /// The frame's bytes on the wire, as it is.
    pub fn wire_bytes(&self) -> usize {
        self.frame.wire_bytes()
    }

    /// The bytes still to write.
    pub fn bytes(&self) -> &[u8] {
        &self.frame.wire_in(self.form)[self.bytes_written..]
    }
}
