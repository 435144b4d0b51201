//! Which groups a connection is in.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{Group, Kind};
use crate::connection::{ConnectionShared, ConnectionState};

/// A connection's memberships. They change under the lock of their group and then under that of the
/// connection's mailbox, where its end is decided: who has ended joins nothing.
#[derive(Default)]
pub(crate) struct Memberships {
    /// Its place in its home room, while it is a member of that.
    home: Option<Slot>,
    /// Boxed, since most connections have none: a list by itself takes 24 bytes.
    #[expect(clippy::box_collection, reason = "16 bytes less for each connection without any")]
    further: Option<Box<Vec<Membership>>>,
}

struct Membership {
    group: Arc<Group>,
    slot: Slot,
}

/// A place in a group's list; not 0, so that having none costs nothing.
#[derive(Clone, Copy)]
struct Slot(NonZeroU32);

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

impl Slot {
    /// A group that is longer than this has more members than addresses of IPv4 are there.
    fn new(place: usize) -> Self {
        let place = u32::try_from(place).unwrap_or(u32::MAX - 1);
        Self(NonZeroU32::MIN.saturating_add(place))
    }

    const fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl ConnectionShared {
    /// Notes that it is at this place of a group's list.
    pub(super) fn enter(&self, group: &Arc<Group>, place: usize) -> Result<(), NotJoined> {
        self.mailbox.memberships(|state, memberships| {
            if state == ConnectionState::Closed {
                return Err(NotJoined::HasEnded);
            }
            if memberships.slot_mut(self.home.as_ref(), group).is_some() {
                return Err(NotJoined::IsMember);
            }
            let rooms_max = self.server.options().rooms_max;
            if group.kind() == Kind::Room && memberships.rooms() >= rooms_max {
                return Err(NotJoined::TooManyRooms { rooms_max });
            }
            let slot = Slot::new(place);
            if self.is_home(group) {
                memberships.home = Some(slot);
            } else {
                let further = memberships.further.get_or_insert_default();
                // Doubling would hold twice of what most connections need.
                if further.len() == further.capacity() {
                    further.reserve_exact(1 + further.len() / 2);
                }
                further.push(Membership { group: Arc::clone(group), slot });
            }
            Ok(())
        })
    }

    /// Notes that its place in a group's list is another one.
    pub(super) fn move_to(&self, group: &Arc<Group>, place: usize) {
        self.mailbox.memberships(|_, memberships| {
            if let Some(slot) = memberships.slot_mut(self.home.as_ref(), group) {
                *slot = Slot::new(place);
            }
        });
    }

    /// Notes that it is in this group no more, and tells where it was.
    pub(super) fn exit(&self, group: &Arc<Group>) -> Option<usize> {
        self.mailbox.memberships(|_, memberships| {
            if self.is_home(group) {
                return memberships.home.take().map(Slot::place);
            }
            let further = memberships.further.as_mut()?;
            let place = further.iter().position(|it| Arc::ptr_eq(&it.group, group))?;
            let left = further.swap_remove(place);
            if further.is_empty() {
                memberships.further = None;
            }
            Some(left.slot.place())
        })
    }

    pub(crate) fn is_in(&self, group: &Arc<Group>) -> bool {
        let home = self.home.as_ref();
        self.mailbox.memberships(|_, memberships| memberships.slot_mut(home, group).is_some())
    }

    /// One of the groups that it is in; the home room comes last.
    pub(crate) fn any_group(&self) -> Option<Arc<Group>> {
        self.mailbox.memberships(|_, memberships| {
            let further = memberships.further.as_ref().and_then(|further| further.last());
            match further {
                Some(membership) => Some(Arc::clone(&membership.group)),
                None => self.home.clone().filter(|_| memberships.home.is_some()),
            }
        })
    }

    /// Those of its groups that are rooms, its home room first.
    pub(crate) fn rooms(&self) -> Vec<Arc<Group>> {
        self.mailbox.memberships(|_, memberships| {
            let home = self.home.iter().filter(|_| memberships.home.is_some());
            let further = memberships.further.iter().flat_map(|further| further.iter());
            let rooms = further.map(|it| &it.group).filter(|it| it.kind() == Kind::Room);
            home.chain(rooms).cloned().collect()
        })
    }

    fn is_home(&self, group: &Arc<Group>) -> bool {
        self.home.as_ref().is_some_and(|home| Arc::ptr_eq(home, group))
    }
}

impl Memberships {
    fn rooms(&self) -> usize {
        let further = self.further.iter().flat_map(|further| further.iter());
        let rooms = further.filter(|it| it.group.kind() == Kind::Room);
        usize::from(self.home.is_some()) + rooms.count()
    }

    fn slot_mut(&mut self, home: Option<&Arc<Group>>, group: &Arc<Group>) -> Option<&mut Slot> {
        if home.is_some_and(|home| Arc::ptr_eq(home, group)) {
            return self.home.as_mut();
        }
        let mut further = self.further.as_mut()?.iter_mut();
        further.find(|it| Arc::ptr_eq(&it.group, group)).map(|it| &mut it.slot)
    }
}
