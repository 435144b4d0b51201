//! What one server knows of another one's people.

use wspulse_core::cluster::MetaMark;

use crate::membership::presence::person::{Meta, PersonId};

/// A person on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) is_here: bool,
    /// Its last session there has left for another server.
    pub(crate) has_moved: bool,
    pub(crate) meta: MarkedMeta,
}

/// Metadata of a person, and which of all that were ever set. The one with the greatest mark counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MarkedMeta {
    pub(crate) mark: MetaMark,
    pub(crate) meta: Option<Meta>,
}

/// A place in what a server says of a room: a later stream comes after all of those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct At {
    pub(crate) stream: u32,
    pub(crate) number: u64,
}

/// Some of a server's people, in the order of their ids: all that there are after `after`, up to the
/// last of them, or to the end.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) at: At,
    pub(crate) after: Option<PersonId>,
    pub(crate) is_last: bool,
    pub(crate) people: Vec<(PersonId, Record)>,
}

/// What is to be asked after a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The page after this person.
    After(PersonId),
    /// All of it, as changes were lost meanwhile.
    Again,
    Nothing,
}

impl MarkedMeta {
    pub(crate) const NONE: Self = Self { mark: MetaMark::NONE, meta: None };

    /// Takes the other one, if it was set later; tells whether it was.
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        let is_later = other.mark > self.mark;
        if is_later {
            self.clone_from(other);
        }
        is_later
    }
}
