//! Who is found by a name, without a lock that all look-ups share.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::ground::sync::{Mutex, NameHasher};

/// Whatever has a name that is its own.
pub(super) trait Named {
    fn name(&self) -> &Arc<str>;
}

/// Things by their names, in shards with a lock each. Whoever looks one up waits for nobody but
/// those who have a name of the same shard in hand, and these hold it for a moment only: no other
/// lock is taken under a shard's but a mailbox's.
///
/// That of connections changes under the registry's lock alone.
pub(super) struct Directory<T> {
    hasher: NameHasher,
    shards: [Mutex<HashTable<Arc<T>>>; SHARDS],
}

/// Where a directory has what has a name, if it has it.
#[derive(Clone, Copy)]
pub(super) struct PlaceOfName(u64);

/// Enough that threads, which are a few for each core, seldom meet; an empty one takes 40 bytes.
const SHARDS: usize = 32;

impl<T: Named> Directory<T> {
    pub(super) fn new() -> Self {
        Self { hasher: NameHasher::default(), shards: [(); SHARDS].map(|()| Mutex::default()) }
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<T>> {
        self.find_at(self.place_of(name), name)
    }

    /// Where a name is looked up: once for several look-ups.
    pub(super) fn place_of(&self, name: &str) -> PlaceOfName {
        PlaceOfName(self.hash(name))
    }

    /// As [`find`](Self::find), at the place of this name.
    pub(super) fn find_at(&self, PlaceOfName(hash): PlaceOfName, name: &str) -> Option<Arc<T>> {
        self.shard(hash).lock().find(hash, |it| **it.name() == *name).cloned()
    }

    /// Puts this one into the place of its name. What was there is changed in the same moment, and
    /// what that gave is returned.
    pub(super) fn put<R>(
        &self,
        PlaceOfName(hash): PlaceOfName,
        named: &Arc<T>,
        change: impl FnOnce(&T) -> R,
    ) -> Option<R> {
        let mut shard = self.shard(hash).lock();
        match shard.entry(hash, |it| it.name() == named.name(), |it| self.hash(it.name())) {
            Entry::Occupied(mut entry) => {
                let changed = change(entry.get());
                *entry.get_mut() = Arc::clone(named);
                Some(changed)
            }
            Entry::Vacant(entry) => {
                entry.insert(Arc::clone(named));
                None
            }
        }
    }

    /// What has this name, made if there is nothing and `make` can; it is visited in the same moment.
    pub(super) fn visit_or_insert(
        &self,
        name: &str,
        make: impl FnOnce() -> Option<Arc<T>>,
        visit: impl FnOnce(&T),
    ) -> Option<Arc<T>> {
        let hash = self.hash(name);
        let mut shard = self.shard(hash).lock();
        let entry = shard.entry(hash, |it| **it.name() == *name, |it| self.hash(it.name()));
        let named = match entry {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => Arc::clone(entry.insert(make()?).get()),
        };
        visit(&named);
        Some(named)
    }

    /// Removes this one, if it is there and `decide`, in the same moment, says so.
    pub(super) fn remove_if(&self, named: &Arc<T>, decide: impl FnOnce() -> bool) {
        let hash = self.hash(named.name());
        if let Ok(entry) = self.shard(hash).lock().find_entry(hash, |it| Arc::ptr_eq(it, named))
            && decide()
        {
            entry.remove();
        }
    }

    /// Takes this one out, if `change` does not fail, in the same moment.
    pub(super) fn take_out<R, E>(
        &self,
        named: &Arc<T>,
        change: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E> {
        let hash = self.hash(named.name());
        let mut shard = self.shard(hash).lock();
        let changed = change()?;
        if let Ok(entry) = shard.find_entry(hash, |it| Arc::ptr_eq(it, named)) {
            entry.remove();
        }
        Ok(changed)
    }

    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let all = std::mem::take(&mut *shard.lock());
            drop(all);
        }
    }

    /// In an order that is another in each process.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().iter().cloned().collect::<Vec<_>>())
            .collect()
    }

    pub(super) fn count(&self, counts: impl Fn(&T) -> bool) -> usize {
        self.shards.iter().map(|shard| shard.lock().iter().filter(|it| counts(it)).count()).sum()
    }

    /// Of connections under the registry's lock, for it to be that of one instant.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    fn shard(&self, hash: u64) -> &Mutex<HashTable<Arc<T>>> {
        // The table takes the lowest bits for a place and the highest for a tag.
        let shard = usize::try_from(hash >> 32).unwrap_or(0) % SHARDS;
        &self.shards[shard]
    }
}
