//! Whom a broadcast is for, and how it is queued.

use std::sync::Arc;

use wspulse_core::Overflow;

use crate::cluster::speaker::NameSpace;
use crate::ground::queued_bytes::QueuedBytes;
use crate::membership::shared::ConnectionShared;

/// What a group's members have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They are in one room.
    Room,
    /// They are one user's.
    User,
}

/// How a broadcast is queued.
#[derive(Clone, Copy)]
pub(crate) struct Queueing<'a> {
    pub(crate) overflow: OverflowInterest,
    pub(crate) terms: Terms,
    pub(crate) queued_bytes: Option<&'a QueuedBytes>,
}

/// Whom a broadcast to one group is for, and how it is queued.
#[derive(Clone, Copy)]
pub(crate) struct Addressed<'a> {
    /// The one who does not get it.
    pub(crate) excluded: Option<&'a Arc<ConnectionShared>>,
    pub(crate) queueing: Queueing<'a>,
    pub(crate) reach: Reach,
    /// Whether a group without members says it to those elsewhere: it may have ended, and another one of
    /// its name may have begun.
    pub(crate) says_if_empty: bool,
}

/// How far a broadcast goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To the members on all servers of the cluster, if there is one.
    Cluster,
    /// To the members on this server.
    Here,
}

/// Whether anybody wants to know who dropped a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverflowInterest {
    Listed,
    Ignored,
}

/// On which terms a frame is queued.
#[derive(Clone, Copy)]
pub(crate) enum Terms {
    /// Those of nearly all broadcasts.
    Plain,
    /// It is marked, or its sender or the server has said what a full buffer makes of it.
    Marked(Option<Overflow>),
}

/// What a member leaves.
#[derive(Clone, Copy)]
pub(super) enum Leaving {
    Room,
    /// Its session goes on at another server.
    Server,
}

impl Kind {
    pub(crate) const fn space(self) -> NameSpace {
        match self {
            Self::Room => NameSpace::Rooms,
            Self::User => NameSpace::Users,
        }
    }

    /// `None` where nobody is a member.
    pub(crate) const fn of(space: NameSpace) -> Option<Self> {
        match space {
            NameSpace::Rooms => Some(Self::Room),
            NameSpace::Users => Some(Self::User),
            NameSpace::Presence => None,
        }
    }
}

impl Terms {
    /// What its sender, or the server, makes of a full buffer.
    pub(crate) const fn overflow(self) -> Option<Overflow> {
        match self {
            Self::Plain => None,
            Self::Marked(overflow) => overflow,
        }
    }
}

pub(super) fn is_same(
    excluded: Option<&Arc<ConnectionShared>>,
    member: &Arc<ConnectionShared>,
) -> bool {
    excluded.is_some_and(|excluded| Arc::ptr_eq(excluded, member))
}
