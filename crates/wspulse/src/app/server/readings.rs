//! What the server has at a moment, found by a look at everything.

use super::{Inner, Server};
use crate::app::cluster::Attachment;
use crate::membership::Kind;
use crate::membership::mailbox::Measures;
use crate::membership::presence::People;
use crate::membership::shared::ConnectionState;
use crate::observe::departures::{Departure, Departures};
use crate::observe::metrics::{Measured, Readings};

impl Server {
    /// What the server has at the moment: the connections and what waits for them, the rooms and who
    /// is in them. It looks at each, one after the other, while others come and go: for a gauge now
    /// and then, not for a hot path. A [collector](crate::MetricsCollector::server_built) is given a
    /// handle that reads the same.
    pub fn readings(&self) -> Readings {
        self.inner.readings()
    }
}

impl Server {
    /// Remembers, from now on, the last so many transports that were lost and connections that ended,
    /// up to 4,096, for [`departures`](Self::departures). Without this call, or with 0, it remembers
    /// none.
    pub fn remember_departures(&self, most: usize) {
        self.inner.departures.remember(most);
    }

    /// The last transports that were lost and connections that ended, the newest first: as many as
    /// are [remembered](Self::remember_departures).
    pub fn departures(&self) -> Vec<Departure> {
        self.inner.departures.list()
    }

    pub(crate) fn departure_log(&self) -> &Departures {
        &self.inner.departures
    }
}

impl Measured for Inner {
    fn readings(&self) -> Readings {
        let mut readings = Readings { ending: self.registry.ending_count(), ..Readings::default() };
        self.look_at_connections(&mut readings);
        self.look_at_groups(&mut readings);
        readings.cluster = self.attachment.as_ref().map(Attachment::readings).unwrap_or_default();
        readings
    }
}

impl Inner {
    fn look_at_connections(&self, readings: &mut Readings) {
        for connection in self.registry.all() {
            let Measures { state, outbound: account, .. } = connection.mailbox.measure();
            match state {
                ConnectionState::Connected => {}
                ConnectionState::Suspended => readings.suspended += 1,
                // It has ended since.
                ConnectionState::Closed => continue,
            }
            readings.connections += 1;
            readings.waiting_frames += account.pending;
            readings.waiting_bytes += account.held_bytes - account.unacknowledged_bytes;
            readings.unacknowledged_frames += account.unacknowledged;
            readings.unacknowledged_bytes += account.unacknowledged_bytes;
        }
    }

    fn look_at_groups(&self, readings: &mut Readings) {
        let groups = self.registry.groups();
        for room in groups.occupied(Kind::Room) {
            let members = room.len();
            readings.rooms += 1;
            readings.room_members += members;
            readings.largest_room_members = readings.largest_room_members.max(members);
            let People { here, away } = room.people();
            readings.people_here += here;
            readings.people_away += away;
        }
        readings.users = groups.count(Kind::User);
        readings.history_bytes = groups.outfit().history_bytes();
    }
}
