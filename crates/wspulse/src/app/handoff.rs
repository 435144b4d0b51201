//! Sessions that go from one server of a cluster to another, as their clients come there, or as their
//! server ends.

mod arrived;
mod arriving;
mod bringing;
mod catching_up;
mod claiming;
mod coming;
mod giving;
mod handing_over;
mod inheriting;
mod lacking;
mod last_words;
mod logged;
mod overlaps;
mod releasing;
mod searching;
mod shelf;
mod twice;
mod unasked;

pub(crate) use bringing::Brought;
#[cfg(all(test, shuttle))]
pub(crate) use bringing::Wanted;
pub(crate) use claiming::Prepared;
pub(crate) use coming::Coming;
pub(crate) use overlaps::Overlaps;
pub(crate) use shelf::Shelf;
pub(crate) use unasked::Unasked;
