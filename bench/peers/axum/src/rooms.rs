//! Who is in which room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc::UnboundedSender;

#[derive(Debug, Default)]
pub struct Rooms(Mutex<HashMap<String, Arc<Room>>>);

/// A room has a lock of its own, so that rooms do not wait for each other.
#[derive(Debug, Default)]
struct Room(Mutex<Members>);

#[derive(Debug, Default)]
struct Members {
    next: u64,
    senders: HashMap<u64, UnboundedSender<Utf8Bytes>>,
}

/// Someone in a room, who leaves it when this is dropped.
#[derive(Debug)]
pub struct Member {
    number: u64,
    name: String,
    room: Arc<Room>,
    rooms: Arc<Rooms>,
}

// Who joins or leaves holds the lock of all rooms, so that no one joins a room that its last member
// is taking away.

impl Rooms {
    pub fn join(self: Arc<Self>, name: String, sender: UnboundedSender<Utf8Bytes>) -> Member {
        let mut rooms = self.0.lock().unwrap();
        let room = rooms.entry(name.clone()).or_default().clone();
        let mut members = room.0.lock().unwrap();
        let number = members.next;
        members.next += 1;
        members.senders.insert(number, sender);
        drop(members);
        drop(rooms);
        Member { number, name, room, rooms: self }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut rooms = self.rooms.0.lock().unwrap();
        let mut members = self.room.0.lock().unwrap();
        members.senders.remove(&self.number);
        if members.senders.is_empty() {
            rooms.remove(&self.name);
        }
    }
}

impl Member {
    /// Holds the lock while it queues, so that all members see the same order.
    pub fn broadcast(&self, text: &Utf8Bytes) {
        for sender in self.room.0.lock().unwrap().senders.values() {
            // Fails for a member whose connection is gone and who is about to leave.
            let _ = sender.send(text.clone());
        }
    }
}
