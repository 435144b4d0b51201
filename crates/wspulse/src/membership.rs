//! Who is where: ids, groups, and the queue of each connection.

mod addressees;
mod extras;
pub(crate) mod folding;
mod followers;
mod group;
mod history;
pub(crate) mod log;
pub(crate) mod mailbox;
mod memberships;
pub(crate) mod ping_groups;
pub(crate) mod presence;
mod present;
pub(crate) mod registry;
pub(crate) mod shared;
mod showing;
pub(crate) mod tap;
pub(crate) mod turn_writes;
pub(crate) mod turns;
mod waves;
pub(crate) mod writing;

pub(crate) use addressees::{Addressees, push_to_all};
pub(crate) use extras::Outfit;
pub(crate) use group::{
    Addressed, Group, Kind, OverflowInterest, Pushed, Queueing, Terms, push_to_each,
};
pub(crate) use memberships::{Further, HomeSlot, NotJoined};
pub(crate) use waves::RunningWaves;
