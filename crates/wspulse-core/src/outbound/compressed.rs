//! What compression makes of messages that are written.

use super::Form;
use crate::encoded::EncodedFrame;

/// Of some messages those that went compressed: how many, and how many bytes their payloads had before and
/// after. Without the feature `deflate` there are none, and it takes no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compressed {
    #[cfg(feature = "deflate")]
    messages: usize,
    #[cfg(feature = "deflate")]
    bytes_before: usize,
    #[cfg(feature = "deflate")]
    bytes_after: usize,
}

impl Compressed {
    /// Of these frames, in this form.
    pub fn of<'a>(frames: impl IntoIterator<Item = &'a EncodedFrame>, form: Form) -> Self {
        let mut compressed = Self::default();
        frames.into_iter().for_each(|frame| compressed.add(frame, form));
        compressed
    }

    /// One more message is written, in this form.
    #[inline]
    pub fn add(&mut self, frame: &EncodedFrame, form: Form) {
        #[cfg(feature = "deflate")]
        if let Form::Deflated(how) = form
            && let Some(bytes) = frame.deflated_payload_bytes(how)
        {
            self.messages += 1;
            self.bytes_before += frame.payload_bytes();
            self.bytes_after += bytes;
        }
        #[cfg(not(feature = "deflate"))]
        let _ = (frame, form);
    }
}

/// The counts.
#[cfg(feature = "deflate")]
impl Compressed {
    /// How many messages.
    #[inline]
    pub const fn messages(&self) -> usize {
        self.messages
    }

    /// The bytes of their payloads before.
    pub const fn payload_bytes(&self) -> usize {
        self.bytes_before
    }

    /// The bytes of their payloads after.
    pub const fn compressed_bytes(&self) -> usize {
        self.bytes_after
    }
}

/// The counts, of which there are none.
#[cfg(not(feature = "deflate"))]
impl Compressed {
    /// How many messages.
    #[inline]
    pub const fn messages(&self) -> usize {
        0
    }

    /// The bytes of their payloads before.
    pub const fn payload_bytes(&self) -> usize {
        0
    }

    /// The bytes of their payloads after.
    pub const fn compressed_bytes(&self) -> usize {
        0
    }
}
