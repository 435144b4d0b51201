//! Counting a client's frames: those that cost their sender next to nothing have a rate.
//!
//! h2 bounds what frames can make it hold. It answers as many SETTINGS and PING as come, though, and
//! looks at as many of the rest.

use std::time::Duration;

use tokio::time::Instant;

use super::frames::{Header, Written, flag, kind};

/// How many may come at once, and in this time: a page that gives up what it was loading resets a
/// hundred streams.
const UNITS_MIN: u32 = 1024;
/// All streams may be reset at once, and opened again, for each a few times in a row.
const UNITS_PER_STREAM: u32 = 4;
const REFILL: Duration = Duration::from_secs(8);

/// Each of them may have all streams looked at (RFC 9113 §6.9.2).
const SETTINGS_UNITS: u32 = 16;
/// Nobody has asked for one before a shutdown, and h2 logs a line.
const PING_ACK_UNITS: u32 = 64;

/// Clients that give a window back in pieces give so much at a time, or more.
const UPDATED_BYTES_MIN: usize = 256;

/// What is left to a client.
pub(super) struct Allowance {
    units: u32,
    /// How many frames there is a reason for.
    answers: u32,
    units_max: u32,
    refilled_at: Instant,
}

/// A client sends too many frames that carry nothing.
#[derive(Debug, thiserror::Error)]
#[error("too many HTTP/2 control frames")]
pub(super) struct TooManyFrames;

/// What a frame costs (RFC 9113 §6).
enum Cost {
    Units(u32),
    /// A unit, unless what this side has said is a reason for such a frame.
    Answer,
}

impl Cost {
    const fn of(header: Header) -> Self {
        match header.kind {
            kind::DATA if header.payload_bytes == 0 && !header.has(flag::END_STREAM) => {
                Self::Units(1)
            }
            // h2 bounds them.
            kind::DATA | kind::PUSH_PROMISE | kind::CONTINUATION => Self::Units(0),
            kind::HEADERS | kind::WINDOW_UPDATE => Self::Answer,
            kind::SETTINGS => Self::Units(SETTINGS_UNITS),
            kind::PING if header.has(flag::ACK) => Self::Units(PING_ACK_UNITS),
            // PRIORITY, RST_STREAM, PING, GOAWAY, and types that are not known.
            _ => Self::Units(1),
        }
    }
}

impl Allowance {
    pub(super) fn new(streams_max: u32) -> Self {
        let units_max = UNITS_MIN.max(UNITS_PER_STREAM * streams_max);
        Self { units: units_max, answers: 0, units_max, refilled_at: Instant::now() }
    }

    /// # Errors
    ///
    /// There is not so much left.
    pub(super) fn spend(&mut self, header: Header) -> Result<(), TooManyFrames> {
        if header.kind == kind::RST_STREAM {
            // It is paid for, and so is the request that it takes back.
            self.answers = self.answers.saturating_add(1);
        }
        match Cost::of(header) {
            Cost::Units(units) => self.spend_units(units),
            Cost::Answer => {
                let Some(answers) = self.answers.checked_sub(1) else {
                    return self.spend_units(1);
                };
                self.answers = answers;
                Ok(())
            }
        }
    }

    /// What this side says is a reason to say something.
    pub(super) const fn earn(&mut self, written: Written) {
        let answers = match written {
            // The window of its stream and that of the connection; in pieces, if it is long.
            Written::Data { bytes, .. } => 2 + bytes / UPDATED_BYTES_MIN,
            // The next request, and a window for its answer.
            Written::Headers => 2,
            Written::End { .. } | Written::Reset { .. } | Written::WindowUpdate { .. } => 0,
        };
        // It is no more than a frame has bytes.
        #[expect(clippy::cast_possible_truncation, reason = "frames are shorter than 2^24 bytes")]
        let answers = answers as u32;
        self.answers = self.answers.saturating_add(answers);
    }

    fn spend_units(&mut self, units: u32) -> Result<(), TooManyFrames> {
        if units > self.units {
            self.refill();
        }
        self.units = self.units.checked_sub(units).ok_or(TooManyFrames)?;
        Ok(())
    }

    /// The clock is looked at only when it matters.
    fn refill(&mut self) {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.refilled_at).min(REFILL);
        let earned = u128::from(self.units_max) * passed.as_millis() / REFILL.as_millis();
        if let Ok(earned @ 1..) = u32::try_from(earned) {
            self.units = self.units.saturating_add(earned).min(self.units_max);
            self.refilled_at = now;
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_allowance_is_earned_anew_within_its_time() {
        let mut allowance = Allowance::new(1);
        allowance.spend_units(UNITS_MIN).expect("all of it");
        assert!(allowance.spend_units(1).is_err());
        tokio::time::sleep(REFILL / 2).await;
        allowance.spend_units(UNITS_MIN / 2).expect("half of it");
        assert!(allowance.spend_units(1).is_err());
        tokio::time::sleep(2 * REFILL).await;
        allowance.spend_units(UNITS_MIN).expect("all of it, and no more");
        assert!(allowance.spend_units(1).is_err());
    }
}
