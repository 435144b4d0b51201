//! Messages that are made smaller.

use std::cell::RefCell;
use std::num::NonZeroU8;

use zlib_rs::{Deflate, DeflateFlush, Status};

use super::TAIL;
use super::offers::WindowBits;

/// How hard to try: 1 is fast, 9 is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(NonZeroU8);

impl Level {
    const FASTEST: Self = Self(NonZeroU8::MIN);
    const SMALLEST: Self = Self(NonZeroU8::new(9).expect("it is not 0"));

    /// 1 to 9; what is below or above counts as these.
    pub const fn new(level: u8) -> Self {
        match NonZeroU8::new(level) {
            Some(is) if level <= Self::SMALLEST.get() => Self(is),
            Some(_) => Self::SMALLEST,
            None => Self::FASTEST,
        }
    }

    /// 1 to 9.
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    pub(crate) const fn bits(self) -> NonZeroU8 {
        self.0
    }
}

/// Level 6, as zlib has it.
impl Default for Level {
    fn default() -> Self {
        Self::new(6)
    }
}

/// At its level 1, zlib-rs 0.6.8 panics where what it writes does not fit in the room that it has, as with a long
/// message that gets no smaller.
const DEFLATER_LEVEL_MIN: u8 = 2;

/// A deflater of a thread, and how hard it tries.
type Deflater = Option<(Level, Deflate)>;

thread_local! {
    /// By their windows. Each takes some 300 KiB, from its first message on.
    static DEFLATERS: RefCell<[Deflater; 7]> = const { RefCell::new([const { None }; 7]) };
}

/// What a message's payload is compressed, as it goes on the wire; `None` if it would not be smaller.
pub fn compress(payload: &[u8], window: WindowBits, level: Level) -> Option<Vec<u8>> {
    DEFLATERS.with_borrow_mut(|deflaters| {
        let place = usize::from(window.get() - WindowBits::MIN.get());
        let known = deflaters[place].take().filter(|(of, _)| *of == level);
        let (_, mut deflater) = known.unwrap_or_else(|| {
            let how = i32::from(level.get().max(DEFLATER_LEVEL_MIN));
            (level, Deflate::new(how, false, window.get()))
        });
        deflater.reset();
        let compressed = run(&mut deflater, payload);
        deflaters[place] = Some((level, deflater));
        compressed
    })
}

fn run(deflater: &mut Deflate, payload: &[u8]) -> Option<Vec<u8>> {
    // One that does not fit with its tail is none that is smaller.
    let mut compressed = vec![0; payload.len() + TAIL.len()];
    let status = deflater.compress(payload, &mut compressed, DeflateFlush::SyncFlush);
    let written = usize::try_from(deflater.total_out()).unwrap_or(usize::MAX);
    // All of it was flushed if there is room left.
    let is_whole = matches!(status, Ok(Status::Ok)) && written < compressed.len();
    let bytes = compressed.get(..written)?.strip_suffix(&TAIL).filter(|_| is_whole)?.len();
    compressed.truncate(bytes);
    if bytes >= payload.len() {
        return None;
    }
    compressed.shrink_to_fit();
    Some(compressed)
}

#[cfg(test)]
mod tests {
    use super::super::inflate;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn there_and_back(payload: &[u8], window: WindowBits) -> Option<Vec<u8>> {
        let compressed = compress(payload, window, Level::default())?;
        let mut inflated = Vec::new();
        inflate(&compressed, payload.len(), &mut inflated).unwrap();
        Some(inflated)
    }

    #[test]
    fn what_repeats_is_smaller_and_comes_back_with_each_window() {
        let payload = br#"{"event":"position","payload":{"x":1,"y":2}}"#.repeat(200);
        for bits in 9..=15 {
            let window = WindowBits::new(bits).unwrap();
            let compressed = compress(&payload, window, Level::default()).unwrap();
            assert!(compressed.len() < payload.len() / 10, "{bits}: {}", compressed.len());
            assert_eq!(there_and_back(&payload, window).unwrap(), payload);
        }
    }

    #[test]
    fn what_would_not_be_smaller_is_left_as_it_is() {
        let mut noise = [0; 1_000];
        SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
        for payload in [&b""[..], b"x", &noise] {
            assert_eq!(compress(payload, WindowBits::MAX, Level::default()), None);
        }
    }

    #[test]
    fn what_is_long_and_would_not_be_smaller_is_left_as_it_is_at_each_level() {
        let mut noise = vec![0; 70_000];
        SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
        for level in 1..=9 {
            for bits in [9, 15] {
                let window = WindowBits::new(bits).unwrap();
                for bytes in [300, 5_000, 20_000, 40_000, 70_000] {
                    let made = compress(&noise[..bytes], window, Level::new(level));
                    assert_eq!(made, None, "{level} {bits} {bytes}");
                }
            }
        }
    }

    #[test]
    fn a_message_is_the_same_whatever_came_before_it_and_at_each_level() {
        let payload = br#"{"event":"a","payload":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#.repeat(9);
        let first = compress(&payload, WindowBits::MAX, Level::default());
        let fast = compress(&payload, WindowBits::MAX, Level::new(0));
        compress(&b"something else, ".repeat(99), WindowBits::MAX, Level::new(200));
        assert_eq!(compress(&payload, WindowBits::MAX, Level::default()), first);
        assert_eq!(compress(&payload, WindowBits::MAX, Level::new(1)), fast);
    }
}
