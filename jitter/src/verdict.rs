//! What is promised to whom, and whether it was kept.

use crate::ledger::Account;
use crate::link::plan::Way;
use crate::server::Level;

/// What must be true of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It is shown, not judged.
    None,
    /// Nothing is out of order; what is lost is shown.
    Order,
    /// Nothing is lost either.
    AtLeastOnce,
    /// Nothing comes twice either.
    ExactlyOnce,
}

impl Promise {
    /// What a level promises to a client.
    pub(crate) const fn of(level: Level, speaks_protocol: bool, way: Way) -> Self {
        match (level, speaks_protocol, way) {
            (Level::ExactlyOnce, true, Way::Down | Way::Up) => Self::ExactlyOnce,
            (Level::AtLeastOnce, _, Way::Down) | (Level::ExactlyOnce, false, Way::Down) => {
                Self::AtLeastOnce
            }
            (Level::AtMostOnce | Level::AtLeastOnce, _, Way::Up | Way::Down)
            | (Level::ExactlyOnce, false, Way::Up) => Self::Order,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "shown only",
            Self::Order => "in order",
            Self::AtLeastOnce => "none lost, in order",
            Self::ExactlyOnce => "none lost, none twice, in order",
        }
    }

    /// Whether an account is final, as nothing that is promised is missing.
    pub(crate) const fn is_complete(self, account: &Account) -> bool {
        match self {
            Self::None | Self::Order => true,
            Self::AtLeastOnce | Self::ExactlyOnce => account.lost == 0,
        }
    }

    /// What was broken, if anything was.
    pub(crate) fn check(self, account: &Account) -> Vec<String> {
        let Account { lost, twice, disorder, .. } = account;
        let (order, lossless, once) = match self {
            Self::None => (false, false, false),
            Self::Order => (true, false, false),
            Self::AtLeastOnce => (true, true, false),
            Self::ExactlyOnce => (true, true, true),
        };
        let rules =
            [(order, disorder, "out of order"), (lossless, lost, "lost"), (once, twice, "twice")];
        let broken = rules.into_iter().filter(|(holds, count, _)| *holds && **count > 0);
        broken.map(|(_, count, what)| format!("{count} {what}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_promise_is_held_to_what_it_says() {
        let account = Account { lost: 1, twice: 2, ..Account::default() };
        assert!(Promise::None.check(&account).is_empty());
        assert!(Promise::Order.check(&account).is_empty());
        assert_eq!(Promise::AtLeastOnce.check(&account), ["1 lost"]);
        assert_eq!(Promise::ExactlyOnce.check(&account), ["1 lost", "2 twice"]);
        let account = Account { disorder: 1, ..Account::default() };
        assert_eq!(Promise::Order.check(&account), ["1 out of order"]);
    }
}
