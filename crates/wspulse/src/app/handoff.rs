//! Sessions that go from one server of a cluster to another, as their clients come there.

mod arriving;
mod bringing;
mod catching_up;
mod giving;
mod lacking;
mod logged;
mod overlaps;
mod shelf;

pub(crate) use bringing::Brought;
pub(crate) use overlaps::Overlaps;
pub(crate) use shelf::Shelf;
