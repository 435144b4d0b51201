//! Who is in a room, and what of that has been told.

pub(crate) mod across;
pub(crate) mod elsewhere;
pub(crate) mod known;
pub(crate) mod person;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem;
use std::ptr;
use std::sync::Arc;

use wspulse_core::cluster::MetaMark;

use super::addressing::Queueing;
use super::folding::Folding;
use super::group::{Group, Inner, Pushed};
use crate::membership::shared::ConnectionShared;
use crate::settings::codecs::CodecSet;
use crate::settings::representations::Representations;
use crate::settings::room_options::PresenceTold;
use across::Across;
use elsewhere::MarkedMeta;
use known::Known;
use person::{Meta, Person, PersonId, PresenceChanges, PresenceSnapshot, PresenceState};

/// It changes under the group's lock. Who is here is asked of the members' mailboxes when it is
/// folded, and kept nowhere else: what is kept is what was told.
pub(crate) struct Presence {
    told_to: PresenceTold,
    folding: Arc<Folding>,
    sequence: u64,
    people: BTreeMap<PersonId, Known>,
    /// Of whom there may be something new.
    changed: BTreeSet<PersonId>,
    /// Members who are to get a snapshot instead of the next changes.
    newcomers: Vec<Arc<ConnectionShared>>,
    /// The room is among those that will be folded.
    is_due: bool,
    /// The other servers, if there are any.
    across: Option<Box<Across>>,
}

/// What is new about a member's transport.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    Suspended,
    /// What was on its way to it may be lost.
    Resumed,
}

/// What is to be told of a room.
pub(crate) struct Folded {
    pub(crate) changes: Option<PresenceChanges>,
    /// For the newcomers.
    pub(crate) snapshot: Option<PresenceSnapshot>,
    newcomers: Vec<Arc<ConnectionShared>>,
    pub(crate) told_to: PresenceTold,
}

/// How many people a room was told of.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) here: usize,
    pub(crate) away: usize,
}

/// What the members are told, as frames.
pub(crate) struct Telling<'a> {
    pub(crate) folded: &'a Folded,
    pub(crate) changes: Option<Representations<'a>>,
    pub(crate) snapshot: Option<Representations<'a>>,
}

/// In which codecs a telling still has to be made.
pub(crate) struct Lacking {
    pub(crate) changes: CodecSet,
    pub(crate) snapshot: CodecSet,
}

/// Why a person has no metadata now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSet {
    NoPresence,
    NoMember,
}

impl Folded {
    pub(crate) fn newcomers(&self) -> usize {
        self.newcomers.len()
    }
}

impl Presence {
    pub(crate) fn new(
        told_to: PresenceTold,
        folding: Arc<Folding>,
        across: Option<Box<Across>>,
    ) -> Self {
        Self {
            told_to,
            folding,
            sequence: 0,
            people: BTreeMap::new(),
            changed: BTreeSet::new(),
            newcomers: Vec::new(),
            is_due: false,
            across,
        }
    }

    pub(super) fn join(&mut self, group: &Arc<Group>, connection: &Arc<ConnectionShared>) {
        let id = person_of(connection);
        let known = self.people.entry(id.clone()).or_default();
        known.members.push(Arc::clone(connection));
        known.has_moved = false;
        if let Some(across) = &mut self.across {
            across.arrive(&id, &mut known.meta);
            if !across.is_told() {
                across.attend(group.name());
            }
        }
        // It is none yet: whoever leaves is taken out.
        if self.told_to.tells_members() {
            self.newcomers.push(Arc::clone(connection));
        }
        self.change(group, id);
    }

    pub(super) fn leave(&mut self, group: &Arc<Group>, connection: &ConnectionShared) {
        let id = person_of(connection);
        if let Some(known) = self.people.get_mut(&id) {
            known.members.retain(|member| !is_same(member, connection));
        }
        self.newcomers.retain(|member| !is_same(member, connection));
        self.change(group, id);
    }

    fn note(&mut self, group: &Arc<Group>, connection: &Arc<ConnectionShared>, noted: Noted) {
        if !self.has_member(connection) {
            return;
        }
        if noted == Noted::Resumed {
            self.greet(connection);
        }
        self.change(group, person_of(connection));
    }

    fn set_meta(
        &mut self,
        group: &Arc<Group>,
        connection: &ConnectionShared,
        meta: Option<Meta>,
    ) -> Result<(), NotSet> {
        if !self.has_member(connection) {
            return Err(NotSet::NoMember);
        }
        let id = person_of(connection);
        if let Some(known) = self.people.get_mut(&id) {
            known.meta = match &self.across {
                Some(across) => across.mark(&id, &known.meta, meta),
                None => MarkedMeta { mark: MetaMark::NONE, meta },
            };
        }
        self.change(group, id);
        Ok(())
    }

    fn has_member(&self, connection: &ConnectionShared) -> bool {
        let known = self.people.get(&person_of(connection));
        known.is_some_and(|known| known.members.iter().any(|it| is_same(it, connection)))
    }

    fn greet(&mut self, connection: &Arc<ConnectionShared>) {
        let is_wanted = self.told_to.tells_members();
        if is_wanted && !self.newcomers.iter().any(|member| is_same(member, connection)) {
            self.newcomers.push(Arc::clone(connection));
        }
    }

    fn change(&mut self, group: &Arc<Group>, id: PersonId) {
        self.changed.insert(id);
        if !mem::replace(&mut self.is_due, true) {
            self.folding.add(Arc::clone(group));
        }
    }

    /// What was told, and is true until the next changes.
    fn snapshot(&self) -> PresenceSnapshot {
        let people = self.people.iter().filter_map(|(id, known)| {
            let (state, meta) = known.told.clone()?;
            Some(Person::new(id.clone(), state, meta))
        });
        PresenceSnapshot { sequence: self.sequence, people: people.collect() }
    }

    /// Those of this server alone, as others count theirs.
    fn count(&self) -> People {
        let mut count = People::default();
        for known in self.people.values() {
            let is_here = match (&self.across, &known.own, &known.told) {
                (Some(_), Some(own), _) => own.is_here,
                (None, _, Some((state, _))) => *state == PresenceState::Here,
                (Some(_), None, _) | (None, _, None) => continue,
            };
            *(if is_here { &mut count.here } else { &mut count.away }) += 1;
        }
        count
    }

    fn fold(&mut self, has_members: bool) -> Folded {
        self.is_due = false;
        if let Some(across) = &mut self.across {
            self.changed.extend(across.note_members(has_members));
        }
        let (mut people, mut said) = (Vec::new(), Vec::new());
        for id in mem::take(&mut self.changed) {
            let known = self.people.entry(id.clone()).or_default();
            let mut now = known.state().map(|state| (state, known.meta.meta.clone()));
            if let Some(across) = &self.across {
                said.extend(known.take_news(&id));
                now = known.merged(across.of(&id));
            }
            if now != known.told {
                let (state, meta) = now.clone().unwrap_or((PresenceState::Gone, None));
                people.push(Person::new(id.clone(), state, meta));
                known.told = now;
            }
            if known.members.is_empty() && known.told.is_none() {
                self.people.remove(&id);
            }
        }
        if let Some(across) = &self.across {
            across.say(said);
        }
        self.sequence += u64::from(!people.is_empty());
        let sequence = self.sequence;
        let changes = (!people.is_empty()).then_some(PresenceChanges { sequence, people });
        let newcomers = mem::take(&mut self.newcomers);
        let snapshot = (!newcomers.is_empty()).then(|| self.snapshot());
        Folded { changes, snapshot, newcomers, told_to: self.told_to }
    }
}

impl Group {
    /// A member's transport is gone, or has come.
    fn note_presence(self: &Arc<Self>, connection: &Arc<ConnectionShared>, noted: Noted) {
        if let Some(presence) = self.inner.lock().presence() {
            presence.note(self, connection, noted);
        }
    }

    /// Attaches metadata to the person that a member is.
    pub(crate) fn set_presence(
        self: &Arc<Self>,
        connection: &ConnectionShared,
        meta: Option<Meta>,
    ) -> Result<(), NotSet> {
        let mut inner = self.inner.lock();
        inner.presence().ok_or(NotSet::NoPresence)?.set_meta(self, connection, meta)
    }

    /// Has a member get a snapshot when the room is folded next, which will be soon.
    pub(crate) fn resend_presence(
        self: &Arc<Self>,
        connection: &Arc<ConnectionShared>,
    ) -> Result<(), NotSet> {
        let mut inner = self.inner.lock();
        let presence = inner.presence().ok_or(NotSet::NoPresence)?;
        if !presence.has_member(connection) {
            return Err(NotSet::NoMember);
        }
        presence.note(self, connection, Noted::Resumed);
        Ok(())
    }

    /// Who is there, by what was told last; `None` if it is not kept.
    pub(crate) fn presence(&self) -> Option<PresenceSnapshot> {
        self.inner.lock().presence().map(|presence| presence.snapshot())
    }

    /// How many people were told to be where.
    pub(crate) fn people(&self) -> People {
        if !self.has_extras {
            return People::default();
        }
        self.inner.lock().presence().map(|presence| presence.count()).unwrap_or_default()
    }

    /// Takes what is new since the last time.
    pub(crate) fn fold_presence(&self) -> Option<Folded> {
        let mut inner = self.inner.lock();
        let has_members = !inner.list.is_empty();
        inner.presence().map(|presence| presence.fold(has_members))
    }

    /// Gives newcomers the snapshot and all others the changes, if both were made, or given up, in all
    /// codecs that are needed; else says which are missing, and nobody gets anything. Who has come since is told
    /// the next time.
    pub(crate) fn tell_presence(
        &self,
        telling: &Telling<'_>,
        queueing: Queueing<'_>,
    ) -> Result<Pushed, Lacking> {
        let inner = &mut *self.inner.lock();
        let waiting = addresses(inner.presence().map_or(&[], |presence| &presence.newcomers));
        let greeted = addresses(&telling.folded.newcomers);
        let mut lacking = Lacking { changes: CodecSet::NONE, snapshot: CodecSet::NONE };
        for member in &inner.list {
            let (address, codec) = (Arc::as_ptr(member).addr(), member.mailbox.codec());
            if waiting.contains(&address) {
                continue;
            }
            if greeted.contains(&address) {
                lacking.snapshot = lacking.snapshot.with(codec);
            } else {
                lacking.changes = lacking.changes.with(codec);
            }
        }
        lacking.changes = without_settled(lacking.changes, telling.changes.as_ref());
        lacking.snapshot = without_settled(lacking.snapshot, telling.snapshot.as_ref());
        if !lacking.changes.is_empty() || !lacking.snapshot.is_empty() {
            return Err(lacking);
        }
        let is_left_out =
            |member: &Arc<ConnectionShared>| waiting.contains(&Arc::as_ptr(member).addr());
        let frame_of = |member: &ConnectionShared| {
            let is_greeted = greeted.contains(&ptr::from_ref(member).addr());
            let frames = if is_greeted { &telling.snapshot } else { &telling.changes };
            frames.as_ref()?.of(member.mailbox.codec())
        };
        Ok(inner.push(queueing, is_left_out, frame_of))
    }
}

impl Inner {
    pub(super) fn presence(&mut self) -> Option<&mut Presence> {
        self.extras.as_mut()?.presence.as_mut()
    }
}

impl ConnectionShared {
    /// Its transport is gone, or has come: the rooms that keep who is there are to hear of it.
    pub(crate) fn note_presence(self: &Arc<Self>, noted: Noted) {
        if self.server.options().rooms.rule.is_none() {
            return;
        }
        for room in self.rooms() {
            room.note_presence(self, noted);
        }
        self.server.fold_presence();
    }
}

/// Who a connection is in its rooms.
pub(crate) fn person_of(connection: &ConnectionShared) -> PersonId {
    match &connection.user {
        Some(user) => PersonId::User(Arc::clone(user.name())),
        None => PersonId::Connection(Arc::clone(&connection.id)),
    }
}

fn is_same(member: &Arc<ConnectionShared>, connection: &ConnectionShared) -> bool {
    ptr::eq(Arc::as_ptr(member), connection)
}

/// For look-ups alone: their order differs from run to run.
fn addresses(members: &[Arc<ConnectionShared>]) -> HashSet<usize> {
    members.iter().map(|member| Arc::as_ptr(member).addr()).collect()
}

/// What is not to be told is missing in no codec.
fn without_settled(needed: CodecSet, frames: Option<&Representations<'_>>) -> CodecSet {
    frames.map_or(CodecSet::NONE, |frames| needed.without(frames.settled()))
}
