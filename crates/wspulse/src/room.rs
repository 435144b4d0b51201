//! Rooms: who hears a broadcast, and in which order.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use wspulse_core::{EncodedFrame, Frame};

use crate::connection::{Connection, ConnectionShared};
use crate::error::BroadcastError;
use crate::server::Server;

/// A handle to a room by its name. A room exists while it has members; a handle outlives it and
/// finds it again.
#[derive(Clone)]
pub struct Room {
    server: Server,
    id: Arc<str>,
}

impl Room {
    pub(crate) const fn new(server: Server, id: Arc<str>) -> Self {
        Self { server, id }
    }

    /// The room's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Queues a frame for all members, as [`Server::broadcast`] does.
    ///
    /// # Errors
    ///
    /// See [`Server::broadcast`].
    pub fn broadcast(&self, frame: Frame) -> Result<(), BroadcastError> {
        self.server.broadcast(&self.id, frame)
    }

    /// Queues a frame for all members but one, as [`Server::broadcast_except`] does.
    ///
    /// # Errors
    ///
    /// See [`Server::broadcast`].
    pub fn broadcast_except(
        &self,
        excluded: &Connection,
        frame: Frame,
    ) -> Result<(), BroadcastError> {
        self.server.broadcast_except(&self.id, excluded, frame)
    }

    /// The members at this instant, suspended ones included, in no particular order.
    pub fn connections(&self) -> Vec<Connection> {
        self.server.connections(&self.id)
    }

    /// The number of members at this instant, suspended ones included.
    pub fn len(&self) -> usize {
        self.server.room_len(&self.id)
    }

    /// Whether the room has no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A room's members. Pushing to their queues happens under one lock, which gives the room's
/// broadcasts one order for all.
#[derive(Default)]
pub(crate) struct Members {
    list: Mutex<Vec<Arc<ConnectionShared>>>,
}

/// What a broadcast did.
pub(crate) struct FanOut {
    /// How many members it was offered to.
    pub(crate) members: usize,
    /// Those who dropped their oldest frame for it, if that is of interest.
    pub(crate) overflowed: Vec<Arc<ConnectionShared>>,
}

/// Whether anybody wants to know who dropped a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    Listed,
    Ignored,
}

impl Members {
    pub(crate) fn join(&self, connection: Arc<ConnectionShared>) {
        let mut list = self.list.lock();
        connection.room_slot.store(list.len(), Ordering::Relaxed);
        list.push(connection);
    }

    /// Removes a member and tells whether it was the last one.
    pub(crate) fn leave(&self, connection: &ConnectionShared) -> bool {
        let mut list = self.list.lock();
        let slot = connection.room_slot.load(Ordering::Relaxed);
        list.swap_remove(slot);
        if let Some(moved) = list.get(slot) {
            moved.room_slot.store(slot, Ordering::Relaxed);
        }
        if list.len() < list.capacity() / 4 {
            list.shrink_to_fit();
        }
        list.is_empty()
    }

    /// Gives every member but `excluded` a reference to the frame: nothing is copied, and nothing
    /// is allocated for a member whose queue was empty.
    pub(crate) fn broadcast(
        &self,
        frame: &EncodedFrame,
        excluded: Option<&Arc<ConnectionShared>>,
        overflow: Overflow,
    ) -> FanOut {
        let mut fan_out = FanOut { members: 0, overflowed: Vec::new() };
        for member in &*self.list.lock() {
            if excluded.is_some_and(|excluded| Arc::ptr_eq(excluded, member)) {
                continue;
            }
            let Ok(evicted) = member.mailbox.broadcast(frame.clone()) else {
                continue;
            };
            fan_out.members += 1;
            if evicted > 0 && overflow == Overflow::Listed {
                fan_out.overflowed.push(Arc::clone(member));
            }
        }
        fan_out
    }

    pub(crate) fn snapshot(&self) -> Vec<Connection> {
        self.list.lock().iter().cloned().map(Connection::new).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.lock().len()
    }
}
