//! Several groups as one audience, and the fan-out to them.

use std::sync::Arc;

use super::group::{Group, Pushed, Queueing};
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
    let pushed = locked.iter_mut().map(|(place, inner)| {
        if let Some(history) = inner.live_history() {
            history.record_all(frames);
        }
        let frame_of = |member: &ConnectionShared| frames.of(member.mailbox.codec());
        inner.push(queueing, |member| to.leaves_out(member, *place), frame_of)
    });
    Ok(pushed.collect())
}
