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

/// Each instrument has a bit of it: of sums and counts, and three others.
const _: () = assert!(SUMS.len() + COUNTS.len() + 3 <= u32::BITS as usize);

type Read = fn(&Readings) -> u64;

const SUMS: [(&str, &str, &str, Read); 14] = [
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
    ("wspulse.cluster.servers", "{server}", "Servers that are of a cluster", |now| {
        now.cluster.servers as u64
    }),
    (
        "wspulse.cluster.servers.connected",
        "{server}",
        "Servers that are connected to what carries messages between servers",
        |now| now.cluster.connected as u64,
    ),
    (
        "wspulse.cluster.subscriptions",
        "{subscription}",
        "Subscriptions to rooms, users and parts of them that are in force",
        |now| now.cluster.subscriptions as u64,
    ),
    (
        "wspulse.cluster.kept.size",
        "By",
        "Bytes of what was said that are kept for servers that lack it",
        |now| now.cluster.kept_bytes as u64,
    ),
    (
        "wspulse.cluster.held.size",
        "By",
        "Bytes of what was heard that are held for what lies before it",
        |now| now.cluster.held_bytes as u64,
    ),
    // The attribute is told beside.
    (PEOPLE, "{person}", "People in rooms with presence, by what was told last", |now| {
        now.people_here as u64
    }),
];

const COUNTS: [(&str, &str, &str, Read); 13] = [
    ("wspulse.cluster.messages.sent", "{message}", "Messages to other servers", |now| {
        now.cluster.messages_sent
    }),
    (
        "wspulse.cluster.messages.unsent",
        "{message}",
        "Messages to other servers for which there was no connection",
        |now| now.cluster.messages_unsent,
    ),
    (
        "wspulse.cluster.messages.unreadable",
        "{message}",
        "Messages of other servers that could not be read",
        |now| now.cluster.unreadable,
    ),
    ("wspulse.cluster.frames.heard", "{frame}", "Frames of other servers", |now| {
        now.cluster.frames_heard
    }),
    (
        "wspulse.cluster.frames.foreign",
        "{frame}",
        "Frames of other servers for rooms that nobody is in here",
        |now| now.cluster.frames_foreign,
    ),
    (
        "wspulse.cluster.frames.repaired",
        "{frame}",
        "Frames that other servers have said again, as they were lacking",
        |now| now.cluster.frames_repaired,
    ),
    ("wspulse.cluster.questions", "{question}", "Questions for frames that were lacking", |now| {
        now.cluster.asked
    }),
    (
        "wspulse.cluster.requests.refused",
        "{request}",
        "Requests of other servers that were refused, as too many were being answered",
        |now| now.cluster.requests_refused,
    ),
    (
        "wspulse.cluster.people.refused",
        "{person}",
        "People of other servers that were not taken, as one has too many in a room",
        |now| now.cluster.people_refused,
    ),
    (
        "wspulse.cluster.sessions.handed_over",
        "{session}",
        "Sessions of a server that was drained, which another one keeps since",
        |now| now.cluster.sessions_handed_over,
    ),
    (
        "wspulse.cluster.sessions.left_behind",
        "{session}",
        "Sessions of a server that was drained, which none has taken in time",
        |now| now.cluster.sessions_left_behind,
    ),
    (
        "wspulse.cluster.sessions.inherited",
        "{session}",
        "Sessions of servers that were drained, which were taken to be kept",
        |now| now.cluster.sessions_inherited,
    ),
    (
        "wspulse.cluster.sessions.refused",
        "{session}",
        "Sessions of servers that were drained, which were not taken",
        |now| now.cluster.sessions_refused,
    ),
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
    for (place, (name, unit, description, read)) in COUNTS.into_iter().enumerate() {
        let (servers, look) = (Arc::clone(servers), Arc::clone(&look));
        meter
            .u64_observable_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                observer.observe(read(&servers.look(&look, SUMS.len() + place)), &[]);
            })
            .build();
    }
    observe_others(meter, servers, &look, SUMS.len() + COUNTS.len());
}

/// What is neither a sum without attributes nor a count; the first of these has this number.
fn observe_others(meter: &Meter, servers: &Arc<Servers>, look: &Arc<Mutex<Look>>, first: usize) {
    let reader = |place| {
        let (servers, look) = (Arc::clone(servers), Arc::clone(look));
        move || servers.look(&look, first + place)
    };
    let now = reader(0);
    meter
        .u64_observable_gauge(LARGEST)
        .with_unit("{member}")
        .with_description("Members of the largest room")
        .with_callback(move |observer| observer.observe(now().largest_room_members as u64, &[]))
        .build();
    let now = reader(1);
    meter
        .i64_observable_up_down_counter("wspulse.cluster.peers")
        .with_unit("{server}")
        .with_description("Other servers, by whether they are heard")
        .with_callback(move |observer| {
            let cluster = now().cluster;
            for (state, peers) in [("heard", cluster.peers), ("silent", cluster.silent_peers)] {
                observer.observe(signed(peers as u64), &[KeyValue::new("state", state)]);
            }
        })
        .build();
    let now = reader(2);
    meter
        .f64_observable_gauge("wspulse.cluster.longest_silence")
        .with_unit("s")
        .with_description("How long the other server has said nothing that is silent for longest")
        .with_callback(move |observer| {
            observer.observe(now().cluster.longest_silence.as_secs_f64(), &[]);
        })
        .build();
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
