//! What is so, as the application knows it by itself: the server must agree.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;
use wspulse::{Connection, DisconnectReason, PresenceChanges};

use super::deadlines::Deadlines;
use super::drains::Drained;
use super::heard::Numbered;
use super::here::Here;
use super::histories::{History, Mark};
use super::journal::life;
use super::ledger::{Entry, unlisted};
use super::people::{Names, People, names_of};
use super::plan::Plan;
use super::rooms::Presence;

#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) here: Here,
    pub(crate) deadlines: Deadlines,
    pub(crate) drained: Drained,
    /// By room.
    pub(crate) histories: Vec<History>,
    pub(crate) people: Vec<People>,
    presence: Vec<Presence>,
    is_promised: bool,
    /// The ids of those who lack a frame, for which there was no room or no transport.
    lacking: Mutex<BTreeSet<String>>,
    /// The application is at it; else what a room is told comes from the server.
    is_broadcasting: AtomicBool,
    told: Mutex<Option<Told>>,
    /// Something of it was found to be wrong, in a callback or a hook, whose panics the server catches.
    is_refuted: AtomicBool,
    /// How often somebody came or went, in whatever way.
    changes: AtomicUsize,
}

/// Members were told who is in a room, or what has changed there.
#[derive(Debug)]
struct Told {
    room: usize,
    epoch: usize,
    at: Instant,
    /// How many of so many.
    count: usize,
    members: usize,
    /// Who was there; it may have ended with this.
    names: Names,
}

impl Truth {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            here: Here::new(plan.per_user),
            deadlines: Deadlines::default(),
            drained: Drained::default(),
            histories: plan.rooms_have.iter().map(|room| History::new(room.history)).collect(),
            people: plan.rooms_have.iter().map(|_| People::default()).collect(),
            presence: plan.rooms_have.iter().map(|room| room.presence).collect(),
            is_promised: plan.is_promised(),
            lacking: Mutex::default(),
            is_broadcasting: AtomicBool::new(false),
            told: Mutex::default(),
            is_refuted: AtomicBool::new(false),
            changes: AtomicUsize::new(0),
        }
    }

    /// Runs a broadcast of the application's.
    pub(crate) fn broadcast<T>(&self, broadcast: impl FnOnce() -> T) -> T {
        self.is_broadcasting.store(true, Ordering::Relaxed);
        let done = broadcast();
        self.is_broadcasting.store(false, Ordering::Relaxed);
        done
    }

    /// These rooms were told something; those without members keep nothing.
    pub(crate) fn record(&self, rooms: &[usize], frame: Numbered, mark: Mark) {
        let mut rooms = rooms.to_vec();
        rooms.sort_unstable();
        rooms.dedup();
        for room in rooms {
            if !self.here.members(room).is_empty() {
                self.histories[room].record(frame, mark);
            }
        }
    }

    /// A room was told something: if not by the application, then who is there. Tells whether it was
    /// the application.
    pub(crate) fn room_told(&self, room: &str, reached: usize) -> bool {
        if self.is_broadcasting.load(Ordering::Relaxed) {
            return true;
        }
        let _watch = Watch(&self.is_refuted);
        let room = number(room);
        assert_eq!(self.presence[room], Presence::Told, "room {room} has nothing to tell");
        let members = self.here.members(room);
        let told: Vec<_> = members.iter().filter(|member| unlisted(member) > 0).collect();
        // A frame for which there is no room counts as accepted and dropped.
        assert!(reached <= told.len(), "those who are told are members");
        let (count, epoch) = (told.len(), self.people[room].tell());
        for member in told {
            assert_eq!(unlisted(member), 1, "told more than once");
            life(member).ledger.accept(Entry::Presence { room, epoch });
        }
        let told = Told {
            room,
            epoch,
            at: Instant::now(),
            count,
            members: members.len(),
            names: names_of(&members),
        };
        *self.told.lock().unwrap() = Some(told);
        false
    }

    /// The application hears of changes, which its members were told before.
    pub(crate) fn presence_changed(&self, room: &str, changes: &PresenceChanges) {
        let _watch = Watch(&self.is_refuted);
        let room = number(room);
        let told = self.told.lock().unwrap().take();
        let told = told.filter(|told| told.room == room && told.at == Instant::now());
        // Somebody may have ended by what it was told: it lacks a frame.
        let before = told.as_ref().map(|told| told.names.clone());
        let now = names_of(&self.here.members(room));
        let are_told = !now.is_empty();
        let names: Vec<_> = before.into_iter().chain([now]).collect();
        let is_current =
            self.people[room].change(changes, &names, told.as_ref().map(|told| told.epoch));
        if is_current && self.presence[room] == Presence::Told && are_told {
            let told = told.expect("the members are told before");
            // Who lacks a frame that was promised is told no more.
            let may_be_fewer = self.is_promised && told.count < told.members;
            assert!(told.count == told.members || may_be_fewer, "not all were told: {told:?}");
        }
    }

    pub(crate) fn connection_closed(&self, id: &str, reason: DisconnectReason) {
        let _watch = Watch(&self.is_refuted);
        self.changed();
        self.here.leave(id, reason);
        self.deadlines.leave(id, reason);
        let lacked = self.lacking.lock().unwrap().remove(id);
        assert!(lacked || reason != DisconnectReason::FramesLost, "{id} has lacked nothing");
        if reason == DisconnectReason::Drained {
            self.drained.count();
        }
    }

    /// A frame was dropped, since there was no room for it or no transport, or it has come to
    /// another client of the session.
    pub(crate) fn frame_lacks(&self, id: &str) {
        self.lacking.lock().unwrap().insert(id.to_owned());
    }

    pub(crate) fn drain_started(&self, connections: usize, window: Duration) {
        let _watch = Watch(&self.is_refuted);
        self.drained.begin(connections, window, &self.here.all());
    }

    /// The life is over.
    pub(crate) fn check(&self) {
        assert!(!self.is_refuted.load(Ordering::Relaxed), "a callback or a hook has told why");
        self.people.iter().for_each(People::check_over);
    }

    pub(crate) fn room_destroyed(&self, room: &str) {
        self.histories[number(room)].clear();
        self.people[number(room)].end();
    }

    /// Somebody has come or gone.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Who is in each room, and how often that has changed.
    pub(crate) fn people_now(&self) -> (Vec<Names>, usize) {
        let rooms = 0..self.people.len();
        let people = rooms.map(|room| names_of(&self.here.members(room))).collect();
        (people, self.changes.load(Ordering::Relaxed))
    }

    /// What somebody has got of a room's history that has just joined it: the newest of it. `fits`
    /// says how many, if it is known.
    pub(crate) fn give_history(&self, connection: &Connection, room: usize, fits: Option<usize>) {
        let history = self.histories[room].current();
        let given = unlisted(connection);
        let at_most = fits.map_or(given, |fits| fits.min(history.len()));
        assert_eq!(given, at_most, "of the history of room {room}, {history:?}");
        list_history(connection, &history, given);
    }

    /// The same of the rooms of an admission, one after the other.
    pub(crate) fn give_histories(&self, connection: &Connection, rooms: &[usize], fits: usize) {
        let mut left = fits;
        for room in rooms {
            let history = self.histories[*room].current();
            let given = history.len().min(left);
            left -= given;
            list_history(connection, &history, given);
        }
    }
}

/// Lists the newest of a history, which a connection has got.
fn list_history(connection: &Connection, history: &[Numbered], given: usize) {
    assert!(given <= history.len(), "{given} frames of a history of {history:?}");
    for frame in &history[history.len() - given..] {
        life(connection).ledger.accept(Entry::Frame(*frame));
    }
}

/// Remembers that a check has failed.
struct Watch<'a>(&'a AtomicBool);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn number(room: &str) -> usize {
    room.parse().expect("rooms are numbers")
}
