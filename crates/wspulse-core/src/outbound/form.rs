//! In which form frames go over a transport.

#[cfg(feature = "deflate")]
use crate::deflate::{Level, WindowBits};

/// How the frames of one transport are written: as they are, or compressed where that was agreed on. What
/// waits is the same either way, and counts by its plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Form {
    /// As they are.
    #[default]
    Plain,
    /// Those that get smaller are compressed, each once for all transports with the same window.
    #[cfg(feature = "deflate")]
    Deflated(Deflated),
}

/// How frames are compressed.
#[cfg(feature = "deflate")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflated {
    /// How far back they may refer.
    pub window: WindowBits,
    /// How hard it is tried: for the first transport of a window, all others get the same.
    pub level: Level,
    /// Payloads of fewer bytes go as they are.
    pub bytes_min: u16,
}
