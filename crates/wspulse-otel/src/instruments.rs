//! The instruments: names, units and descriptions, by OpenTelemetry's conventions.

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

/// The upper bounds of the histograms' buckets.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    pub(crate) duration: Vec<f64>,
    pub(crate) fanout: Vec<f64>,
    pub(crate) utilization: Vec<f64>,
    pub(crate) acknowledgement_age: Vec<f64>,
    pub(crate) request: Vec<f64>,
}

/// Declares the struct of all instruments, and how it is made of a meter.
macro_rules! instruments {
    ($(
        $field:ident: $kind:ty = $make:ident($name:literal, $unit:literal $(, $bounds:ident)?)
            => $description:literal,
    )*) => {
        #[derive(Debug)]
        pub(crate) struct Instruments {
            $(pub(crate) $field: $kind,)*
        }

        impl Instruments {
            pub(crate) fn new(meter: &Meter, buckets: Buckets) -> Self {
                Self {
                    $($field: meter
                        .$make($name)
                        .with_unit($unit)
                        .with_description($description)
                        $(.with_boundaries(buckets.$bounds))?
                        .build(),)*
                }
            }
        }
    };
}

instruments! {
    rooms_created: Counter<u64> = u64_counter("wspulse.rooms.created", "{room}")
        => "Rooms that got a first member",
    rooms_destroyed: Counter<u64> = u64_counter("wspulse.rooms.destroyed", "{room}")
        => "Rooms that lost their last member",
    rooms_active: UpDownCounter<i64> = i64_up_down_counter("wspulse.rooms.active", "{room}")
        => "Rooms that have members",
    draining: UpDownCounter<i64> = i64_up_down_counter("wspulse.draining", "{server}")
        => "Servers that take no more clients, from the start of a drain on",
    opened: Counter<u64> = u64_counter("wspulse.connections.opened", "{connection}")
        => "Connections that were registered",
    closed: Counter<u64> = u64_counter("wspulse.connections.closed", "{connection}")
        => "Connections that ended",
    active: UpDownCounter<i64> = i64_up_down_counter("wspulse.connections.active", "{connection}")
        => "Connections that are registered, suspended ones included",
    suspended: UpDownCounter<i64>
        = i64_up_down_counter("wspulse.connections.suspended", "{connection}")
        => "Of the active connections, those whose session waits for its client",
    duration: Histogram<f64> = f64_histogram("wspulse.connection.duration", "s", duration)
        => "How long connections lasted, suspended times included",
    sessions_suspended: Counter<u64> = u64_counter("wspulse.sessions.suspended", "{session}")
        => "Sessions that waited for their client",
    sessions_resumed: Counter<u64> = u64_counter("wspulse.sessions.resumed", "{session}")
        => "Sessions that got a new transport",
    undecodable: Counter<u64> = u64_counter("wspulse.messages.undecodable", "{message}")
        => "Messages that the codec could not decode",
    discarded: Counter<u64> = u64_counter("wspulse.messages.discarded", "{message}")
        => "Messages that were decoded and never handled",
    broadcast: Counter<u64> = u64_counter("wspulse.messages.broadcast", "{message}")
        => "Frames that were offered to a room",
    fanout: Histogram<u64> = u64_histogram("wspulse.broadcast.fanout", "{connection}", fanout)
        => "Members per broadcast",
    presence_changes: Counter<u64> = u64_counter("wspulse.presence.changes", "{person}")
        => "People of whom a room was told something new: here, away, gone, other metadata",
    presence_snapshots: Counter<u64> = u64_counter("wspulse.presence.snapshots", "{connection}")
        => "Members who got everybody who is there, as they have come or come back",
    presence_told: Counter<u64> = u64_counter("wspulse.presence.told", "{connection}")
        => "Members who were told changes or everybody",
    utilization: Histogram<f64> = f64_histogram("wspulse.send_buffer.utilization", "1", utilization)
        => "Share of the send buffer that waits, after each write",
    dropped: Counter<u64> = u64_counter("wspulse.frames.dropped", "{frame}")
        => "Frames that will never be sent",
    conflated: Counter<u64> = u64_counter("wspulse.frames.conflated", "{frame}")
        => "Frames that a newer one with the same key has replaced",
    acknowledged: Counter<u64> = u64_counter("wspulse.frames.acknowledged", "{frame}")
        => "Frames that clients have acknowledged",
    acknowledgement_age: Histogram<f64>
        = f64_histogram("wspulse.acknowledgement.age", "s", acknowledgement_age)
        => "Time from the first write of the oldest acknowledged frame to the acknowledgement",
    lost: Counter<u64> = u64_counter("wspulse.frames.lost", "{frame}")
        => "Frames that were promised to clients, who do not get them",
    missed: Counter<u64> = u64_counter("wspulse.cluster.frames.missed", "{frame}")
        => "Frames of other servers that are lost, as far as it is known how many",
    gaps: Counter<u64> = u64_counter("wspulse.cluster.gaps", "{gap}")
        => "How often frames of other servers are lost",
    requests: Counter<u64> = u64_counter("wspulse.requests.finished", "{request}")
        => "Requests to clients",
    request_duration: Histogram<f64> = f64_histogram("wspulse.request.duration", "s", request)
        => "Time from a request to its reply",
    unmatched: Counter<u64> = u64_counter("wspulse.replies.unmatched", "{reply}")
        => "Replies for which nobody waits",
    pong_timeouts: Counter<u64> = u64_counter("wspulse.pong.timeouts", "{timeout}")
        => "Transports given up for silence",
    refused: Counter<u64> = u64_counter("wspulse.upgrades.refused", "{upgrade}")
        => "Clients that were refused",
    limits: Counter<u64> = u64_counter("wspulse.limits.reached", "{limit}")
        => "Limits that were reached",
    panicked: Counter<u64> = u64_counter("wspulse.callbacks.panicked", "{callback}")
        => "Panics that were caught",
    blocked: Counter<u64> = u64_counter("wspulse.callbacks.blocked", "{callback}")
        => "Callbacks that held their thread for more than 100 ms",
}
