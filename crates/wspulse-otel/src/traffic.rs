//! What happens for each message: counted here, and read when the meter asks, since an instrument
//! takes locks for each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use opentelemetry::metrics::Meter;

use crate::rooms::Rooms;

/// The counts of one room, or of all rooms together.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    received_bytes: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
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

/// Has the meter read the counts of these rooms. It holds them: a counter must not vanish with its
/// server.
pub(crate) fn observe(meter: &Meter, rooms: &Arc<Rooms>) {
    for (name, unit, description, count) in COUNTS {
        let rooms = Arc::clone(rooms);
        meter
            .u64_observable_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                for attributes in rooms.all() {
                    let counted = count(attributes.traffic()).load(Relaxed);
                    observer.observe(counted, attributes.room());
                }
            })
            .build();
    }
}
