//! What happens for each message: counted here, and read when the meter asks, since an instrument
//! takes locks for each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::attributes::Attributes;
use crate::rooms::Rooms;

/// The counts of one room, or of all rooms together.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    received_bytes: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    /// By direction.
    compressed: [Compressed; 2],
}

/// What compression makes of messages that go in one direction.
#[derive(Debug, Default)]
struct Compressed {
    messages: AtomicU64,
    plain_bytes: AtomicU64,
    wire_bytes: AtomicU64,
}

/// In which direction a message goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    Sent,
    Received,
}

impl Direction {
    pub(crate) const ALL: [Self; 2] = [Self::Sent, Self::Received];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

impl Traffic {
    pub(crate) fn count_received(&self, payload_bytes: usize) {
        self.received.fetch_add(1, Relaxed);
        self.received_bytes.fetch_add(payload_bytes as u64, Relaxed);
    }

    pub(crate) fn count_sent(&self, messages: usize, payload_bytes: usize) {
        self.sent.fetch_add(messages as u64, Relaxed);
        self.sent_bytes.fetch_add(payload_bytes as u64, Relaxed);
    }

    pub(crate) fn count_compressed(
        &self,
        direction: Direction,
        messages: usize,
        [plain_bytes, wire_bytes]: [usize; 2],
    ) {
        let counts = self.compressed(direction);
        counts.messages.fetch_add(messages as u64, Relaxed);
        counts.plain_bytes.fetch_add(plain_bytes as u64, Relaxed);
        counts.wire_bytes.fetch_add(wire_bytes as u64, Relaxed);
    }

    const fn compressed(&self, direction: Direction) -> &Compressed {
        &self.compressed[direction as usize]
    }
}

type Count = fn(&Traffic) -> &AtomicU64;

const COUNTS: [(&str, &str, &str, Count); 4] = [
    ("wspulse.messages.received", "{message}", "Messages that arrived", |all| &all.received),
    ("wspulse.messages.received_size", "By", "Payload of the messages that arrived", |all| {
        &all.received_bytes
    }),
    ("wspulse.messages.sent", "{message}", "Frames that a socket has taken", |all| &all.sent),
    ("wspulse.messages.sent_size", "By", "Payload of the frames that a socket has taken", |all| {
        &all.sent_bytes
    }),
];

type CountCompressed = fn(&Compressed) -> &AtomicU64;

const COMPRESSED: [(&str, &str, &str, CountCompressed); 3] = [
    ("wspulse.compression.messages", "{message}", "Messages that went or came compressed", |all| {
        &all.messages
    }),
    (
        "wspulse.compression.plain_size",
        "By",
        "Payload of the messages that went or came compressed, as it is",
        |all| &all.plain_bytes,
    ),
    (
        "wspulse.compression.compressed_size",
        "By",
        "Payload of the messages that went or came compressed, on the wire",
        |all| &all.wire_bytes,
    ),
];

/// Has the meter read the counts of these rooms. It holds them: a counter must not vanish with its
/// server.
pub(crate) fn observe(meter: &Meter, rooms: &Arc<Rooms>) {
    for (name, unit, description, count) in COUNTS {
        observe_one(meter, rooms, [name, unit, description], move |attributes, observe| {
            observe(count(attributes.traffic()), attributes.room());
        });
    }
    for (name, unit, description, count) in COMPRESSED {
        observe_one(meter, rooms, [name, unit, description], move |attributes, observe| {
            for direction in Direction::ALL {
                let counts = attributes.traffic().compressed(direction);
                observe(count(counts), attributes.direction(direction));
            }
        });
    }
}

fn observe_one(
    meter: &Meter,
    rooms: &Arc<Rooms>,
    [name, unit, description]: [&'static str; 3],
    tell: impl Fn(&Attributes, &mut dyn FnMut(&AtomicU64, &[KeyValue])) + Send + Sync + 'static,
) {
    let rooms = Arc::clone(rooms);
    meter
        .u64_observable_counter(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(move |observer| {
            for attributes in rooms.all() {
                tell(&attributes, &mut |count, set| observer.observe(count.load(Relaxed), set));
            }
        })
        .build();
}
