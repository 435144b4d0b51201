//! Compressed messages, each by itself (RFC 7692 §6.2).

use super::error::ProtocolError;
use super::utf8;
use crate::encoded::MessageKind;

/// What a flush adds to what a deflater makes: the headers of two blocks, and what is left of their last bytes.
const FLUSH_BYTES: usize = 16;

/// The most bytes that a message of up to so many may come compressed in, in so many frames, whose headers are
/// left aside. A deflater that finds nothing to compress adds 5 bytes for each block (RFC 1951 §3.2.4), zlib with
/// as little memory as can be for each 127; with fixed codes, and blocks that are longer than its window, it makes
/// 9 bits of 8, and 10 for each block (§3.2.6). And it may be flushed at the end of each frame.
pub const fn compressed_bytes_max(message_bytes_max: usize, frames: usize) -> usize {
    message_bytes_max
        .saturating_add(message_bytes_max / 7)
        .saturating_add(48)
        .saturating_add(frames.saturating_mul(FLUSH_BYTES))
}

/// Inflates a message, which is valid UTF-8 then if it is a text.
#[cfg(feature = "deflate")]
pub(super) fn message(
    kind: MessageKind,
    compressed: &[u8],
    message_bytes_max: usize,
    to: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    use crate::deflate::{InflateError, inflate};

    inflate(compressed, message_bytes_max, to).map_err(|error| match error {
        InflateError::TooLong { limit } => {
            ProtocolError::MessageTooBig { len: (limit as u64).saturating_add(1), limit }
        }
        InflateError::Corrupt | InflateError::TooManyBlocks => ProtocolError::NotInflated,
    })?;
    match kind {
        MessageKind::Text => utf8::check(to),
        MessageKind::Binary => Ok(()),
    }
}

/// Without the feature no decoder takes compressed messages.
#[cfg(not(feature = "deflate"))]
pub(super) fn message(
    _: MessageKind,
    _: &[u8],
    _: usize,
    _: &mut Vec<u8>,
) -> Result<(), ProtocolError> {
    let _ = utf8::check;
    Err(ProtocolError::NotInflated)
}

#[cfg(feature = "deflate")]
mod scratch {
    use std::cell::Cell;

    /// What is kept of it from one message to the next.
    const KEPT_BYTES_MAX: usize = 64 * 1024;

    thread_local! {
        static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }

    /// Lends this thread's buffer, which is empty.
    pub(in crate::websocket) fn with<R>(with: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut buffer = SCRATCH.take();
        let done = with(&mut buffer);
        if buffer.capacity() <= KEPT_BYTES_MAX {
            buffer.clear();
            SCRATCH.set(buffer);
        }
        done
    }
}

#[cfg(not(feature = "deflate"))]
mod scratch {
    pub(in crate::websocket) fn with<R>(with: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        with(&mut Vec::new())
    }
}

pub(super) use scratch::with as with_scratch;
