//! Dice whose throws are the fuzzer's bytes.

use std::collections::VecDeque;
use std::convert::Infallible;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng, TryRng};

/// More than any life takes, and so few that a script of equal throws cannot keep a model from
/// coming to rest before it takes itself for stuck.
const SCRIPT_BYTES_MAX: usize = 4_096;

/// Throws as a script says, a byte for a small number and two for a large one; behind its end as a
/// random generator does, always the same one.
pub(crate) struct Dice {
    script: VecDeque<u8>,
    then: SmallRng,
}

impl Dice {
    pub(crate) fn new(script: &[u8]) -> Self {
        let script = &script[..script.len().min(SCRIPT_BYTES_MAX)];
        Self { script: script.iter().copied().collect(), then: SmallRng::seed_from_u64(0) }
    }
}

// Numbers in a range are made from the high bits, so a byte is repeated all over the word.
impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let Some(byte) = self.script.pop_front() else {
            return Ok(self.then.next_u32());
        };
        Ok(u32::from_ne_bytes([byte; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let (Some(high), Some(low)) = (self.script.pop_front(), self.script.pop_front()) else {
            return Ok(self.then.next_u64());
        };
        Ok(u64::from_be_bytes([high, low, high, low, high, low, high, low]))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for byte in dst {
            *byte =
                self.script.pop_front().unwrap_or_else(|| self.then.next_u32().to_le_bytes()[0]);
        }
        Ok(())
    }
}
