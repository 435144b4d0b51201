//! Messages that come compressed.
//!
//! A long file, of which more than half are tests: they make their blocks bit by bit, with what is beside them.

use std::cell::RefCell;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;

/// The largest: a client may use any.
const WINDOW_BITS: u8 = 15;

/// So many bytes are made room for at a time, at the least.
const STEP_BYTES_MIN: usize = 1024;

/// So many blocks a message may have, whatever it holds: a deflater that is flushed makes two each time, and who
/// sends a message in as many frames as are taken by default may flush 1,024 times.
const BLOCKS_FREE: usize = 2_048;

/// And one more for as many bytes of what it holds. zlib ends a block when it has 127 symbols with as little memory
/// as can be, each of a byte at the least, and when it has 16,383 as it is used.
const BLOCK_BYTES: usize = 128;

/// A block that holds nothing and is the last of its stream.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// Why a message cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It has more bytes than it may have.
    #[error("the message has more than {limit} bytes once it is inflated")]
    TooLong {
        /// How many it may have.
        limit: usize,
    },
    /// It is nothing that a deflater writes.
    #[error("the message is not compressed as RFC 1951 has it")]
    Corrupt,
    /// It has more than 2,048 blocks, and more than one for each 128 bytes beyond: RFC 1951 allows any number,
    /// no deflater makes so many, and each may take as long as thousands of bytes.
    #[error("the message has more blocks than what it holds could need")]
    TooManyBlocks,
}

thread_local! {
    static INFLATER: RefCell<Option<Inflate>> = const { RefCell::new(None) };
}

/// Appends what a compressed message holds, up to `limit` bytes, and stops as soon as there is more. `to` gets no
/// larger than for one byte beyond the limit, unless it is already. The thread's inflater holds some 50 KiB
/// besides, however long messages are.
///
/// # Errors
///
/// [`InflateError`]; `to` has then what there was up to there. What is too long is that, whatever follows.
pub fn inflate(compressed: &[u8], limit: usize, to: &mut Vec<u8>) -> Result<(), InflateError> {
    INFLATER.with_borrow_mut(|inflater| {
        let inflater = inflater.get_or_insert_with(|| Inflate::new(false, WINDOW_BITS));
        inflater.reset(false);
        let (first, end) = (to.len(), to.len());
        let mut inflating = Inflating { inflater, to, first, end, limit, blocks: 0 };
        let done = inflating.take_message(compressed);
        let end = inflating.end;
        to.truncate(end);
        done
    })
}

struct Inflating<'a> {
    inflater: &'a mut Inflate,
    /// With room behind what is inflated, in zeros.
    to: &'a mut Vec<u8>,
    /// Where the message begins.
    first: usize,
    /// Where it ends so far.
    end: usize,
    limit: usize,
    /// How many have ended.
    blocks: usize,
}

/// How far it has got.
enum Step {
    /// What there was room for is written, and there may be more.
    NoRoom,
    /// A block has ended, or the input.
    Paused,
    /// A message may hold more than one stream (RFC 7692 §7.2.3.5).
    StreamEnded,
}

/// Where what was taken ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    OfStream,
    Elsewhere,
}

impl Inflating<'_> {
    fn take_message(&mut self, compressed: &[u8]) -> Result<(), InflateError> {
        if compressed.is_empty() || self.take(compressed)? == End::OfStream {
            return Ok(());
        }
        let end = self.end;
        // Some send it, which they should not.
        if !compressed.ends_with(&TAIL) {
            self.take(&TAIL)?;
        }
        // Behind a message that is whole, this is the last block of a stream. Behind one that was cut off it is
        // something else: part of what the cut block lacks.
        let is_whole = self.take(&LAST_BLOCK)? == End::OfStream && self.end == end;
        if is_whole { Ok(()) } else { Err(InflateError::Corrupt) }
    }

    fn take(&mut self, mut input: &[u8]) -> Result<End, InflateError> {
        loop {
            let (read, end) = (self.inflater.total_in(), self.end);
            let step = self.step(input)?;
            let read = usize::try_from(self.inflater.total_in() - read).unwrap_or(usize::MAX);
            input = input.get(read..).unwrap_or_default();
            match step {
                Step::NoRoom => {}
                Step::StreamEnded => {
                    self.inflater.reset(false);
                    if input.is_empty() {
                        return Ok(End::OfStream);
                    }
                }
                Step::Paused if input.is_empty() => return self.look_behind_the_end(),
                Step::Paused if read == 0 && self.end == end => return Err(InflateError::Corrupt),
                Step::Paused => self.count_block()?,
            }
        }
    }

    /// Goes on to the end of a block, or as far as it gets.
    fn step(&mut self, input: &[u8]) -> Result<Step, InflateError> {
        if self.end == self.to.len() {
            self.make_room(input.len());
        }
        let written = self.inflater.total_out();
        let room = &mut self.to[self.end..];
        let status = self.inflater.decompress(input, room, InflateFlush::Block);
        self.end += usize::try_from(self.inflater.total_out() - written).unwrap_or(usize::MAX);
        // Before its verdict: how far it got beyond the limit depends on how much room there was.
        if self.end - self.first > self.limit {
            return Err(InflateError::TooLong { limit: self.limit });
        }
        match status.map_err(|_| InflateError::Corrupt)? {
            Status::StreamEnd => Ok(Step::StreamEnded),
            Status::Ok | Status::BufError if self.end == self.to.len() => Ok(Step::NoRoom),
            Status::Ok | Status::BufError => Ok(Step::Paused),
        }
    }

    /// A block that has ended in the last byte may have been the last one, and leaves bits behind, which may be
    /// the beginning of one of a kind that there is not.
    fn look_behind_the_end(&mut self) -> Result<End, InflateError> {
        match self.step(&[])? {
            Step::StreamEnded => {
                self.inflater.reset(false);
                Ok(End::OfStream)
            }
            Step::NoRoom | Step::Paused => Ok(End::Elsewhere),
        }
    }

    const fn count_block(&mut self) -> Result<(), InflateError> {
        self.blocks += 1;
        if self.blocks > BLOCKS_FREE + (self.end - self.first) / BLOCK_BYTES {
            return Err(InflateError::TooManyBlocks);
        }
        Ok(())
    }

    /// Room for what is likely to come, and never for more than one byte beyond the limit: that shows that
    /// there is more.
    fn make_room(&mut self, input_bytes: usize) {
        let left = self.limit.saturating_add(1).saturating_sub(self.end - self.first);
        let likely = input_bytes.saturating_mul(4).max(self.end).max(STEP_BYTES_MIN);
        let room = likely.min(left);
        self.to.reserve_exact(room);
        self.to.resize(self.end + room, 0);
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};
    use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Strategy};

    use super::*;
    use crate::websocket::compressed_bytes_max;

    fn inflated(compressed: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
        let mut to = Vec::new();
        inflate(compressed, limit, &mut to).map(|()| to)
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7692 §7.2.3.1, .3, .4 and .5.
        let hello = b"Hello";
        assert_eq!(inflated(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5).unwrap(), hello);
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        assert_eq!(inflated(&stored, 5).unwrap(), hello);
        assert_eq!(inflated(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], 5).unwrap(), hello);
        let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflated(&two, 5).unwrap(), hello);
    }

    #[test]
    fn an_empty_message_is_read() {
        assert_eq!(inflated(&[], 0).unwrap(), b"");
        assert_eq!(inflated(&[0x00], 0).unwrap(), b"");
    }

    #[test]
    fn it_stops_at_the_limit_and_holds_no_more() {
        let bomb = super::super::compress(
            &vec![0; 10_000_000],
            super::super::WindowBits::MAX,
            super::super::Level::default(),
        )
        .unwrap();
        assert!(bomb.len() < 20_000);
        let mut to = Vec::new();
        let limit = 64 * 1024;
        assert_eq!(inflate(&bomb, limit, &mut to), Err(InflateError::TooLong { limit }));
        assert!(to.capacity() <= limit + 1, "{}", to.capacity());
        assert_eq!(inflated(&bomb, 10_000_000).unwrap().len(), 10_000_000);
        assert!(inflated(&bomb, 9_999_999).is_err());
    }

    #[test]
    fn what_is_too_long_is_that_whatever_comes_behind_and_whatever_room_there_is() {
        // A stored block of 2,000 bytes, and then one of a kind that there is not.
        let bytes = [&[0x00, 0xd0, 0x07, 0x2f, 0xf8][..], &[7; 2_000], &[0x07]].concat();
        for room in [0, 99, 100, 101, 102, 65_536] {
            let mut to = Vec::with_capacity(room);
            let refused = inflate(&bytes, 100, &mut to);
            assert_eq!(refused, Err(InflateError::TooLong { limit: 100 }), "{room}");
            assert_eq!(inflate(&bytes, 2_000, &mut to), Err(InflateError::Corrupt), "{room}");
        }
    }

    #[test]
    fn there_may_be_no_limit_and_something_in_front() {
        let mut to = b"before".to_vec();
        inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], usize::MAX, &mut to).unwrap();
        assert_eq!(to, b"beforeHello");
    }

    #[test]
    fn what_no_deflater_writes_is_refused() {
        for bytes in [&[0x07][..], &[0x00, 0x05, 0x00, 0x00, 0x00, 1, 2, 3, 4, 5], &[0xff; 9]] {
            assert_eq!(inflated(bytes, 1_000), Err(InflateError::Corrupt), "{bytes:?}");
        }
    }

    #[test]
    fn what_was_cut_off_is_refused() {
        let text = br#"{"event":"said","payload":"give 100 coins to bob, and then give 100 coins to ann"}"#;
        let mut noise = [0; 500];
        SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
        for message in [&text[..], &noise, &[b'a'; 500]] {
            let whole = deflated(message, message.len(), 8);
            let whole = whole.strip_suffix(&TAIL).expect("the end of a flush");
            assert_eq!(inflated(whole, 1_000).as_deref(), Ok(message));
            // With nothing but the header of a stored block, it is an empty message.
            for end in 1 + usize::from(whole[0] == 0)..whole.len() {
                assert_eq!(inflated(&whole[..end], 1_000), Err(InflateError::Corrupt), "{end}");
            }
        }
        // A stored block that announces 65,535 bytes and has 3.
        assert_eq!(inflated(b"\0\xff\xff\0\0abc", 1_000), Err(InflateError::Corrupt));
    }

    #[test]
    fn a_message_whose_tail_was_not_taken_off_or_whose_last_block_is_its_end_is_read() {
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff];
        assert_eq!(inflated(&hello, 5).unwrap(), b"Hello");
        assert_eq!(inflated(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5).unwrap(), b"Hello");
        // Also if its last byte is where there is no more room, and the end of the block comes behind it.
        for bytes in [1_023, 1_024, 1_025, 2_048] {
            let message = vec![b'a'; bytes];
            let whole = ended(&message);
            assert_eq!(inflated(&whole, bytes).as_deref(), Ok(&message[..]), "{bytes}");
        }
    }

    /// A stream that ends, by a deflater.
    fn ended(message: &[u8]) -> Vec<u8> {
        let mut deflater = Deflate::new(6, false, 15);
        let mut compressed = vec![0; message.len() + 100];
        deflater.compress(message, &mut compressed, DeflateFlush::Finish).unwrap();
        compressed.truncate(usize::try_from(deflater.total_out()).unwrap());
        compressed
    }

    #[test]
    fn what_begins_behind_the_last_block_and_is_none_is_refused() {
        // Codes by which the zeros of the tail are bytes, and nine of its ones the end. Seven are left.
        let block = [
            0x04, 0xc0, 0x01, 0x82, 0xe4, 0x30, 0x0c, 0xc3, 0xb0, 0xff, 0xbf, 0x18, 0x94, 0xd3,
            0xd9, 0x3b, 0x00,
        ];
        assert_eq!(inflated(&block, 1_000), Err(InflateError::Corrupt));
    }

    /// Bits of blocks, the lowest first (RFC 1951 §3.1.1).
    #[derive(Default)]
    struct Bits {
        bytes: Vec<u8>,
        bits: usize,
    }

    impl Bits {
        fn put(mut self, value: u32, bits: usize) -> Self {
            for at in 0..bits {
                if self.bits.is_multiple_of(8) {
                    self.bytes.push(0);
                }
                let bit = u8::from(value >> at & 1 == 1);
                *self.bytes.last_mut().expect("a byte") |= bit << (self.bits % 8);
                self.bits += 1;
            }
            self
        }

        fn empty_fixed_block(self) -> Self {
            self.put(0, 1).put(1, 2).put(0, 7)
        }

        /// One with codes of its own, for nothing but its end (RFC 1951 §3.2.7).
        fn empty_dynamic_block(self) -> Self {
            let begun = self.put(0, 1).put(2, 2).put(0, 5).put(0, 5).put(14, 4);
            // Lengths of 1 and runs of zeros have codes of a bit each, others have none.
            let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1];
            let has_code = |symbol: u32| u32::from(symbol == 18 || symbol == 1);
            let lengths = order.into_iter().fold(begun, |bits, of| bits.put(has_code(of), 3));
            let zeros = lengths.put(1, 1).put(138 - 11, 7).put(1, 1).put(118 - 11, 7);
            zeros.put(0, 1).put(0, 1).put(0, 1)
        }
    }

    /// So many blocks, and the beginning of the stored one that each message ends with.
    fn many(times: usize, block: fn(Bits) -> Bits) -> Vec<u8> {
        (0..times).fold(Bits::default(), |bits, _| block(bits)).put(0, 3).bytes
    }

    const EMPTY_STORED: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];

    #[test]
    fn of_blocks_that_hold_nothing_a_message_may_have_2_048() {
        let of = |times| {
            [
                EMPTY_STORED.repeat(times),
                LAST_BLOCK.repeat(times),
                many(times, Bits::empty_fixed_block),
                many(times, Bits::empty_dynamic_block),
            ]
        };
        for (kind, (few, many)) in of(2_048).iter().zip(of(2_060)).enumerate() {
            assert_eq!(inflated(few, 0).as_deref(), Ok(&[][..]), "{kind}");
            assert_eq!(inflated(&many, 0), Err(InflateError::TooManyBlocks), "{kind}");
        }
    }

    #[test]
    fn blocks_may_be_as_many_more_as_they_hold_128_bytes_each() {
        let stored =
            |bytes: u8| [&[0, bytes, 0, !bytes, 0xff], &vec![7; bytes.into()][..]].concat();
        let with = |bytes: u8| {
            let blocks = [stored(bytes).repeat(20_000), vec![0]].concat();
            inflated(&blocks, usize::MAX)
        };
        assert_eq!(with(128).unwrap().len(), 128 * 20_000);
        assert_eq!(with(100), Err(InflateError::TooManyBlocks));
    }

    /// What deflaters make, whole or flushed each so many bytes, with the least memory and with the most.
    fn deflated(message: &[u8], flushed: usize, mem_level: i32) -> Vec<u8> {
        deflated_by(message, flushed, DeflateConfig { mem_level, ..DeflateConfig::default() })
    }

    fn deflated_by(message: &[u8], flushed: usize, how: DeflateConfig) -> Vec<u8> {
        let how = DeflateConfig { window_bits: -how.window_bits, ..how };
        let mut deflater = Deflate::new_with_config(how);
        let mut compressed = vec![0; 20 * message.len() + 1_000];
        for piece in message.chunks(flushed) {
            let from = usize::try_from(deflater.total_out()).unwrap();
            let room = &mut compressed[from..];
            deflater.compress(piece, room, DeflateFlush::SyncFlush).unwrap();
        }
        compressed.truncate(usize::try_from(deflater.total_out()).unwrap());
        compressed
    }

    #[test]
    fn what_deflaters_make_has_no_more_blocks_than_it_may_have() {
        let mut mixed = b"words and words again, ".repeat(20_000);
        SmallRng::seed_from_u64(1).fill_bytes(&mut mixed[100_000..200_000]);
        for mem_level in [1, 8, 9] {
            let there_and_back = |message: &[u8], flushed| {
                inflated(&deflated(message, flushed, mem_level), usize::MAX).unwrap() == message
            };
            assert!(there_and_back(&mixed, mixed.len()));
            // In each of 1,024 frames, the shortest of a byte.
            assert!(there_and_back(&mixed[..1_024], 1));
            assert!(there_and_back(&mixed[99_000..], mixed[99_000..].len().div_ceil(1_024)));
            assert!(there_and_back(&mixed, 256));
        }
    }

    #[test]
    fn what_deflaters_make_takes_no_more_bytes_on_its_way_than_it_may() {
        for bytes in [100, 512, 10_000, 65_536] {
            let mut noise = vec![0; bytes];
            SmallRng::seed_from_u64(1).fill_bytes(&mut noise);
            // Bytes of which each takes 9 bits with fixed codes.
            for byte in &mut noise {
                *byte = 144 + *byte % 112;
            }
            let strategies = [Strategy::Default, Strategy::Fixed];
            let settings = (1..=9).flat_map(|mem_level| {
                let windows = [9, 12, 15].into_iter();
                windows.flat_map(move |bits| strategies.map(|strategy| (mem_level, bits, strategy)))
            });
            for frames in [1, 8, 100, 1_024] {
                for (mem_level, window_bits, strategy) in settings.clone() {
                    let how = DeflateConfig {
                        mem_level,
                        window_bits,
                        strategy,
                        ..DeflateConfig::default()
                    };
                    let made = deflated_by(&noise, bytes.div_ceil(frames), how).len();
                    let bound = compressed_bytes_max(bytes, frames.min(bytes));
                    assert!(made <= bound, "{bytes} in {frames}: {made}, {how:?}");
                }
            }
        }
    }
}
