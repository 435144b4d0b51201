//! What one listener has heard of one server, beside what was said.

use wspulse_core::cluster::{Missed, Said};

/// One listener's account of one stream, from when it began to listen.
#[derive(Debug)]
pub(crate) struct Ear {
    /// How many frames had been said by then, those of the same millisecond included.
    said_before: u64,
    /// The number of the last that was heard, or told as lost.
    last: Option<u64>,
    /// Whether some may be lost that nobody has counted.
    is_unsure: bool,
}

impl Ear {
    pub(crate) fn new(said_before: u64) -> Self {
        Self { said_before, last: None, is_unsure: false }
    }

    pub(crate) fn hear(&mut self, said: &Said) {
        let text = std::str::from_utf8(said.frame.payload()).expect("a number");
        let number: u64 = text.parse().expect("a number");
        match self.last {
            Some(last) if self.is_unsure => {
                assert!(number > last, "{number} is here again: {self:?}");
            }
            Some(last) => assert_eq!(number, last + 1, "out of order: {self:?}"),
            // What was on its way when somebody began to listen may be heard.
            None => assert!(
                number <= self.said_before + 1 || self.is_unsure,
                "some are missing before {number}: {self:?}"
            ),
        }
        self.is_unsure = false;
        self.last = Some(number);
    }

    pub(crate) fn miss(&mut self, missed: Missed) {
        match missed {
            Missed::Frames(frames) => {
                assert!(frames > 0, "a gap of nothing: {self:?}");
                match &mut self.last {
                    Some(last) => *last += frames,
                    // Nobody knows with which it began.
                    None => self.is_unsure = true,
                }
            }
            Missed::Unknown => self.is_unsure = true,
            _ => panic!("a gap that this test does not know"),
        }
    }

    /// All is calm, and has been for a while.
    pub(crate) fn check_complete(&self, said: u64) {
        let heard = self.last.unwrap_or(self.said_before.min(said));
        assert!(self.is_unsure || heard == said, "of {said} frames: {self:?}");
    }
}
