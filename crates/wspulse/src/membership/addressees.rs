//! Several groups as one audience, and the fan-out to them.

use std::sync::Arc;

use wspulse_core::EncodedFrame;
use wspulse_core::cluster::Target;

use super::addressing::{Queueing, Terms};
use super::group::{Group, Pushed};
use crate::cluster::beside::Beside;
use crate::cluster::speaker::Speaker;
use crate::membership::mailbox::{HasEnded, Notice, Offered};
use crate::membership::shared::ConnectionShared;
use crate::settings::codecs::{CodecId, CodecSet};
use crate::settings::representations::Representations;

/// The groups and connections of an audience, found.
pub(crate) struct Addressees {
    /// In the order in which they were named, each once.
    pub(crate) groups: Vec<Arc<Group>>,
    /// The room that it is, if it is one alone.
    pub(crate) room: Option<Arc<str>>,
    pub(crate) excluded: Vec<Arc<Group>>,
    pub(crate) excluded_connections: Vec<Arc<ConnectionShared>>,
    /// On other servers, if there are any.
    pub(crate) elsewhere: Option<Elsewhere>,
}

/// The same audience as other servers know it, whoever is in its groups here.
pub(crate) struct Elsewhere {
    pub(crate) speaker: Arc<Speaker>,
    /// In the order in which they were named, each once.
    pub(crate) included: Vec<Target>,
    pub(crate) excluded: Vec<Target>,
}

impl Elsewhere {
    fn say(&self, frame: &EncodedFrame, queueing: Queueing<'_>) {
        for (place, target) in self.included.iter().enumerate() {
            let beside = self.beside(place).encode();
            self.speaker.say(*target, frame, queueing.terms.overflow(), beside);
        }
    }

    /// What the group at this place hears beside a frame.
    fn beside(&self, place: usize) -> Beside {
        Beside { before: self.included[..place].to_vec(), excluded: self.excluded.clone() }
    }

    /// How many bytes are said beside a frame, at the most.
    pub(crate) fn bytes(&self) -> usize {
        self.beside(self.included.len().saturating_sub(1)).bytes()
    }
}

impl Addressees {
    /// Whether a member of the group at this place does not get the frame there: it is excluded, or
    /// has it as a member of a group before. The locks of all groups are held.
    pub(crate) fn leaves_out(&self, member: &Arc<ConnectionShared>, place: usize) -> bool {
        let is_in = |groups: &[Arc<Group>]| groups.iter().any(|group| member.is_in(group));
        self.excluded_connections.iter().any(|excluded| Arc::ptr_eq(excluded, member))
            || is_in(&self.excluded)
            || is_in(&self.groups[..place])
    }
}

/// Gives a frame to all groups of an audience in one moment, so that it has one place among the
/// broadcasts of each. As with one group, nobody gets anything if a codec is missing.
pub(crate) fn push_to_all(
    to: &Addressees,
    frames: &Representations<'_>,
    queueing: Queueing<'_>,
) -> Result<Vec<Pushed>, CodecSet> {
    let mut by_address: Vec<usize> = (0..to.groups.len()).collect();
    // One order for all, or two audiences would wait for each other.
    by_address.sort_by_key(|place| Arc::as_ptr(&to.groups[*place]).addr());
    let mut locked: Vec<_> =
        by_address.into_iter().map(|place| (place, to.groups[place].inner.lock())).collect();
    locked.sort_by_key(|(place, _)| *place);
    let mut needed = CodecSet::NONE;
    for (place, inner) in &locked {
        needed = needed.union(inner.expected());
        let addressed = inner.list.iter().filter(|member| !to.leaves_out(member, *place));
        needed = addressed.fold(needed, |needed, member| needed.with(member.mailbox.codec()));
    }
    if to.elsewhere.is_some() {
        needed = needed.with(CodecId::DEFAULT);
    }
    // With one codec a history keeps the encoding alone, also of what nobody there gets.
    if needed.is_empty()
        && frames.source().is_none()
        && locked.iter_mut().any(|(_, inner)| inner.live_history().is_some())
    {
        needed = needed.with(CodecId::DEFAULT);
    }
    let missing = needed.without(frames.made());
    if !missing.is_empty() {
        return Err(missing);
    }
    if let Some((elsewhere, frame)) = to.elsewhere.as_ref().zip(frames.of(CodecId::DEFAULT)) {
        elsewhere.say(frame, queueing);
    }
    let pushed = locked.iter_mut().map(|(place, inner)| {
        if let Some(history) = inner.live_history() {
            history.record_all(frames);
        }
        let frame_of = |member: &ConnectionShared| frames.of(member.mailbox.codec());
        inner.push(queueing, |member| to.leaves_out(member, *place), frame_of)
    });
    Ok(pushed.collect())
}

/// Gives a frame that another server has said to one of an audience's groups, the last, to those of its
/// members who do not have it from one before.
pub(crate) fn push_to_last(
    to: &Addressees,
    frames: &Representations<'_>,
    queueing: Queueing<'_>,
) -> Result<Pushed, CodecSet> {
    let Some((place, group)) = to.groups.iter().enumerate().next_back() else {
        return Ok(Pushed::default());
    };
    let inner = &mut *group.inner.lock();
    let addressed = inner.list.iter().filter(|member| !to.leaves_out(member, place));
    let needed =
        addressed.fold(inner.expected(), |needed, member| needed.with(member.mailbox.codec()));
    let missing = needed.without(frames.made());
    if !missing.is_empty() {
        return Err(missing);
    }
    if let Some(history) = inner.live_history() {
        history.record_all(frames);
    }
    let frame_of = |member: &ConnectionShared| frames.of(member.mailbox.codec());
    Ok(inner.push(queueing, |member| to.leaves_out(member, place), frame_of))
}

/// Gives a frame to each of these, who hold nothing together but that. As with a group, nobody gets
/// anything if a codec is missing.
pub(crate) fn push_to_each(
    all: &[Arc<ConnectionShared>],
    frames: &Representations<'_>,
    queueing: Queueing<'_>,
) -> Result<Pushed, CodecSet> {
    let codecs = all.iter().map(|connection| connection.mailbox.codec());
    let missing = codecs.fold(CodecSet::NONE, CodecSet::with).without(frames.made());
    if !missing.is_empty() {
        return Err(missing);
    }
    let mut pushed = Pushed::default();
    for connection in all {
        let Some(frame) = frames.of(connection.mailbox.codec()) else { continue };
        if let Ok(offered) = push_to_one(connection, frame.clone(), queueing) {
            pushed.count(connection, offered, queueing.overflow);
        }
    }
    Ok(pushed)
}

/// Queues a frame that is in its codec for one connection.
pub(crate) fn push_to_one(
    connection: &ConnectionShared,
    frame: EncodedFrame,
    queueing: Queueing<'_>,
) -> Result<Offered, HasEnded> {
    let Queueing { terms, queued_bytes, overflow: _ } = queueing;
    match terms {
        Terms::Plain => connection.mailbox.broadcast(frame, Notice::Now, queued_bytes),
        Terms::Marked(policy) => {
            connection.mailbox.broadcast_marked(frame, policy, Notice::Now, queued_bytes)
        }
    }
}
