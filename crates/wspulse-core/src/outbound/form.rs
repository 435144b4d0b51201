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
    /// The level in the lower four bits, above it whether the window is the large one, and above that the
    /// highest three bits of the shortest payload.
    how: NonZeroU8,
    /// Its others, in bytes, so that they need not be aligned.
    bytes_min: [u8; 2],
}

#[cfg(feature = "deflate")]
const IS_LARGE: u8 = 0x10;

#[cfg(feature = "deflate")]
impl Deflated {
    /// From so many bytes on, the shortest payload is longer than any: nothing is compressed.
    pub const BYTES_MIN_MAX: usize = (1 << 19) - 1;

    /// With a window that says how far back they may refer, taken for the one that is
    /// [shared](WindowBits::shared), and a level that says how hard it is tried: for the first transport of a
    /// window, all others get the same. Payloads of fewer than `bytes_min` bytes go as they are; all do if that
    /// is [`BYTES_MIN_MAX`](Self::BYTES_MIN_MAX) or more.
    pub fn new(window: WindowBits, level: Level, bytes_min: usize) -> Self {
        let bytes_min = bytes_min.min(Self::BYTES_MIN_MAX);
        let [low, middle, high, ..] = bytes_min.to_le_bytes();
        let is_large = if window.shared() == WindowBits::MAX { IS_LARGE } else { 0 };
        let how = level.bits() | is_large | (high << 5);
        Self { how, bytes_min: [low, middle] }
    }

    /// How far back frames may refer.
    pub const fn window(self) -> WindowBits {
        if self.how.get() & IS_LARGE == 0 { WindowBits::MIN } else { WindowBits::MAX }
    }

    /// How hard it is tried.
    pub const fn level(self) -> Level {
        Level::new(self.how.get() & 0x0f)
    }

    /// Payloads of fewer bytes go as they are.
    pub const fn bytes_min(self) -> usize {
        let [low, middle] = self.bytes_min;
        let bytes = u32::from_le_bytes([low, middle, self.how.get() >> 5, 0]) as usize;
        if bytes < Self::BYTES_MIN_MAX { bytes } else { usize::MAX }
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
                for bytes_min in [0, 256, 65_536, Deflated::BYTES_MIN_MAX - 1] {
                    let window = WindowBits::new(bits).expect("a window");
                    let form = Deflated::new(window, Level::new(level), bytes_min);
                    assert_eq!((form.window(), form.level()), (window.shared(), Level::new(level)));
                    assert_eq!(form.bytes_min(), bytes_min);
                }
            }
        }
    }

    #[test]
    fn no_payload_is_as_long_as_one_that_is_never_reached() {
        for bytes_min in [Deflated::BYTES_MIN_MAX, 1 << 30, usize::MAX] {
            let form = Deflated::new(WindowBits::MAX, Level::default(), bytes_min);
            assert_eq!(form.bytes_min(), usize::MAX);
        }
    }
}
