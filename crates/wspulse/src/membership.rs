//! Who is where: ids, groups, and the queue of each connection.

mod group;
pub(crate) mod mailbox;
mod memberships;
mod present;
pub(crate) mod registry;
pub(crate) mod shared;
pub(crate) mod turns;
mod waves;

pub(crate) use group::{
    Addressed, Addressees, Group, Kind, OverflowInterest, Pushed, Queueing, Terms, push_to_all,
    push_to_each,
};
pub(crate) use memberships::{Further, HomeSlot, NotJoined};
pub(crate) use waves::RunningWaves;
