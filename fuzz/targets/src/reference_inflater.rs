//! Compressed messages inflated by somebody else: `miniz_oxide`, which has no code in common with zlib.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// What a deflater leaves out at the end of a message (RFC 7692 §7.2.1).
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A block that is the last of its stream, and holds nothing.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Inflated(Vec<u8>),
    TooLong,
    Corrupt,
    /// Which only ours says.
    TooManyBlocks,
}

/// Inflates a message that comes in pieces, up to so many bytes.
pub(crate) fn inflate<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Verdict {
    let mut inflating = Inflating {
        inflater: Box::default(),
        // One byte more shows that there is more.
        stream: vec![0; limit + 1],
        streamed: 0,
        inflated: Vec::new(),
        limit,
    };
    let done = inflating.take_message(pieces);
    inflating.end_stream();
    match done {
        Ok(()) => Verdict::Inflated(inflating.inflated),
        Err(verdict) => verdict,
    }
}

struct Inflating {
    inflater: Box<DecompressorOxide>,
    /// What the stream holds that is being read, to its first `streamed` bytes: nothing refers to what came
    /// before it.
    stream: Vec<u8>,
    streamed: usize,
    /// Of the streams before.
    inflated: Vec<u8>,
    limit: usize,
}

impl Inflating {
    fn take_message<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), Verdict> {
        // What came before is like nothing in the tail.
        let (mut ends_a_stream, mut last) = (true, [1; TAIL.len()]);
        for piece in pieces {
            ends_a_stream = self.take(piece)?;
            for byte in piece {
                last.rotate_left(1);
                last[TAIL.len() - 1] = *byte;
            }
        }
        if ends_a_stream {
            return Ok(());
        }
        let bytes = self.bytes();
        if last != TAIL {
            self.take(&TAIL)?;
        }
        // Behind a whole message it ends a stream and holds nothing.
        if self.take(&LAST_BLOCK)? && self.bytes() == bytes {
            Ok(())
        } else {
            Err(Verdict::Corrupt)
        }
    }

    /// Whether that was the end of a stream.
    fn take(&mut self, mut piece: &[u8]) -> Result<bool, Verdict> {
        const FLAGS: u32 = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        loop {
            let (status, read, written) =
                decompress(&mut self.inflater, piece, &mut self.stream, self.streamed, FLAGS);
            self.streamed += written;
            if self.bytes() > self.limit {
                return Err(Verdict::TooLong);
            }
            piece = &piece[read..];
            match status {
                TINFLStatus::Done => {
                    self.end_stream();
                    if piece.is_empty() {
                        return Ok(true);
                    }
                }
                TINFLStatus::NeedsMoreInput => {
                    assert!(piece.is_empty(), "it leaves nothing that it could read");
                    return Ok(false);
                }
                TINFLStatus::HasMoreOutput => unreachable!("there is room for more than the limit"),
                TINFLStatus::FailedCannotMakeProgress
                | TINFLStatus::BadParam
                | TINFLStatus::Adler32Mismatch
                | TINFLStatus::Failed => return Err(Verdict::Corrupt),
                // The enum is somebody else's, and may get more.
                _ => unreachable!("{status:?}"),
            }
        }
    }

    fn bytes(&self) -> usize {
        self.inflated.len() + self.streamed
    }

    /// Another stream may follow (RFC 7692 §7.2.3.5).
    fn end_stream(&mut self) {
        self.inflated.extend_from_slice(&self.stream[..self.streamed]);
        self.streamed = 0;
        self.inflater.init();
    }
}
