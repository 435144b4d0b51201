//! Who is in a room on all servers: what this one tells the others, and what they tell.

use std::sync::Arc;

use bytes::Bytes;
use wspulse_core::cluster::{ENTRIES_MAX, ListedPerson, NodeId, PeopleChanges, Position};
use wspulse_core::{EncodedFrame, MessageKind};

use super::elsewhere::{At, Elsewhere, MarkedMeta, Next, Page, Record};
use super::known::{Known, is_told, listed};
use super::person::{Meta, Person, PersonId, PresenceSnapshot, PresenceState};
use super::{Presence, person_of};
use crate::cluster::node::now;
use crate::cluster::speaker::Uplink;
use crate::membership::Group;
use crate::membership::shared::ConnectionShared;

/// As much as a batch packs.
const SAID_BYTES_MAX: usize = 64 * 1024;

/// What is told of a room's people between servers.
pub(crate) struct Across {
    uplink: Uplink,
    elsewhere: Elsewhere,
    /// Whether those of other servers are told here: while there is a member to tell.
    is_told: bool,
}

/// The people that this server has in a room, from one of them on.
pub(crate) struct OwnPeople {
    pub(crate) at: At,
    pub(crate) is_last: bool,
    pub(crate) listed: Vec<ListedPerson>,
}

impl Across {
    pub(crate) const fn new(uplink: Uplink, elsewhere: Elsewhere) -> Self {
        Self { uplink, elsewhere, is_told: false }
    }

    /// The room is to be looked after.
    pub(super) fn attend(&self, room: &Arc<str>) {
        self.uplink.attend(now(), room);
    }

    /// Somebody comes here: its metadata are those that it has elsewhere, if they were set later.
    pub(super) fn arrive(&mut self, id: &PersonId, meta: &mut MarkedMeta) {
        self.adopt(id, meta);
        self.elsewhere.arrive(id);
    }

    /// Tells whether they are others now.
    fn adopt(&self, id: &PersonId, meta: &mut MarkedMeta) -> bool {
        self.elsewhere.of(id).is_some_and(|(_, elsewhere)| meta.merge(&elsewhere))
    }

    /// The mark of what is set now, in the place of what is known.
    pub(super) fn mark(&self, id: &PersonId, known: &MarkedMeta, meta: Option<Meta>) -> MarkedMeta {
        let mut latest = known.clone();
        self.adopt(id, &mut latest);
        let mut mark = latest.mark;
        // Whoever says more than this says nonsense, and what is set here is to count all the same.
        mark.number = mark.number.saturating_add(1);
        mark.node = self.elsewhere.own();
        MarkedMeta { mark, meta }
    }

    pub(super) fn keep_left(&mut self, room: &Arc<str>, id: PersonId, record: Record) {
        self.elsewhere.keep_left(id, record, now());
        self.attend(room);
    }

    /// Whether those of other servers are told.
    pub(super) const fn is_told(&self) -> bool {
        self.is_told
    }

    /// Whether people of other servers are told is noted; whoever is concerned if that has changed.
    pub(super) fn note_members(&mut self, are_members: bool) -> Vec<PersonId> {
        if std::mem::replace(&mut self.is_told, are_members) == are_members {
            return Vec::new();
        }
        self.elsewhere.ids()
    }

    /// A person on other servers, if that is told.
    pub(super) fn of(&self, id: &PersonId) -> Option<(bool, MarkedMeta)> {
        if self.is_told { self.elsewhere.of(id) } else { None }
    }

    /// Tells the others what has changed here. It is called under the group's lock, so that pages are
    /// of a place in the stream.
    pub(super) fn say(&self, mut people: Vec<ListedPerson>) {
        let bytes_max = self.uplink.frame_bytes_max().min(SAID_BYTES_MAX);
        while !people.is_empty() {
            let rest = people.split_off(fitting(&people, bytes_max));
            let payload = PeopleChanges(people).encode();
            let frame = EncodedFrame::from_payload(MessageKind::Binary, &payload);
            self.uplink.say(&frame, None, Bytes::new());
            people = rest;
        }
    }
}

/// How many of these go into a message: one at the least.
fn fitting(people: &[ListedPerson], bytes_max: usize) -> usize {
    let mut bytes = 0;
    let fit = people.iter().take(ENTRIES_MAX).take_while(|person| {
        bytes += person.bytes();
        bytes <= bytes_max
    });
    fit.count().max(1)
}

impl Presence {
    /// Somebody is other than before on another server.
    fn change_elsewhere(&mut self, group: &Arc<Group>, changed: Vec<PersonId>) {
        for id in changed {
            if let Some((across, known)) = self.across.as_ref().zip(self.people.get_mut(&id))
                && !known.members.is_empty()
            {
                across.adopt(&id, &mut known.meta);
            }
            self.change(group, id);
        }
    }

    fn with_elsewhere(
        &mut self,
        group: &Arc<Group>,
        act: impl FnOnce(&mut Elsewhere, &dyn Fn(&PersonId) -> bool) -> Vec<PersonId>,
    ) {
        let Self { across: Some(across), people, .. } = self else { return };
        let is_here = |id: &PersonId| people.get(id).is_some_and(Known::is_here);
        let changed = act(&mut across.elsewhere, &is_here);
        if across.elsewhere.take_needs() {
            across.uplink.attend(now(), group.name());
        }
        self.change_elsewhere(group, changed);
    }

    fn own_people(&self, after: Option<&PersonId>, bytes_max: usize) -> OwnPeople {
        let at = self.across.as_ref().map(|across| across.uplink.spoken_up_to());
        let left = self.across.iter().flat_map(|across| across.elsewhere.left());
        let own = self.people.iter().filter_map(|(id, known)| Some((id, known.own.as_ref()?)));
        let mut all: Vec<_> =
            left.chain(own).filter(|(id, _)| is_told(id) && Some(*id) > after).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all.dedup_by_key(|(id, _)| *id);
        let mut listed: Vec<_> =
            all.iter().take(ENTRIES_MAX).map(|(id, record)| listed(id, Some(record))).collect();
        listed.truncate(fitting(&listed, bytes_max));
        let is_last = listed.len() == all.len();
        OwnPeople { at: at.map_or_else(At::default, At::of), is_last, listed }
    }
}

impl At {
    /// The place that a server has spoken up to.
    pub(crate) const fn of(Position { stream, number, .. }: Position) -> Self {
        Self { stream, number }
    }
}

impl Group {
    /// Another server has told what has changed among its people.
    pub(crate) fn hear_presence(
        self: &Arc<Self>,
        origin: NodeId,
        at: At,
        changes: Vec<(PersonId, Option<Record>)>,
    ) {
        self.with_elsewhere(|elsewhere, is_here| {
            elsewhere.hear(origin, at, changes, is_here, now())
        });
    }

    /// Changes of a server are lost.
    pub(crate) fn note_presence_gap(self: &Arc<Self>, origin: NodeId) {
        self.with_elsewhere(|elsewhere, _| {
            elsewhere.note_gap(origin);
            Vec::new()
        });
    }

    /// A server is there that was not, or not for a while.
    pub(crate) fn meet_in_presence(self: &Arc<Self>, origin: NodeId, is_heard_from_start: bool) {
        self.with_elsewhere(|elsewhere, _| {
            elsewhere.meet(origin, is_heard_from_start);
            elsewhere.silence(origin, false)
        });
    }

    pub(crate) fn silence_in_presence(self: &Arc<Self>, origin: NodeId) {
        self.with_elsewhere(|elsewhere, _| elsewhere.silence(origin, true));
    }

    /// A server will tell no more.
    pub(crate) fn lose_in_presence(self: &Arc<Self>, origin: NodeId) {
        self.with_elsewhere(|elsewhere, _| elsewhere.lose(origin));
    }

    /// Tells whether a server is to be asked for its people now.
    pub(crate) fn begin_asking(&self, origin: NodeId) -> bool {
        let mut inner = self.inner.lock();
        let across = inner.presence().and_then(|presence| presence.across.as_mut());
        across.is_some_and(|across| across.elsewhere.begin_asking(origin))
    }

    /// A server does not answer.
    pub(crate) fn stop_asking(self: &Arc<Self>, origin: NodeId) {
        self.with_elsewhere(|elsewhere, _| {
            elsewhere.stop_asking(origin);
            Vec::new()
        });
    }

    /// Some of the people of another server have come, which was asked for them.
    pub(crate) fn take_page(self: &Arc<Self>, origin: NodeId, page: Page) -> Next {
        let mut next = Next::Nothing;
        self.with_elsewhere(|elsewhere, is_here| {
            let (changed, after) = elsewhere.take_page(origin, page, is_here, now());
            next = after;
            changed
        });
        next
    }

    /// Does what is due; tells how many people of others were not taken since the last time.
    pub(crate) fn look_after_presence(self: &Arc<Self>) -> Option<u64> {
        self.with_elsewhere(|elsewhere, _| elsewhere.expire(now()));
        let mut inner = self.inner.lock();
        let across = inner.presence()?.across.as_mut()?;
        if let Some(at) = across.elsewhere.next_due() {
            across.uplink.attend(at, self.name());
        }
        Some(across.elsewhere.take_refused())
    }

    /// The people that this server has there, in the order of their ids, as others are told of them;
    /// `None` if nobody keeps who is there.
    pub(crate) fn own_people(
        &self,
        after: Option<&PersonId>,
        bytes_max: usize,
    ) -> Option<OwnPeople> {
        self.inner.lock().presence().map(|presence| presence.own_people(after, bytes_max))
    }

    /// Who is there on this server, by what was told last; `None` if it is not kept.
    pub(crate) fn local_presence(&self) -> Option<PresenceSnapshot> {
        let mut inner = self.inner.lock();
        let presence = inner.presence()?;
        if presence.across.is_none() {
            return Some(presence.snapshot());
        }
        let own = presence.people.iter().filter_map(|(id, known)| {
            let Record { is_here, meta, .. } = known.own.clone()?;
            let state = if is_here { PresenceState::Here } else { PresenceState::Away };
            Some(Person::new(id.clone(), state, meta.meta))
        });
        Some(PresenceSnapshot { sequence: presence.sequence, people: own.collect() })
    }

    /// Has what is kept of other servers changed, and what follows from that told.
    fn with_elsewhere(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Elsewhere, &dyn Fn(&PersonId) -> bool) -> Vec<PersonId>,
    ) {
        if self.has_extras
            && let Some(presence) = self.inner.lock().presence()
        {
            presence.with_elsewhere(self, act);
        }
    }
}

impl Presence {
    /// A member's session has left for another server, and its person is to be shown as it was.
    pub(in crate::membership) fn leave_for_good(
        &mut self,
        group: &Arc<Group>,
        connection: &ConnectionShared,
    ) {
        self.leave(group, connection);
        let id = person_of(connection);
        let Some((across, known)) = self.across.as_mut().zip(self.people.get_mut(&id)) else {
            return;
        };
        if !known.members.is_empty() {
            return;
        }
        known.has_moved = known.own.is_some();
        // One that was here for a moment is shown as it was before that. Of one that nobody was told of
        // nothing is.
        let shown = known.own.clone().or_else(|| {
            let is_here = known.told.as_ref()?.0 == PresenceState::Here;
            Some(Record { is_here, has_moved: true, meta: known.meta.clone() })
        });
        if let Some(shown) = shown {
            across.keep_left(group.name(), id, Record { has_moved: true, ..shown });
        }
    }
}
