//! What a stream lacks, and for how long it goes on to ask for that.

use std::time::{Duration, Instant};

use crate::clock::after;

/// How often a stream asks in vain, at the least, before it gives up: a server that answers many streams
/// may be late for some.
const IN_VAIN_MIN: u8 = 4;

/// How long a server that has answered a question is taken for one that answers.
const ANSWERS_FOR: Duration = Duration::from_secs(2);

/// How much longer one is asked that answers.
const LONGER: Duration = Duration::from_secs(15);

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

    pub(super) fn is_over(self, answered_at: Option<Instant>, now: Instant) -> bool {
        let Some(until) = self.until else { return false };
        // A server that answers others will answer this one too, unless it never does.
        let answers = answered_at.is_some_and(|at| after(at, ANSWERS_FOR) > now);
        let until = if answers { after(until, LONGER) } else { until };
        self.in_vain >= IN_VAIN_MIN && until <= now
    }
}
