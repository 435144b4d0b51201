//! The groups that there are, by name: who enters and who leaves, and when one begins and ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wspulse_core::cluster::Position;

use super::directory::{Directory, Named};
use crate::cluster::speaker::Speaker;
use crate::membership::shared::ConnectionShared;
use crate::membership::{Group, Kind, NotJoined, Outfit, RunningWaves};
use crate::observe::meter::{LifecycleEvent, Meter};
use crate::settings::room_options::{RoomOptions, RoomSettings};

/// A group is there from its first entrance to its last member's leave. A shard's lock decides; that
/// of a group is never taken under it, nor the other way round, so a fan-out holds up only those who
/// come to the same group.
pub(crate) struct Groups {
    rooms: Directory<Group>,
    users: Directory<Group>,
    outfit: Outfit,
}

/// A group that somebody is about to join: it is there as long as this is.
pub(crate) struct Entrance<'a> {
    groups: &'a Groups,
    meter: &'a Meter,
    group: Arc<Group>,
}

impl Groups {
    pub(super) fn new(
        rooms: &RoomSettings,
        resume_window: Duration,
        speaker: Option<Arc<Speaker>>,
    ) -> Self {
        let outfit = Outfit::new(rooms, resume_window, speaker);
        Self { rooms: Directory::new(), users: Directory::new(), outfit }
    }

    /// What new rooms get.
    pub(crate) const fn outfit(&self) -> &Outfit {
        &self.outfit
    }

    pub(crate) fn find(&self, kind: Kind, name: &str) -> Option<Arc<Group>> {
        self.of(kind).find(name)
    }

    /// How many have members. It looks at each.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.of(kind).count(|group| group.len() > 0)
    }

    /// Those that have members.
    pub(crate) fn occupied(&self, kind: Kind) -> Vec<Arc<Group>> {
        let mut groups = self.of(kind).all();
        groups.retain(|group| group.len() > 0);
        groups
    }

    const fn of(&self, kind: Kind) -> &Directory<Group> {
        match kind {
            Kind::Room => &self.rooms,
            Kind::User => &self.users,
        }
    }

    /// The group of this name, which is made if there is none. Events may be noted when what is
    /// returned is dropped: they are to be delivered after that.
    pub(crate) fn enter<'a>(&'a self, kind: Kind, name: &str, meter: &'a Meter) -> Entrance<'a> {
        let asks_application = kind == Kind::Room && self.outfit.has_rule();
        let mut options = (!asks_application).then(RoomOptions::new);
        loop {
            let group = self.of(kind).visit_or_insert(
                name,
                || {
                    let (outfit, options) = (&self.outfit, options?);
                    let (extras, uplink) =
                        (outfit.extras(name, options), outfit.uplink(kind, name, options));
                    let group = Arc::new(Group::new(kind, name, extras, uplink));
                    group.begin();
                    Some(group)
                },
                |group| {
                    group.listing.entering.fetch_add(1, Ordering::Relaxed);
                },
            );
            if let Some(group) = group {
                return Entrance { groups: self, meter, group };
            }
            // Not under the shard's lock, as the application says it.
            options = Some(self.outfit.options(name));
        }
    }

    /// Takes a connection out of a group; tells whether it was a member.
    #[inline]
    pub(crate) fn leave(
        &self,
        group: &Arc<Group>,
        connection: &ConnectionShared,
        meter: &Meter,
    ) -> bool {
        let was_member = group.leave(connection);
        self.remove_if_over(group, was_member, meter);
        was_member
    }

    /// Takes a connection that goes over to another server out of all its groups, and tells how far this
    /// server had spoken to each by then.
    pub(crate) fn leave_all_noting(
        &self,
        connection: &ConnectionShared,
        meter: &Meter,
    ) -> Vec<(Arc<Group>, Option<Position>)> {
        let left = std::iter::from_fn(|| {
            let group = connection.any_group()?;
            let (was_member, position) = group.leave_noting(connection);
            self.remove_if_over(&group, was_member, meter);
            Some((group, position))
        });
        left.collect()
    }

    fn remove_if_over(&self, group: &Arc<Group>, was_member: bool, meter: &Meter) {
        if was_member && group.len() == 0 {
            self.of(group.kind()).remove_if(group, || is_over(group, meter));
        }
    }

    /// Takes a connection that has ended out of all its groups; its home room comes last.
    pub(crate) fn leave_all(&self, connection: &ConnectionShared, meter: &Meter) {
        while let Some(group) = connection.any_group() {
            self.leave(&group, connection, meter);
        }
    }
}

impl Entrance<'_> {
    pub(crate) const fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// As [`join`](Self::join), for one that was a member on another server, and tells how far this
    /// server has spoken to the group by then.
    pub(crate) fn join_noting(
        self,
        connection: &Arc<ConnectionShared>,
    ) -> Result<(Option<RunningWaves>, Option<Position>), NotJoined> {
        let joined = self.group.join_noting(connection)?;
        self.group.tell(self.meter);
        Ok(joined)
    }

    pub(crate) fn join(
        self,
        connection: &Arc<ConnectionShared>,
    ) -> Result<Option<RunningWaves>, NotJoined> {
        let prepared = self.group.prepare(connection);
        let joined = self.group.join(connection, prepared)?;
        // It has a member now, and is there for the hooks before that can leave.
        self.group.tell(self.meter);
        Ok(joined)
    }
}

impl Drop for Entrance<'_> {
    fn drop(&mut self) {
        let Self { groups, meter, group } = self;
        groups.of(group.kind()).remove_if(group, || {
            group.listing.entering.fetch_sub(1, Ordering::Relaxed);
            is_over(group, meter)
        });
    }
}

/// Whether a group has nobody left. Under the lock of its shard, so that another one of its name
/// begins after this one's end was noted.
fn is_over(group: &Group, meter: &Meter) -> bool {
    let is_over = group.len() == 0 && group.listing.entering.load(Ordering::Relaxed) == 0;
    if is_over {
        group.end();
    }
    if is_over && group.listing.is_told.load(Ordering::Relaxed) {
        meter.note(|| LifecycleEvent::RoomDestroyed { room: Arc::clone(group.name()) });
    }
    is_over
}

impl Named for Group {
    fn name(&self) -> &Arc<str> {
        self.name()
    }
}
