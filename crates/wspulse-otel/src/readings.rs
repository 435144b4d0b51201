//! What servers have at the moment, which they are asked at each collection.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use parking_lot::Mutex;
use wspulse::metrics::{Gauges, Readings};

/// The servers that count here.
#[derive(Debug, Default)]
pub(crate) struct Servers(Mutex<Vec<Gauges>>);

/// One look at all servers, for all instruments of one collection: each has a callback of its own.
#[derive(Debug, Default)]
struct Look {
    readings: Readings,
    /// Which instruments have told it. One that comes again begins another collection.
    told: u32,
}

type Read = fn(&Readings) -> u64;

const SUMS: [(&str, &str, &str, Read); 9] = [
    (
        "wspulse.connections.ending",
        "{connection}",
        "Connections that have ended and still flush or run callbacks",
        |now| now.ending as u64,
    ),
    ("wspulse.users.active", "{user}", "Users who have connections", |now| now.users as u64),
    ("wspulse.rooms.members", "{member}", "Members of all rooms, once for each room", |now| {
        now.room_members as u64
    }),
    ("wspulse.send_buffer.frames", "{frame}", "Frames that wait in send buffers", |now| {
        now.waiting_frames
    }),
    ("wspulse.send_buffer.size", "By", "Bytes of the frames that wait in send buffers", |now| {
        now.waiting_bytes
    }),
    (
        "wspulse.unacknowledged.frames",
        "{frame}",
        "Frames that were written and are kept until they are acknowledged",
        |now| now.unacknowledged_frames,
    ),
    (
        "wspulse.unacknowledged.size",
        "By",
        "Bytes of the frames that are kept until they are acknowledged",
        |now| now.unacknowledged_bytes,
    ),
    ("wspulse.history.size", "By", "Bytes of all rooms' histories", |now| now.history_bytes as u64),
    // The attribute is told beside.
    (PEOPLE, "{person}", "People in rooms with presence, by what was told last", |now| {
        now.people_here as u64
    }),
];

const PEOPLE: &str = "wspulse.presence.people";
const LARGEST: &str = "wspulse.rooms.largest";

impl Servers {
    pub(crate) fn add(&self, gauges: &Gauges) {
        let mut all = self.0.lock();
        all.retain(|gauges| !gauges.is_gone());
        all.push(gauges.clone());
    }

    /// What they have together. No lock is held while they look: the last handle of one may go with
    /// that, and what the application kept there.
    fn read(&self) -> Readings {
        let all = self.0.lock().clone();
        all.iter().filter_map(Gauges::read).sum()
    }

    /// What they have, for the instrument of this number.
    fn look(&self, look: &Mutex<Look>, instrument: usize) -> Readings {
        let bit = 1 << instrument;
        let last = &mut *look.lock();
        if last.told == 0 || last.told & bit != 0 {
            *last = Look { readings: self.read(), told: 0 };
        }
        last.told |= bit;
        last.readings
    }
}

/// Has the meter ask these servers.
pub(crate) fn observe(meter: &Meter, servers: &Arc<Servers>) {
    let look = Arc::new(Mutex::new(Look::default()));
    for (instrument, (name, unit, description, read)) in SUMS.into_iter().enumerate() {
        let (servers, look) = (Arc::clone(servers), Arc::clone(&look));
        meter
            .i64_observable_up_down_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                let now = servers.look(&look, instrument);
                if name == PEOPLE {
                    observer.observe(signed(read(&now)), &[KeyValue::new("state", "here")]);
                    let away = signed(now.people_away as u64);
                    observer.observe(away, &[KeyValue::new("state", "away")]);
                } else {
                    observer.observe(signed(read(&now)), &[]);
                }
            })
            .build();
    }
    let servers = Arc::clone(servers);
    meter
        .u64_observable_gauge(LARGEST)
        .with_unit("{member}")
        .with_description("Members of the largest room")
        .with_callback(move |observer| {
            let now = servers.look(&look, SUMS.len());
            observer.observe(now.largest_room_members as u64, &[]);
        })
        .build();
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
