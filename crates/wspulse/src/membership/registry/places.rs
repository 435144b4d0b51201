//! Who takes up a place among the connections, and whether there is one left.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Refused;
use crate::ground::address::AddressGroup;
use crate::settings::options::admission::AdmissionOptions;

/// Counts connections that have not ended, under the registry's lock. Without a limit it keeps
/// nothing: an idle connection pays for a limit only where there is one.
pub(super) struct Places {
    limits: AdmissionOptions,
    /// By the key of the connection's task.
    taken: HashMap<u32, Place>,
    /// How many places each group takes; those that take one, no others.
    by_group: HashMap<AddressGroup, usize>,
    /// How many have an id that a client may come back with.
    named: usize,
    /// Those that have ended and whose tasks still run, by the key of the task.
    ending: HashMap<u32, Option<AddressGroup>>,
    ending_by_group: HashMap<AddressGroup, usize>,
}

/// How many connections may have ended, while their tasks still run, for each that may be there: of
/// one id, of one address, and in all. Enough for clients that all come back a few times while
/// handlers take their time. Those of one id wait for each other's last callback, and a shutdown
/// waits for all of them.
pub(super) const ENDING_PER_PLACE_MAX: usize = 4;

/// What a connection counts as.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// `None` where the address is not known.
    pub(super) group: Option<AddressGroup>,
    /// The application has given the connection its id.
    pub(super) is_named: bool,
}

impl Places {
    pub(super) fn new(options: &AdmissionOptions) -> Self {
        Self {
            limits: *options,
            taken: HashMap::new(),
            by_group: HashMap::new(),
            named: 0,
            ending: HashMap::new(),
            ending_by_group: HashMap::new(),
        }
    }

    /// Whether one more connection of this group, which replaces none with its id, has a place; the
    /// one of this task's key makes way for it, if one does.
    pub(super) fn check(
        &self,
        group: Option<AddressGroup>,
        makes_way: Option<u32>,
    ) -> Result<(), Refused> {
        let free = makes_way.and_then(|task_key| self.taken.get(&task_key));
        let all = self.taken.len() - usize::from(free.is_some());
        if self.limits.connections_max.is_some_and(|max| all >= max) {
            return Err(Refused::TooManyConnections);
        }
        let taken = group.and_then(|group| self.by_group.get(&group)).copied().unwrap_or(0);
        let taken = taken.saturating_sub(usize::from(free.is_some_and(|free| free.group == group)));
        if self.limits.connections_per_addr_max.is_some_and(|max| taken >= max) {
            return Err(Refused::TooManyFromAddress);
        }
        Ok(())
    }

    /// Whether a newcomer of this group will be refused whatever its id: there is no place, and
    /// nobody whose place it could take over.
    pub(super) fn check_unnamed(&self, group: Option<AddressGroup>) -> Result<(), Refused> {
        if self.named > 0 {
            return Ok(());
        }
        self.check_ending(group)?;
        self.check(group, None)
    }

    /// Whether few enough have ended and are not done yet for one more connection of this group.
    pub(super) fn check_ending(&self, group: Option<AddressGroup>) -> Result<(), Refused> {
        let from_group = group.and_then(|group| self.ending_by_group.get(&group)).copied();
        for (ending, max) in [
            (self.ending.len(), self.limits.connections_max),
            (from_group.unwrap_or(0), self.limits.connections_per_addr_max),
        ] {
            if max.is_some_and(|max| ending >= max.saturating_mul(ENDING_PER_PLACE_MAX)) {
                return Err(Refused::TooManyEnding);
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, task_key: u32, place: Place) {
        if self.limits.limit_connections() {
            self.taken.insert(task_key, place);
            self.named += usize::from(place.is_named);
            enter(&mut self.by_group, place.group);
        }
    }

    /// A connection's client has come back by its id, maybe from elsewhere. Where that is not
    /// known, it counts where it did.
    pub(super) fn keep(&mut self, task_key: u32, group: Option<AddressGroup>) {
        let Some(place) = self.taken.get_mut(&task_key) else { return };
        // A client that was told its random id may come back with it.
        self.named += usize::from(!std::mem::replace(&mut place.is_named, true));
        if group.is_some() && place.group != group {
            let before = std::mem::replace(&mut place.group, group);
            leave(&mut self.by_group, before);
            enter(&mut self.by_group, group);
        }
    }

    /// A connection has ended: it counts as one that is ending until its task is forgotten.
    pub(super) fn free(&mut self, task_key: u32) {
        if let Some(place) = self.taken.remove(&task_key) {
            self.named -= usize::from(place.is_named);
            leave(&mut self.by_group, place.group);
            if self.taken.is_empty() {
                self.taken = HashMap::new();
                self.by_group = HashMap::new();
            }
            self.ending.insert(task_key, place.group);
            enter(&mut self.ending_by_group, place.group);
        }
    }

    /// The task of a connection that has ended is about to return.
    pub(super) fn forget(&mut self, task_key: u32) {
        if let Some(group) = self.ending.remove(&task_key) {
            leave(&mut self.ending_by_group, group);
            if self.ending.is_empty() {
                self.ending = HashMap::new();
                self.ending_by_group = HashMap::new();
            }
        }
    }

    /// Frees all places, and the memory.
    pub(super) fn clear(&mut self) {
        *self = Self::new(&self.limits);
    }
}

fn enter(counts: &mut HashMap<AddressGroup, usize>, group: Option<AddressGroup>) {
    if let Some(group) = group {
        *counts.entry(group).or_default() += 1;
    }
}

fn leave(counts: &mut HashMap<AddressGroup, usize>, group: Option<AddressGroup>) {
    if let Some(group) = group
        && let Entry::Occupied(mut entry) = counts.entry(group)
    {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressGroup, AdmissionOptions, Place, Places};

    const HERE: Option<AddressGroup> = Some(AddressGroup::V4([192, 0, 2, 1]));
    const THERE: Option<AddressGroup> = Some(AddressGroup::V4([192, 0, 2, 2]));

    fn places(per_group_max: Option<usize>) -> Places {
        Places::new(&AdmissionOptions {
            connections_per_addr_max: per_group_max,
            ..AdmissionOptions::default()
        })
    }

    fn place(group: Option<AddressGroup>) -> Place {
        Place { group, is_named: true }
    }

    #[test]
    fn nothing_is_left_of_connections_that_have_ended() {
        let mut places = places(Some(2));
        for (task_key, group) in (0..).zip([HERE, HERE, THERE, None]) {
            places.take(task_key, place(group));
        }
        places.keep(0, THERE);
        places.keep(2, None);
        assert_eq!(places.by_group.len(), 2);
        for task_key in [1, 0, 3] {
            places.free(task_key);
        }
        assert_eq!(places.by_group.len(), 1, "a group without connections is forgotten");
        places.free(2);
        assert_eq!((places.by_group.capacity(), places.taken.capacity(), places.named), (0, 0, 0));
        assert_eq!((places.ending.len(), places.ending_by_group.len()), (4, 2));
        (0..4).for_each(|task_key| places.forget(task_key));
        assert_eq!((places.ending.capacity(), places.ending_by_group.capacity()), (0, 0));
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let mut places = places(None);
        places.take(0, place(HERE));
        assert_eq!((places.by_group.capacity(), places.taken.capacity()), (0, 0));
        places.free(0);
    }
}
