//! Who takes up a place among the connections, and whether there is one left.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Refused;
use crate::address::AddressGroup;
use crate::options::admission::AdmissionOptions;

/// Counts connections that have not ended, under the registry's lock. Without a limit it keeps
/// nothing: an idle connection pays for a limit only where there is one.
pub(super) struct Places {
    limits: AdmissionOptions,
    /// By the key of the connection's task.
    taken: HashMap<usize, Place>,
    /// How many places each group takes; those that take one, no others.
    by_group: HashMap<AddressGroup, usize>,
    /// How many have an id that a client may come back with.
    named: usize,
}

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
        Self { limits: *options, taken: HashMap::new(), by_group: HashMap::new(), named: 0 }
    }

    /// Whether one more connection of this group, which replaces none, has a place.
    pub(super) fn check(&self, group: Option<AddressGroup>) -> Result<(), Refused> {
        if self.limits.connections_max.is_some_and(|max| self.taken.len() >= max) {
            return Err(Refused::TooManyConnections);
        }
        let taken = group.and_then(|group| self.by_group.get(&group)).copied().unwrap_or(0);
        if self.limits.connections_per_addr_max.is_some_and(|max| taken >= max) {
            return Err(Refused::TooManyFromAddress);
        }
        Ok(())
    }

    /// Whether a newcomer of this group will be refused whatever its id: there is no place, and
    /// nobody whose place it could take over.
    pub(super) fn check_unnamed(&self, group: Option<AddressGroup>) -> Result<(), Refused> {
        if self.named == 0 { self.check(group) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, task_key: usize, place: Place) {
        if self.limits.limit_connections() {
            self.taken.insert(task_key, place);
            self.named += usize::from(place.is_named);
            self.enter(place.group);
        }
    }

    /// A connection's client has come back by its id, maybe from elsewhere. Where that is not
    /// known, it counts where it did.
    pub(super) fn keep(&mut self, task_key: usize, group: Option<AddressGroup>) {
        let Some(place) = self.taken.get_mut(&task_key) else { return };
        // A client that was told its random id may come back with it.
        self.named += usize::from(!std::mem::replace(&mut place.is_named, true));
        if group.is_some() && place.group != group {
            let before = std::mem::replace(&mut place.group, group);
            self.leave(before);
            self.enter(group);
        }
    }

    pub(super) fn free(&mut self, task_key: usize) {
        if let Some(place) = self.taken.remove(&task_key) {
            self.named -= usize::from(place.is_named);
            self.leave(place.group);
            if self.taken.is_empty() {
                self.clear();
            }
        }
    }

    /// Frees all places, and the memory.
    pub(super) fn clear(&mut self) {
        self.taken = HashMap::new();
        self.by_group = HashMap::new();
        self.named = 0;
    }

    fn enter(&mut self, group: Option<AddressGroup>) {
        if let Some(group) = group {
            *self.by_group.entry(group).or_default() += 1;
        }
    }

    fn leave(&mut self, group: Option<AddressGroup>) {
        if let Some(group) = group
            && let Entry::Occupied(mut entry) = self.by_group.entry(group)
        {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
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
        for (task_key, group) in [HERE, HERE, THERE, None].into_iter().enumerate() {
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
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let mut places = places(None);
        places.take(0, place(HERE));
        assert_eq!((places.by_group.capacity(), places.taken.capacity()), (0, 0));
        places.free(0);
    }
}
