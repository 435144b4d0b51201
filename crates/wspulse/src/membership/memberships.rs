//! Which groups a connection is in.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wspulse_core::{DisconnectReason, SessionEvent};

use super::addressing::Kind;
use super::group::Group;
use crate::ground::sync::AtomicU32;
use crate::membership::mailbox::{End, HasEnded};
use crate::membership::shared::ConnectionShared;
use crate::membership::shared::ConnectionState;
use crate::observe::meter::LifecycleEvent;

/// A connection's memberships beside that in its first home room, in its mailbox. They change under
/// the lock of their group and then under that of the mailbox, where its end is decided: who has
/// ended joins nothing. Boxed, since most connections have none: a list by itself takes 24 bytes.
#[expect(clippy::box_collection, reason = "16 bytes less for each connection without any")]
#[derive(Default)]
pub(crate) struct Further(Option<Box<Vec<Membership>>>);

/// A connection's place in its first home room, while it is a member of that. It changes as they do.
/// That room may end without it and begin anew: another one, which is among the others.
pub(crate) struct HomeSlot(AtomicU32);

struct Membership {
    group: Arc<Group>,
    slot: Slot,
}

/// A place in a group's list, counted from 1.
type Slot = NonZeroU32;

/// Why a connection does not become a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotJoined {
    IsMember,
    HasEnded,
    /// It is in so many rooms already.
    TooManyRooms {
        rooms_max: usize,
    },
}

/// A group whose places cannot be counted so has more members than IPv4 has addresses.
fn slot(place: usize) -> Slot {
    let place = u32::try_from(place).unwrap_or(u32::MAX - 1);
    Slot::MIN.saturating_add(place)
}

const fn place(slot: Slot) -> usize {
    slot.get() as usize - 1
}

impl HomeSlot {
    pub(crate) const fn none() -> Self {
        Self(AtomicU32::new(0))
    }

    fn get(&self) -> Option<Slot> {
        Slot::new(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, slot: Option<Slot>) {
        self.0.store(slot.map_or(0, Slot::get), Ordering::Relaxed);
    }
}

impl Further {
    fn iter(&self) -> impl DoubleEndedIterator<Item = &Membership> {
        self.0.iter().flat_map(|memberships| memberships.iter())
    }

    fn rooms(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.iter().map(|it| &it.group).filter(|group| group.kind() == Kind::Room)
    }

    fn find_mut(&mut self, group: &Arc<Group>) -> Option<&mut Membership> {
        self.0.as_mut()?.iter_mut().find(|it| Arc::ptr_eq(&it.group, group))
    }

    fn add(&mut self, group: &Arc<Group>, slot: Slot) {
        let memberships = self.0.get_or_insert_default();
        // Doubling would hold twice of what most connections need.
        if memberships.len() == memberships.capacity() {
            memberships.reserve_exact(1 + memberships.len() / 2);
        }
        memberships.push(Membership { group: Arc::clone(group), slot });
    }

    fn remove(&mut self, group: &Arc<Group>) {
        let Some(memberships) = &mut self.0 else { return };
        if let Some(place) = memberships.iter().position(|it| Arc::ptr_eq(&it.group, group)) {
            memberships.swap_remove(place);
        }
        if memberships.is_empty() {
            self.0 = None;
        }
    }
}

impl ConnectionShared {
    /// Notes that it is at this place of a group's list.
    pub(super) fn enter(&self, group: &Arc<Group>, place: usize) -> Result<(), NotJoined> {
        self.mailbox.change_memberships(|state, further| {
            let entered = self.enter_of(group, place, state, further);
            let event = self.told_of(group, SessionEvent::Joined).filter(|_| entered.is_ok());
            (entered, event)
        })
    }

    fn enter_of(
        &self,
        group: &Arc<Group>,
        place: usize,
        state: ConnectionState,
        further: &mut Further,
    ) -> Result<(), NotJoined> {
        if state == ConnectionState::Closed {
            return Err(NotJoined::HasEnded);
        }
        if self.is_in_first_home(group) || further.find_mut(group).is_some() {
            return Err(NotJoined::IsMember);
        }
        let rooms_max = self.server.options().rooms_max;
        let rooms = usize::from(self.home_slot.get().is_some()) + further.rooms().count();
        if group.kind() == Kind::Room && rooms >= rooms_max {
            return Err(NotJoined::TooManyRooms { rooms_max });
        }
        if self.is_first_home(group) {
            self.home_slot.set(Some(slot(place)));
        } else {
            further.add(group, slot(place));
        }
        Ok(())
    }

    /// What the application is told, if it wants to hear of rooms and this is one.
    fn told_of(
        &self,
        group: &Group,
        event: impl Fn(Arc<str>) -> SessionEvent,
    ) -> Option<SessionEvent> {
        let is_told = group.kind() == Kind::Room && self.server.callbacks().hear_of_rooms();
        is_told.then(|| event(Arc::clone(group.name())))
    }

    /// Ends it, unless it has ended already. It is in its groups until it is taken out of them.
    pub(crate) fn end(&self, end: End) -> Result<(), HasEnded> {
        let reason = end.disconnect.reason();
        self.mailbox.end(end, |before, further| self.tell_end(before, reason, further)).map(drop)
    }

    /// As [`end`](Self::end), if it has expired and was not renewed.
    pub(crate) fn end_expired(&self, end: End) -> Result<(), HasEnded> {
        let reason = end.disconnect.reason();
        let told = |before, further: &_| self.tell_end(before, reason, further);
        self.mailbox.end_expired(end, told).map(drop).ok_or(HasEnded)
    }

    /// Notes for the hooks that it has ended, before anybody may find its rooms without it, and says
    /// what the application is told.
    fn tell_end(
        &self,
        before: ConnectionState,
        reason: DisconnectReason,
        further: &Further,
    ) -> Vec<SessionEvent> {
        self.server.metrics().note(|| LifecycleEvent::Closed {
            room: self.room_name(),
            id: Arc::clone(&self.id),
            duration: self.age(),
            reason,
            was_suspended: before == ConnectionState::Suspended,
        });
        let rooms = self.rooms_beside_home(further).chain(self.home_in(further));
        rooms.filter_map(|room| self.told_of(room, SessionEvent::Left)).collect()
    }

    /// Notes that its place in a group's list is another one.
    pub(super) fn move_to(&self, group: &Arc<Group>, place: usize) {
        self.mailbox.memberships(|_, further| {
            if self.is_first_home(group) {
                self.home_slot.set(Some(slot(place)));
            } else if let Some(membership) = further.find_mut(group) {
                membership.slot = slot(place);
            }
        });
    }

    /// Where it is in a group's list.
    pub(super) fn place_in(&self, group: &Arc<Group>) -> Option<usize> {
        self.mailbox.memberships(|_, further| {
            let slot = if self.is_first_home(group) {
                self.home_slot.get()
            } else {
                further.find_mut(group).map(|membership| membership.slot)
            };
            slot.map(place)
        })
    }

    /// Notes that it is in this group no more, which it was until now.
    pub(super) fn exit(&self, group: &Arc<Group>) {
        self.mailbox.change_memberships(|_, further| {
            if self.is_first_home(group) {
                self.home_slot.set(None);
            } else {
                further.remove(group);
            }
            ((), self.told_of(group, SessionEvent::Left))
        });
    }

    pub(crate) fn is_in(&self, group: &Arc<Group>) -> bool {
        self.mailbox.memberships(|_, further| {
            self.is_in_first_home(group) || further.find_mut(group).is_some()
        })
    }

    /// One of the groups that it is in; the home room comes last.
    pub(crate) fn any_group(&self) -> Option<Arc<Group>> {
        self.mailbox.memberships(|_, further| {
            let mut newest_first = further.iter().rev().map(|it| &it.group);
            let beside_home = newest_first.find(|group| !self.is_home(group));
            beside_home.or_else(|| self.home_in(further)).cloned()
        })
    }

    /// Those of its groups that are rooms, its home room first.
    pub(crate) fn rooms(&self) -> Vec<Arc<Group>> {
        self.mailbox.memberships(|_, further| {
            let home = self.home_in(further).into_iter();
            home.chain(self.rooms_beside_home(further)).cloned().collect()
        })
    }

    /// Its home room, if it is a member of that: the first one, or another of its name.
    fn home_in<'a>(&'a self, further: &'a Further) -> Option<&'a Arc<Group>> {
        let first = self.home.as_ref()?;
        match self.home_slot.get() {
            Some(_) => Some(first),
            None => further.rooms().find(|room| self.is_home(room)),
        }
    }

    fn rooms_beside_home<'a>(
        &'a self,
        further: &'a Further,
    ) -> impl Iterator<Item = &'a Arc<Group>> {
        further.rooms().filter(|room| !self.is_home(room))
    }

    fn is_home(&self, group: &Group) -> bool {
        group.kind() == Kind::Room
            && self.home.as_ref().is_some_and(|home| home.name() == group.name())
    }

    /// Whether it is the very room that it was admitted to.
    fn is_first_home(&self, group: &Arc<Group>) -> bool {
        self.home.as_ref().is_some_and(|home| Arc::ptr_eq(home, group))
    }

    fn is_in_first_home(&self, group: &Arc<Group>) -> bool {
        self.home_slot.get().is_some() && self.is_first_home(group)
    }
}
