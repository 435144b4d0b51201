//! What is known of a person on this server, and what others are told of it.

use std::sync::Arc;

use wspulse_core::cluster::{ListedPerson, ListedState, PersonName};

use super::elsewhere::{MarkedMeta, Record};
use super::person::{Meta, PersonId, PresenceState};
use crate::membership::shared::{ConnectionShared, ConnectionState};

/// The longest id of a person that other servers are told of: no client's request has one as long.
pub(crate) const ID_BYTES_MAX: usize = 4096;

pub(super) struct Known {
    /// Its connections in this room.
    pub(super) members: Vec<Arc<ConnectionShared>>,
    pub(super) meta: MarkedMeta,
    pub(super) told: Option<(PresenceState, Option<Meta>)>,
    /// What other servers were told.
    pub(super) own: Option<Record>,
    /// Its last session has left for another server since.
    pub(super) has_moved: bool,
}

impl Default for Known {
    fn default() -> Self {
        let (members, meta) = (Vec::new(), MarkedMeta::NONE);
        Self { members, meta, told: None, own: None, has_moved: false }
    }
}

impl Known {
    pub(super) fn is_here(&self) -> bool {
        self.state() == Some(PresenceState::Here)
    }

    /// How it is on this server.
    pub(super) fn state(&self) -> Option<PresenceState> {
        let states = || self.members.iter().map(|member| member.mailbox.state());
        if states().any(|state| state == ConnectionState::Connected) {
            return Some(PresenceState::Here);
        }
        // Who has ended is about to leave.
        states().any(|state| state == ConnectionState::Suspended).then_some(PresenceState::Away)
    }

    /// What others are to be told of it, if that is new.
    pub(super) fn take_news(&mut self, id: &PersonId) -> Option<ListedPerson> {
        let now = self.state().map(|state| Record {
            is_here: state == PresenceState::Here,
            has_moved: false,
            meta: self.meta.clone(),
        });
        if now.is_none() {
            self.meta = MarkedMeta::NONE;
        }
        if now == self.own {
            return None;
        }
        let before = std::mem::replace(&mut self.own, now);
        let left = before.filter(|_| self.own.is_none() && std::mem::take(&mut self.has_moved));
        let left = left.map(|before| Record { has_moved: true, ..before });
        is_told(id).then(|| listed(id, self.own.as_ref().or(left.as_ref())))
    }

    /// How it is on all servers.
    pub(super) fn merged(
        &self,
        elsewhere: Option<(bool, MarkedMeta)>,
    ) -> Option<(PresenceState, Option<Meta>)> {
        let here = self.state();
        let (is_here_elsewhere, mut meta) = match (here, elsewhere) {
            (None, None) => return None,
            (Some(_), None) => (false, self.meta.clone()),
            (_, Some(elsewhere)) => elsewhere,
        };
        if here.is_some() {
            meta.merge(&self.meta);
        }
        let is_here = is_here_elsewhere || here == Some(PresenceState::Here);
        let state = if is_here { PresenceState::Here } else { PresenceState::Away };
        Some((state, meta.meta))
    }
}

pub(super) fn is_told(id: &PersonId) -> bool {
    id.as_str().len() <= ID_BYTES_MAX
}

/// A person's id as servers tell it to each other.
pub(crate) fn name_of(id: &PersonId) -> PersonName {
    let is_user = match id {
        PersonId::User(_) => true,
        PersonId::Connection(_) => false,
    };
    PersonName { is_user, id: id.as_str().into() }
}

pub(crate) fn id_of(PersonName { is_user, id }: &PersonName) -> PersonId {
    let id: Arc<str> = (&**id).into();
    if *is_user { PersonId::User(id) } else { PersonId::Connection(id) }
}

/// A person as others are told of it; gone without a record.
pub(super) fn listed(id: &PersonId, record: Option<&Record>) -> ListedPerson {
    let name = name_of(id);
    let Some(Record { is_here, has_moved, meta }) = record else {
        let (state, meta_mark) = (ListedState::Gone, MarkedMeta::NONE.mark);
        return ListedPerson { name, state, meta_mark, meta: None };
    };
    let state = match (has_moved, is_here) {
        (true, was_here) => ListedState::Moved { was_here: *was_here },
        (false, true) => ListedState::Here,
        (false, false) => ListedState::Away,
    };
    let meta_text = meta.meta.as_ref().map(|meta| meta.as_str().into());
    ListedPerson { name, state, meta_mark: meta.mark, meta: meta_text }
}
