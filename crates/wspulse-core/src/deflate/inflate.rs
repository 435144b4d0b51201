//! Messages that come compressed.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::TAIL;

/// So many bytes are made room for at a time, at the least.
const STEP_BYTES_MIN: usize = 1024;

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
}

thread_local! {
    static INFLATER: RefCell<Option<Decompress>> = const { RefCell::new(None) };
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
        let inflater = inflater.get_or_insert_with(|| Decompress::new(false));
        inflater.reset(false);
        let mut inflating = Inflating { inflater, to, first: 0, limit };
        inflating.first = inflating.to.len();
        inflating.take(compressed)?;
        inflating.take(&TAIL)
    })
}

struct Inflating<'a> {
    inflater: &'a mut Decompress,
    to: &'a mut Vec<u8>,
    /// Where the message begins.
    first: usize,
    limit: usize,
}

impl Inflating<'_> {
    fn take(&mut self, mut input: &[u8]) -> Result<(), InflateError> {
        loop {
            self.make_room(input.len());
            let (read, written) = (self.inflater.total_in(), self.to.len());
            let status = self.inflater.decompress_vec(input, self.to, FlushDecompress::Sync);
            // Before its verdict: how far it got beyond the limit depends on how much room there was.
            if self.to.len() - self.first > self.limit {
                return Err(InflateError::TooLong { limit: self.limit });
            }
            let status = status.map_err(|_| InflateError::Corrupt)?;
            let read = usize::try_from(self.inflater.total_in() - read).unwrap_or(usize::MAX);
            input = input.get(read..).unwrap_or_default();
            match status {
                // A message may hold more than one stream (RFC 7692 §7.2.3.5).
                Status::StreamEnd => self.inflater.reset(false),
                // It may have written all that there was room for, and hold more.
                Status::Ok | Status::BufError if self.to.len() < self.to.capacity() => {
                    return if input.is_empty() { Ok(()) } else { Err(InflateError::Corrupt) };
                }
                Status::Ok | Status::BufError if read == 0 && self.to.len() == written => {
                    return if input.is_empty() { Ok(()) } else { Err(InflateError::Corrupt) };
                }
                Status::Ok | Status::BufError => {}
            }
            if input.is_empty() && matches!(status, Status::StreamEnd) {
                return Ok(());
            }
        }
    }

    /// Room for what is likely to come, and never for more than one byte beyond the limit: that shows that
    /// there is more.
    fn make_room(&mut self, input_bytes: usize) {
        let inflated = self.to.len() - self.first;
        let left = self.limit.saturating_add(1).saturating_sub(inflated);
        let likely = input_bytes.saturating_mul(4).max(self.to.len()).max(STEP_BYTES_MIN);
        self.to.reserve_exact(likely.min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
