//! What is known of a transport, in a byte.

/// Yes or no, a bit each: beside the byte, the form in which frames are written fits into what four bools
/// would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts(u8);

impl Facts {
    const PING_OWED: u8 = 1;
    const UNDECODABLE_SEEN: u8 = 1 << 1;
    const CONFIRMED: u8 = 1 << 2;
    const GREETED: u8 = 1 << 3;

    /// A Ping is owed that carries nothing, and nothing else in the lane: what idle connections write needs no
    /// lane.
    pub(crate) const fn owes_ping(self) -> bool {
        self.has(Self::PING_OWED)
    }

    pub(crate) const fn owe_ping(&mut self) {
        self.0 |= Self::PING_OWED;
    }

    /// It is owed no more. Tells whether it was.
    pub(crate) const fn take_ping(&mut self) -> bool {
        let is_owed = self.owes_ping();
        self.0 &= !Self::PING_OWED;
        is_owed
    }

    /// An undecodable message has come, and is logged at WARN if it is the first. Tells whether it is not.
    pub(crate) const fn see_undecodable(&mut self) -> bool {
        self.note(Self::UNDECODABLE_SEEN)
    }

    /// Something has come: the client has the token that the transport began with. Tells whether that was
    /// known.
    pub(crate) const fn confirm(&mut self) -> bool {
        self.note(Self::CONFIRMED)
    }

    /// It begins with a hello. Before that a client of `wspulse.1` may be told nothing else.
    pub(crate) const fn greet(&mut self) {
        self.0 |= Self::GREETED;
    }

    pub(crate) const fn is_greeted(self) -> bool {
        self.has(Self::GREETED)
    }

    const fn has(self, fact: u8) -> bool {
        self.0 & fact != 0
    }

    /// Tells whether it was known.
    const fn note(&mut self, fact: u8) -> bool {
        let was_known = self.has(fact);
        self.0 |= fact;
        was_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_stands_by_itself_and_is_new_once() {
        let mut facts = Facts::default();
        assert!(!facts.see_undecodable() && facts.see_undecodable());
        assert!(!facts.owes_ping() && !facts.is_greeted());
        assert!(!facts.confirm() && facts.confirm());
        facts.greet();
        facts.owe_ping();
        assert!(facts.owes_ping() && facts.take_ping() && !facts.take_ping());
        assert!(facts.is_greeted() && facts.confirm() && facts.see_undecodable());
    }
}
