//! Who is where: ids, groups, and the queue of each connection.

mod addressees;
mod addressing;
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

pub(crate) use addressees::{
    Addressees, Elsewhere, push_to_all, push_to_each, push_to_last, push_to_one,
};
pub(crate) use addressing::{Addressed, Kind, OverflowInterest, Queueing, Reach, Terms};
pub(crate) use extras::Outfit;
pub(crate) use group::{Group, Pushed};
pub(crate) use memberships::{Further, HomeSlot, NotJoined};
pub(crate) use waves::RunningWaves;
