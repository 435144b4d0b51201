//! In which form frames go over a transport.

#[cfg(feature = "deflate")]
use std::num::NonZeroU8;

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

/// How frames are compressed. In three bytes, for which a transport has room beside what else it knows: so one
/// that compresses takes no more memory than one that does not.
#[cfg(feature = "deflate")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflated {
    /// The window in the lower four bits, the level above.
    how: NonZeroU8,
    /// In bytes, so that it need not be aligned.
    bytes_min: [u8; 2],
}

#[cfg(feature = "deflate")]
impl Deflated {
    /// With a window that says how far back they may refer, and a level that says how hard it is tried: for
    /// the first transport of a window, all others get the same. Payloads of fewer than `bytes_min` bytes go
    /// as they are.
    pub fn new(window: WindowBits, level: Level, bytes_min: u16) -> Self {
        let how = window.bits() | (level.get() << 4);
        Self { how, bytes_min: bytes_min.to_ne_bytes() }
    }

    /// How far back frames may refer.
    pub fn window(self) -> WindowBits {
        // It is the one that was given.
        WindowBits::new(self.how.get() & 0x0f).unwrap_or(WindowBits::MAX)
    }

    /// How hard it is tried.
    pub const fn level(self) -> Level {
        Level::new(self.how.get() >> 4)
    }

    /// Payloads of fewer bytes go as they are.
    pub const fn bytes_min(self) -> u16 {
        u16::from_ne_bytes(self.bytes_min)
    }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use super::*;

    #[test]
    fn a_form_takes_three_bytes_and_loses_nothing() {
        assert_eq!((size_of::<Form>(), align_of::<Form>()), (3, 1));
        for bits in 9..=15 {
            for level in 1..=9 {
                let window = WindowBits::new(bits).expect("a window");
                let form = Deflated::new(window, Level::new(level), 65_535);
                assert_eq!((form.window(), form.level()), (window, Level::new(level)));
                assert_eq!(form.bytes_min(), 65_535);
            }
        }
    }
}
