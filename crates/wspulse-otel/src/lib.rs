#![doc = include_str!("../README.md")]

mod attributes;
mod builder;
mod instruments;
mod readings;
mod rooms;
#[cfg(feature = "traces")]
mod traces;
mod traffic;

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use wspulse::metrics::{
    CallbackBlocked, CallbackPanicked, ConnectionClosed, ConnectionOpened, DrainStarted,
    FrameDropped, FramesAcknowledged, FramesConflated, FramesLost, FramesMissed, LimitReached,
    MessageBroadcast, MessageInflated, MessageReceived, MessageUndecodable, MessagesCompressed,
    MessagesDiscarded, MessagesSent, PongTimeout, PresenceTold, ReplyUnmatched, RequestFinished,
    RequestOutcome, RoomCreated, RoomDestroyed, ServerBuilt, SessionResumed, SessionSuspended,
    UpgradeRefused,
};
use wspulse::{GroupKind, MetricsCollector};

pub use builder::{Builder, OptionError};
/// The library of the meters, in the version that this crate speaks.
pub use opentelemetry;
#[cfg(feature = "traces")]
pub use traces::continue_trace;

use attributes::{Attributes, Sets};
use instruments::Instruments;
use readings::Servers;
use rooms::Rooms;
use traffic::Direction;

/// Records what a server does by the instruments of a meter. Give a clone to
/// `ServerBuilder::metrics`; clones share their instruments.
#[derive(Debug, Clone)]
pub struct OtelCollector(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    instruments: Instruments,
    rooms: Arc<Rooms>,
    limits: Sets,
    /// For broadcasts that are for no room.
    groups: Sets,
    servers: Arc<Servers>,
}

impl OtelCollector {
    /// With the default options.
    ///
    /// A meter knows its provider from the beginning: one that was asked of
    /// `opentelemetry::global` before the provider was set there records nothing.
    pub fn new(meter: &Meter) -> Self {
        Builder::new(meter).make()
    }

    /// Sets options; [`Builder::build`] makes the collector.
    pub fn builder(meter: &Meter) -> Builder {
        Builder::new(meter)
    }

    fn record(&self, room: &str, record: impl FnOnce(&Instruments, &Attributes)) {
        self.0.rooms.with(room, |attributes| record(&self.0.instruments, attributes));
    }
}

/// Ids are never attributes: there is no bound to how many a server sees. Nor are event names,
/// which clients write.
impl MetricsCollector for OtelCollector {
    fn server_built(&self, event: &ServerBuilt<'_>) {
        self.0.servers.add(event.gauges);
    }

    fn room_created(&self, _: &RoomCreated<'_>) {
        let to = &self.0.instruments;
        to.rooms_created.add(1, &[]);
        to.rooms_active.add(1, &[]);
    }

    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        self.record(event.room, |to, attributes| {
            to.opened.add(1, attributes.room());
            to.active.add(1, attributes.room());
        });
    }

    fn session_suspended(&self, event: &SessionSuspended<'_>) {
        self.record(event.room, |to, attributes| {
            to.sessions_suspended.add(1, attributes.room());
            to.suspended.add(1, attributes.room());
        });
    }

    fn session_resumed(&self, event: &SessionResumed<'_>) {
        self.record(event.room, |to, attributes| {
            to.sessions_resumed.add(1, attributes.room());
            if event.was_suspended {
                to.suspended.add(-1, attributes.room());
            }
        });
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { room, duration, reason, was_suspended, .. } = event;
        self.record(room, |to, attributes| {
            let reason = attributes.end(reason);
            to.closed.add(1, reason);
            to.duration.record(duration.as_secs_f64(), reason);
            to.active.add(-1, attributes.room());
            if was_suspended {
                to.suspended.add(-1, attributes.room());
            }
        });
    }

    fn room_destroyed(&self, _: &RoomDestroyed<'_>) {
        let to = &self.0.instruments;
        to.rooms_destroyed.add(1, &[]);
        to.rooms_active.add(-1, &[]);
    }

    fn message_received(&self, event: &MessageReceived<'_>) {
        let &MessageReceived { room, payload_bytes, .. } = event;
        self.0.rooms.with(room, |attributes| attributes.traffic().count_received(payload_bytes));
    }

    fn message_undecodable(&self, event: &MessageUndecodable<'_>) {
        self.record(event.room, |to, attributes| to.undecodable.add(1, attributes.room()));
    }

    fn messages_discarded(&self, event: &MessagesDiscarded<'_>) {
        let &MessagesDiscarded { room, messages, .. } = event;
        self.record(room, |to, attributes| to.discarded.add(messages as u64, attributes.room()));
    }

    fn message_broadcast(&self, event: &MessageBroadcast<'_>) {
        let &MessageBroadcast { group, room, fan_out, .. } = event;
        let to = &self.0.instruments;
        let count = |attributes: &[KeyValue]| {
            to.broadcast.add(1, attributes);
            to.fanout.record(fan_out as u64, attributes);
        };
        if group == GroupKind::Room {
            self.0.rooms.with(room, |attributes| count(attributes.group(group)));
        } else {
            count(self.0.groups.of(group.as_str()));
        }
    }

    fn presence_told(&self, event: &PresenceTold<'_>) {
        let &PresenceTold { room, changes, newcomers, members, .. } = event;
        self.record(room, |to, attributes| {
            to.presence_changes.add(changes as u64, attributes.room());
            to.presence_snapshots.add(newcomers as u64, attributes.room());
            to.presence_told.add(members as u64, attributes.room());
        });
    }

    #[expect(clippy::cast_precision_loss, reason = "no buffer has 2^53 places")]
    fn messages_sent(&self, event: &MessagesSent<'_>) {
        let &MessagesSent { room, messages, payload_bytes, waiting, capacity, .. } = event;
        let share = if capacity == 0 { 0.0 } else { waiting as f64 / capacity as f64 };
        self.record(room, |to, attributes| {
            attributes.traffic().count_sent(messages, payload_bytes);
            to.utilization.record(share, attributes.room());
        });
    }

    fn messages_compressed(&self, event: &MessagesCompressed<'_>) {
        let &MessagesCompressed { room, messages, payload_bytes, compressed_bytes, .. } = event;
        self.0.rooms.with(room, |attributes| {
            let traffic = attributes.traffic();
            traffic.count_compressed(Direction::Sent, messages, [payload_bytes, compressed_bytes]);
        });
    }

    fn message_inflated(&self, event: &MessageInflated<'_>) {
        let &MessageInflated { room, payload_bytes, compressed_bytes, .. } = event;
        self.0.rooms.with(room, |attributes| {
            let traffic = attributes.traffic();
            traffic.count_compressed(Direction::Received, 1, [payload_bytes, compressed_bytes]);
        });
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        let &FrameDropped { room, reason, .. } = event;
        self.record(room, |to, attributes| to.dropped.add(1, attributes.drop(reason)));
    }

    fn frames_conflated(&self, event: &FramesConflated<'_>) {
        let &FramesConflated { room, frames, .. } = event;
        self.record(room, |to, attributes| to.conflated.add(frames as u64, attributes.room()));
    }

    fn frames_acknowledged(&self, event: &FramesAcknowledged<'_>) {
        let &FramesAcknowledged { room, frames, age, .. } = event;
        self.record(room, |to, attributes| {
            to.acknowledged.add(frames as u64, attributes.room());
            if let Some(age) = age {
                to.acknowledgement_age.record(age.as_secs_f64(), attributes.room());
            }
        });
    }

    fn frames_lost(&self, event: &FramesLost<'_>) {
        let &FramesLost { room, frames, .. } = event;
        self.record(room, |to, attributes| to.lost.add(frames as u64, attributes.room()));
    }

    fn frames_missed(&self, event: &FramesMissed<'_>) {
        let &FramesMissed { group, frames, .. } = event;
        let (to, group) = (&self.0.instruments, self.0.groups.of(group.as_str()));
        to.gaps.add(1, group);
        to.missed.add(frames.unwrap_or_default(), group);
    }

    fn request_finished(&self, event: &RequestFinished<'_>) {
        let &RequestFinished { room, outcome, duration, .. } = event;
        self.record(room, |to, attributes| {
            to.requests.add(1, attributes.request(outcome));
            if matches!(outcome, RequestOutcome::Replied | RequestOutcome::Refused) {
                to.request_duration.record(duration.as_secs_f64(), attributes.room());
            }
        });
    }

    fn reply_unmatched(&self, event: &ReplyUnmatched<'_>) {
        self.record(event.room, |to, attributes| to.unmatched.add(1, attributes.room()));
    }

    fn pong_timeout(&self, event: &PongTimeout<'_>) {
        self.record(event.room, |to, attributes| to.pong_timeouts.add(1, attributes.room()));
    }

    fn drain_started(&self, _: &DrainStarted) {
        self.0.instruments.draining.add(1, &[]);
    }

    /// A number needs no memory, so its attribute is made here. What is no status of HTTP counts
    /// without one: else an application could make as many as there are numbers.
    fn upgrade_refused(&self, event: &UpgradeRefused) {
        let refused = &self.0.instruments.refused;
        match event.status {
            status @ 100..=599 => refused.add(1, &[KeyValue::new("status", i64::from(status))]),
            _ => refused.add(1, &[]),
        }
    }

    fn limit_reached(&self, event: &LimitReached) {
        self.0.instruments.limits.add(1, self.0.limits.of(event.limit.as_str()));
    }

    fn callback_panicked(&self, event: &CallbackPanicked<'_>) {
        let &CallbackPanicked { room, callback, .. } = event;
        self.record(room, |to, attributes| to.panicked.add(1, attributes.callback(callback)));
    }

    fn callback_blocked(&self, event: &CallbackBlocked<'_>) {
        let &CallbackBlocked { room, callback, .. } = event;
        self.record(room, |to, attributes| to.blocked.add(1, attributes.callback(callback)));
    }
}
