//! Which rooms have attributes of their own.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::attributes::{Attributes, OTHER};

/// The attributes of each room that is named, and those of all the others.
#[derive(Debug)]
pub(crate) struct Rooms {
    most: usize,
    others: Arc<Attributes>,
    named: RwLock<HashMap<Box<str>, Arc<Attributes>>>,
}

impl Rooms {
    /// Names so many rooms at most; with 0 there is no such attribute at all.
    pub(crate) fn new(most: usize) -> Self {
        let others = match most {
            0 => Attributes::without_room(),
            _ => Attributes::of_room(OTHER),
        };
        Self { most, others: Arc::new(others), named: RwLock::default() }
    }

    /// The attributes of all rooms that are named, and those of the others.
    pub(crate) fn all(&self) -> Vec<Arc<Attributes>> {
        self.named.read().values().chain([&self.others]).map(Arc::clone).collect()
    }

    /// Calls with the attributes of this room, and with no lock held: a meter is foreign code.
    pub(crate) fn with(&self, room: &str, record: impl FnOnce(&Attributes)) {
        match self.find(room) {
            Some(attributes) => record(&attributes),
            None => record(&self.others),
        }
    }

    /// The attributes of a room that is named, which it is from now on if it is one of the first.
    fn find(&self, room: &str) -> Option<Arc<Attributes>> {
        // A room that is called as all others are takes up no place.
        if self.most == 0 || room == OTHER {
            return None;
        }
        let named = self.named.read();
        if let Some(attributes) = named.get(room) {
            return Some(Arc::clone(attributes));
        }
        if named.len() >= self.most {
            return None;
        }
        drop(named);
        let mut named = self.named.write();
        if let Some(attributes) = named.get(room) {
            return Some(Arc::clone(attributes));
        }
        if named.len() >= self.most {
            return None;
        }
        let attributes = Arc::new(Attributes::of_room(room));
        named.insert(room.into(), Arc::clone(&attributes));
        Some(attributes)
    }
}
