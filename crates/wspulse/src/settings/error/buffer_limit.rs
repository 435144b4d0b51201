//! Which bound a frame was refused at.

use std::fmt;

/// The bound at which a send buffer took no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BufferLimit {
    /// The connection's frames, set by
    /// [`send_buffer_size`](crate::ServerBuilder::send_buffer_size).
    Frames {
        /// The bound, in frames.
        capacity_frames: usize,
    },
    /// The connection's bytes, set by
    /// [`send_buffer_bytes`](crate::ServerBuilder::send_buffer_bytes).
    Bytes {
        /// The bound, in bytes.
        capacity_bytes: usize,
    },
    /// The bytes of all connections together, set by
    /// [`max_queued_bytes`](crate::ServerBuilder::max_queued_bytes).
    ServerBytes {
        /// The bound, in bytes.
        capacity_bytes: usize,
    },
}

impl fmt::Display for BufferLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames { capacity_frames } => write!(f, "{capacity_frames} frames"),
            Self::Bytes { capacity_bytes } => write!(f, "{capacity_bytes} bytes"),
            Self::ServerBytes { capacity_bytes } => {
                write!(f, "{capacity_bytes} bytes over all connections")
            }
        }
    }
}
