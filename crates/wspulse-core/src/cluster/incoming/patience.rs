//! What a stream lacks, and for how long it goes on to ask for that.

use std::time::Instant;

/// How often a stream asks in vain, at the least, before it gives up: a server that answers many streams
/// may be late for some.
const IN_VAIN_MIN: u8 = 4;

/// What it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cluster) enum Lacks {
    Nothing,
    /// It is to ask at this time.
    Asking {
        at: Instant,
        patience: Patience,
    },
    /// It has asked, and will hear what has become of that.
    Asked {
        patience: Patience,
    },
}

/// How long it will go on to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cluster) struct Patience {
    /// When it may give up; `None` before the first question.
    until: Option<Instant>,
    /// How many questions had no answer that helped.
    in_vain: u8,
}

impl Patience {
    /// The first question is asked.
    pub(super) fn begin(&mut self, until: Instant) {
        self.until.get_or_insert(until);
    }

    /// No later than this, once it has begun.
    pub(super) fn to(mut self, until: Instant) -> Self {
        self.until = self.until.map(|known| known.min(until));
        self
    }

    pub(super) const fn ask_in_vain(&mut self) {
        self.in_vain = self.in_vain.saturating_add(1);
    }

    pub(super) fn is_over(self, now: Instant) -> bool {
        self.in_vain >= IN_VAIN_MIN && self.until.is_some_and(|until| until <= now)
    }
}
