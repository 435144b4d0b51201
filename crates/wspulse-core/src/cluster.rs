//! What servers of one cluster tell each other, and what makes a lossy pipe between them reliable.
//!
//! Each server numbers what it says to each group, and keeps the last of it: the [`Outbox`]. Whoever
//! hears a hole in the numbers asks for what lies in it, from the server that said it; what that does
//! not have any more is told as a gap, exactly: the [`Inbox`]. Once a second each server tells all
//! others which of its streams have moved, since the last frame of a stream has none behind it that
//! would show its loss.
//!
//! As everything here, it decides and does nothing: messages go in and out as values, time as an
//! argument.

mod handoff;
mod ids;
mod inbox;
mod incoming;
mod message;
mod outbox;
mod request;
mod said;

pub use handoff::{
    Claim, ClaimedBy, GroupName, HeardOf, HeldId, InheritedToken, MovedGroup, MovedProof,
    MovedSession, NotGiven, SessionReply, SessionRequest, TWICE_MAX, Twice,
};
pub use ids::{GroupKey, LogPosition, NodeId, Position, SHARDS, Target};
pub use inbox::{AskId, Inbox, InboxConfig, Output, Presence, Question};
pub use incoming::{ASK_WITHIN, Missed};
pub use message::{
    Addressee, Answer, Ask, Batch, Beat, FRAMES_MAX, MessageError, Moved, NodeState,
};
pub use outbox::{Outbox, OutboxConfig};
pub use request::{
    ENTRIES_MAX, FullBuffer, Listed, ListedPerson, ListedState, MEMBERS_WITHIN_MAX, MemberReply,
    MembersOf, MetaMark, NodeReply, NodeRequest, NotQueued, PeopleChanges, PersonName, Unreplied,
};
pub use said::Said;
