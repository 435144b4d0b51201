//! Compressed messages through the inflater and its limit, beside somebody else's.

use miniz_oxide::deflate::core::CompressorOxide;
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{DataFormat, MZFlush, StreamResult};
use rand::RngExt;
use wspulse_core::deflate::{InflateError, Level, WindowBits, compress, inflate as ours};

use crate::dice::Dice;
use crate::reference_inflater::{TAIL, Verdict, inflate as theirs};

/// In front of the message: what is done with it, the limit, what is in the buffer, and throws for pieces.
const HEAD_BYTES: usize = 8;

/// The longest message that is worth the time.
const LIMIT_MAX: usize = 70_000;

/// In so many bytes there may be as many blocks as any message may have, of 10 bits each.
const SHORTEST_BLOCKS_BYTES: usize = 2_048 * 10 / 8;

/// Inflates a message, which somebody else does likewise from pieces: both must come to the same, and the buffer
/// must not get larger than it may. What deflaters make of any bytes must be inflated to these.
///
/// # Panics
///
/// If the library has a fault.
pub fn inflate(data: &[u8]) {
    let Some((head, bytes)) = data.split_at_checked(HEAD_BYTES) else {
        return;
    };
    let mut dice = Dice::new(&head[4..]);
    let limit = LIMIT_MAX.min(usize::from(u16::from_le_bytes([head[1], head[2]])));
    let spare_bytes = [0, 1, 100, 70_000][usize::from(head[3]) % 4];
    match head[0] % 4 {
        0 | 1 => judge(bytes, limit, spare_bytes, &mut dice),
        2 => judge(&repeated(bytes, &mut dice), limit, spare_bytes, &mut dice),
        _ => there_and_back(&repeated(bytes, &mut dice), spare_bytes, &mut dice),
    }
}

/// Many messages that are short on their way are long once they are inflated.
fn repeated(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let times = dice.random_range(1..=64);
    let mut repeated = bytes.repeat(times);
    repeated.truncate(LIMIT_MAX);
    repeated
}

fn judge(compressed: &[u8], limit: usize, spare_bytes: usize, dice: &mut Dice) {
    let mut both = |compressed: &[u8]| {
        let ours = inflated(compressed, limit, spare_bytes);
        (ours, theirs(pieces(compressed, dice), limit))
    };
    let (ours, theirs) = both(compressed);
    if ours == theirs || ours == Verdict::TooManyBlocks {
        return;
    }
    let refuses = |verdict: &Verdict| match verdict {
        Verdict::Corrupt | Verdict::TooManyBlocks => true,
        Verdict::Inflated(_) | Verdict::TooLong => false,
    };
    assert!(refuses(&ours) || refuses(&theirs), "{ours:?}, not {theirs:?}");
    // Difference 1: a table of codes in which there is none is a fault to miniz_oxide at once; zlib takes each bit
    // for a length of 0, and says that there is no code for the end once it has all, up to 316. Where the message
    // ends in between, more bytes show that it does.
    let (ours, theirs) = both(&[compressed, &TAIL, &[0x55; 64]].concat());
    // Difference 2: zlib refuses a block that has no code for its end, and miniz_oxide goes on, to where it
    // would be.
    assert!(refuses(&ours), "{ours:?}, not {theirs:?}");
}

/// What any deflater makes of a message is inflated to this message, which has as many bytes as it may have.
fn there_and_back(message: &[u8], spare_bytes: usize, dice: &mut Dice) {
    let window = WindowBits::new(dice.random_range(9..=15)).expect("a window");
    let level = dice.random_range(1..=9);
    let by_us = compress(message, window, Level::new(level));
    let by_others =
        [deflated(message, level, MZFlush::Sync), deflated(message, level, MZFlush::Finish)];
    for compressed in by_us.iter().chain(&by_others) {
        let inflated = |limit| inflated(compressed, limit, spare_bytes);
        assert_eq!(inflated(message.len()), Verdict::Inflated(message.to_vec()));
        if let Some(less) = message.len().checked_sub(1) {
            assert_eq!(inflated(less), Verdict::TooLong);
        }
    }
    assert!(by_us.is_none_or(|compressed| compressed.len() < message.len()));
}

/// By `miniz_oxide`, without the tail of a flush.
fn deflated(message: &[u8], level: u8, flush: MZFlush) -> Vec<u8> {
    let mut by = CompressorOxide::default();
    by.set_format_and_level(DataFormat::Raw, level);
    let mut bytes = vec![0; 2 * message.len() + 1_000];
    let StreamResult { bytes_consumed, bytes_written, status } =
        deflate(&mut by, message, &mut bytes, flush);
    assert_eq!((bytes_consumed, status.is_ok()), (message.len(), true));
    bytes.truncate(bytes_written);
    // What a stream ends with that ends may look like it.
    if flush == MZFlush::Sync {
        let whole = bytes.strip_suffix(&TAIL).expect("the end of a flush").len();
        bytes.truncate(whole);
    }
    bytes
}

fn pieces<'a>(compressed: &'a [u8], dice: &mut Dice) -> Vec<&'a [u8]> {
    let bytes_max = [1, 3, 50, LIMIT_MAX][dice.random_range(0..4)];
    let mut pieces = Vec::new();
    let mut rest = compressed;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rest.len().min(dice.random_range(1..=bytes_max)));
        pieces.push(piece);
        rest = later;
    }
    pieces
}

/// By our inflater, behind what is in the buffer already, which has room for some more.
fn inflated(compressed: &[u8], limit: usize, spare_bytes: usize) -> Verdict {
    const BEFORE: &[u8] = b"before";
    let mut to = Vec::with_capacity(BEFORE.len() + spare_bytes);
    to.extend_from_slice(BEFORE);
    let capacity = to.capacity();
    let done = ours(compressed, limit, &mut to);
    let bound = capacity.max(BEFORE.len() + limit + 1);
    assert!(to.capacity() <= bound, "{} bytes of room, not {bound}", to.capacity());
    let inflated = to.strip_prefix(BEFORE).expect("what was there stays");
    match done {
        Ok(()) => {
            assert!(inflated.len() <= limit);
            Verdict::Inflated(inflated.to_vec())
        }
        Err(InflateError::TooLong { limit: told }) => {
            assert_eq!(told, limit);
            Verdict::TooLong
        }
        Err(InflateError::Corrupt) => Verdict::Corrupt,
        Err(InflateError::TooManyBlocks) => {
            assert!(compressed.len() > SHORTEST_BLOCKS_BYTES, "it cannot have so many blocks");
            Verdict::TooManyBlocks
        }
    }
}
