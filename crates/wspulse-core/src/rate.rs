//! How much a peer may send in a second, and how much at once.

use std::time::{Duration, Instant};

use crate::clock::after;

/// A limit on what one connection receives, over all its transports.
///
/// ```
/// use wspulse_core::{InboundRate, OverRate};
///
/// let rate = InboundRate::new(OverRate::Pause).messages(20, 40).bytes(16 * 1024, 64 * 1024);
/// # assert_eq!(rate.over(), OverRate::Pause);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboundRate {
    messages: Option<Rate>,
    bytes: Option<Rate>,
    over: OverRate,
}

/// What happens to a peer that sends more than its [`InboundRate`] allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OverRate {
    /// It is not read until it may send again: TCP pushes back, nothing is lost.
    Pause,
    /// Its transport is closed with code 1008 (policy violation) and the reason `rate limit`.
    Close,
}

/// A rate with the burst that it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many units each second brings, evenly: at least 1.
    pub per_second: u32,
    /// How many units may come at once, after as long a silence as it takes to save them up: at
    /// least 1.
    pub burst: u32,
}

impl InboundRate {
    /// No limit yet, but what happens over those that follow.
    pub const fn new(over: OverRate) -> Self {
        Self { messages: None, bytes: None, over }
    }

    /// Limits messages. Pings count as well, since each is owed an answer; Pongs do not.
    #[must_use]
    pub const fn messages(mut self, per_second: u32, burst: u32) -> Self {
        self.messages = Some(Rate { per_second, burst });
        self
    }

    /// Limits bytes as they are on the wire behind the handshake, frame headers and control frames
    /// included; of a message that came compressed, bytes as they are once it is inflated.
    #[must_use]
    pub const fn bytes(mut self, per_second: u32, burst: u32) -> Self {
        self.bytes = Some(Rate { per_second, burst });
        self
    }

    /// The limit on messages.
    pub const fn message_rate(&self) -> Option<Rate> {
        self.messages
    }

    /// The limit on bytes.
    pub const fn byte_rate(&self) -> Option<Rate> {
        self.bytes
    }

    /// What happens over a limit.
    pub const fn over(&self) -> OverRate {
        self.over
    }
}

/// A bucket of tokens, each good for a unit: it fills at a rate, up to the burst.
///
/// All that it keeps is when it will be full, so time that passes costs nothing and a long silence
/// cannot overflow it. Rounding is to the bucket's advantage, by less than a nanosecond for each
/// withdrawal.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    rate: Rate,
    full_at: Instant,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket.
    ///
    /// # Panics
    ///
    /// If the rate brings nothing or allows no burst.
    pub const fn full(rate: Rate, now: Instant) -> Self {
        assert!(rate.per_second > 0 && rate.burst > 0, "a rate of at least 1, and a burst of 1");
        Self { rate, full_at: now }
    }

    /// How many whole tokens there are; none while it is in debt.
    pub fn available(&self, now: Instant) -> u32 {
        let filling = self.full_at.saturating_duration_since(now).as_nanos();
        let missing =
            (filling * u128::from(self.rate.per_second)).div_ceil(u128::from(NANOS_PER_SECOND));
        u32::try_from(missing).map_or(0, |missing| self.rate.burst.saturating_sub(missing))
    }

    /// Takes so many tokens, and runs into debt for those that are not there.
    pub fn take(&mut self, tokens: u32, now: Instant) {
        let nanos = (u64::from(tokens) * NANOS_PER_SECOND).div_ceil(self.rate.per_second.into());
        self.full_at = after(self.full_at.max(now), Duration::from_nanos(nanos));
    }

    /// When there are so many tokens if none is taken until then; at most the burst.
    pub fn available_at(&self, tokens: u32, now: Instant) -> Instant {
        let spare = self.rate.burst.saturating_sub(tokens);
        let nanos = u64::from(spare) * NANOS_PER_SECOND / u64::from(self.rate.per_second);
        // Before the clock's beginning is before now.
        self.full_at.checked_sub(Duration::from_nanos(nanos)).map_or(now, |at| at.max(now))
    }

    /// How fast it fills, and how far.
    pub const fn rate(&self) -> Rate {
        self.rate
    }
}
