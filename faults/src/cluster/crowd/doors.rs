//! Where clients may come, as a load balancer without sticky sessions would have it.

use std::net::SocketAddr;

use parking_lot::RwLock;

/// The nodes' addresses, by their places; none where nobody is to come.
#[derive(Debug, Default)]
pub(super) struct Doors(RwLock<Vec<Option<SocketAddr>>>);

impl Doors {
    pub(super) fn set(&self, doors: Vec<Option<SocketAddr>>) {
        *self.0.write() = doors;
    }

    pub(super) fn places(&self) -> usize {
        self.0.read().len()
    }

    /// The door of this place; of another one, if it is shut.
    pub(super) fn at(&self, place: usize) -> Option<(usize, SocketAddr)> {
        let doors = self.0.read();
        let all = doors.len();
        let mut places = (0..all).map(|step| (place + step) % all);
        places.find_map(|place| doors[place].map(|address| (place, address)))
    }

    /// One of the others, by a turn; the same, if no other one is open.
    pub(super) fn elsewhere(&self, place: usize, turn: usize) -> Option<(usize, SocketAddr)> {
        let doors = self.0.read();
        let open = |place: usize| doors[place].map(|address| (place, address));
        let others: Vec<_> =
            (0..doors.len()).filter(|other| *other != place).filter_map(open).collect();
        if others.is_empty() {
            return doors.get(place).copied().flatten().map(|address| (place, address));
        }
        Some(others[turn % others.len()])
    }
}
