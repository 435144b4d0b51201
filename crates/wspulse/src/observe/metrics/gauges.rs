//! What a server has at a moment, for a backend to ask for when it is asked itself.

use std::fmt;
use std::iter::Sum;
use std::sync::{Arc, Weak};

use super::cluster::ClusterReadings;

/// What a server has at the moment. Nothing of it is counted beforehand: it is found by a look at
/// each connection and each room, so it costs nothing until somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Readings {
    /// Connections, suspended ones included.
    pub connections: usize,
    /// Of these, the sessions that wait for their clients.
    pub suspended: usize,
    /// Connections that have ended, and whose tasks still flush or run callbacks.
    pub ending: usize,
    /// Rooms that have members.
    pub rooms: usize,
    /// The members of all rooms: a connection counts once for each room that it is in.
    pub room_members: usize,
    /// The members of the largest room.
    pub largest_room_members: usize,
    /// Users who have connections.
    pub users: usize,
    /// People who were told to be here, in all rooms with presence: somebody counts once for each
    /// room.
    pub people_here: usize,
    /// People who were told to be away.
    pub people_away: usize,
    /// Frames that wait for their first transport, or are being written. What a member of a large
    /// room lacks is kept once for all of them, and not counted here.
    pub waiting_frames: u64,
    /// Their bytes on the wire, each counted whole, although a broadcast's are shared.
    pub waiting_bytes: u64,
    /// Frames that were written, and are kept until they are acknowledged: 0 without a promise of
    /// delivery.
    pub unacknowledged_frames: u64,
    /// Their bytes on the wire.
    pub unacknowledged_bytes: u64,
    /// The bytes of all rooms' histories.
    pub history_bytes: usize,
    /// The server's part in its cluster; all 0 without one.
    pub cluster: ClusterReadings,
}

impl Sum for Readings {
    /// For a backend that is given several servers. The largest of the largest rooms is the largest.
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            connections: sum.connections + one.connections,
            suspended: sum.suspended + one.suspended,
            ending: sum.ending + one.ending,
            rooms: sum.rooms + one.rooms,
            room_members: sum.room_members + one.room_members,
            largest_room_members: sum.largest_room_members.max(one.largest_room_members),
            users: sum.users + one.users,
            people_here: sum.people_here + one.people_here,
            people_away: sum.people_away + one.people_away,
            waiting_frames: sum.waiting_frames + one.waiting_frames,
            waiting_bytes: sum.waiting_bytes + one.waiting_bytes,
            unacknowledged_frames: sum.unacknowledged_frames + one.unacknowledged_frames,
            unacknowledged_bytes: sum.unacknowledged_bytes + one.unacknowledged_bytes,
            history_bytes: sum.history_bytes + one.history_bytes,
            cluster: [sum.cluster, one.cluster].into_iter().sum(),
        })
    }
}

/// Whatever can be asked for readings.
pub(crate) trait Measured: Send + Sync {
    fn readings(&self) -> Readings;
}

/// Reads what a server has. It does not keep the server.
#[derive(Clone)]
pub struct Gauges(Weak<dyn Measured>);

impl Gauges {
    pub(crate) fn new<M: Measured + 'static>(measured: &Arc<M>) -> Self {
        let measured: Weak<M> = Arc::downgrade(measured);
        Self(measured)
    }

    /// Whether the server's last handle is gone: it has nothing any more.
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// What the server has now; `None` once its last handle is gone. It looks at each connection and
    /// each room: for a scrape now and then, and never from inside a hook.
    pub fn read(&self) -> Option<Readings> {
        self.0.upgrade().map(|measured| measured.readings())
    }
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").field("is_gone", &self.is_gone()).finish()
    }
}

/// A server was built that tells this collector.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ServerBuilt<'a> {
    /// What it has at a moment. Keep a clone, and ask it when you are asked.
    pub gauges: &'a Gauges,
}

impl<'a> ServerBuilt<'a> {
    /// Makes one, for the tests of a collector.
    #[must_use]
    pub const fn new(gauges: &'a Gauges) -> Self {
        Self { gauges }
    }
}
