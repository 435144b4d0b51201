#![doc = include_str!("../README.md")]

mod builder;
mod exposition;
mod handler;
mod histogram;
mod negotiation;
mod series;
mod servers;
mod status;
mod text;

use std::sync::Arc;

use prometheus_client::registry::Registry;
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
pub use handler::MetricsHandler;
/// The library of the registries, in the version that this crate speaks.
pub use prometheus_client;

use series::{Counter, Counters, REASONS, RECEIVED, Rooms, SENT, Series, place};
use servers::Servers;
use status::Statuses;

/// Counts what a server does, for Prometheus. Give a clone to `ServerBuilder::metrics`; clones
/// share their numbers.
#[derive(Debug, Clone)]
pub struct PrometheusCollector(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    prefix: String,
    rooms: Rooms,
    rooms_created: Counter,
    rooms_destroyed: Counter,
    drains: Counter,
    limits: Counters,
    /// Broadcasts, by whom they were for.
    groups: Counters,
    /// Frames of other servers that are lost, and how often that was told, by who lacks them.
    missed: Counters,
    gaps: Counters,
    refused: Statuses,
    servers: Servers,
}

impl PrometheusCollector {
    /// Sets options; [`Builder::build`] makes the collector.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Adds these metrics to a registry of the application. A registry does not notice what it
    /// is given twice: put the collectors of several servers under different namespaces, or each
    /// in a `sub_registry_with_label`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Arc::clone(&self.0)));
    }

    /// Answers scrapes with these metrics alone.
    pub fn handler(&self) -> MetricsHandler {
        let mut registry = Registry::default();
        self.register(&mut registry);
        MetricsHandler::new(registry)
    }

    fn count(&self, room: &str, count: impl Fn(&Series)) {
        self.0.rooms.count(room, count);
    }
}

/// Ids are never labels: there is no bound to how many a server sees.
impl MetricsCollector for PrometheusCollector {
    fn server_built(&self, event: &ServerBuilt<'_>) {
        self.0.servers.add(event.gauges);
    }

    fn room_created(&self, _: &RoomCreated<'_>) {
        self.0.rooms_created.add(1);
    }

    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        self.count(event.room, |series| series.opened.add(1));
    }

    fn session_suspended(&self, event: &SessionSuspended<'_>) {
        self.count(event.room, |series| series.suspended.add(1));
    }

    fn session_resumed(&self, event: &SessionResumed<'_>) {
        self.count(event.room, |series| {
            series.resumed.add(1);
            series.unsuspended.add(event.was_suspended.into());
        });
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { room, duration, reason, was_suspended, .. } = event;
        let place = place(REASONS, reason.as_str());
        self.count(room, |series| {
            series.durations[place].observe(duration.as_secs_f64());
            series.unsuspended.add(was_suspended.into());
        });
    }

    fn room_destroyed(&self, _: &RoomDestroyed<'_>) {
        self.0.rooms_destroyed.add(1);
    }

    fn message_received(&self, event: &MessageReceived<'_>) {
        let &MessageReceived { room, payload_bytes, .. } = event;
        self.count(room, |series| {
            series.received.add(1);
            series.received_bytes.add(payload_bytes);
        });
    }

    fn message_undecodable(&self, event: &MessageUndecodable<'_>) {
        self.count(event.room, |series| series.undecodable.add(1));
    }

    fn messages_discarded(&self, event: &MessagesDiscarded<'_>) {
        let &MessagesDiscarded { room, messages, .. } = event;
        self.count(room, |series| series.discarded.add(messages));
    }

    #[expect(clippy::cast_precision_loss, reason = "no room has 2^53 members")]
    fn message_broadcast(&self, event: &MessageBroadcast<'_>) {
        let &MessageBroadcast { group, room, fan_out, .. } = event;
        let count = |series: &Series| {
            series.broadcast.add(1);
            series.fanout.observe(fan_out as f64);
        };
        if group == GroupKind::Room {
            self.count(room, count);
        } else {
            self.0.rooms.count_beside(count);
        }
        self.0.groups.count(group.as_str());
    }

    fn presence_told(&self, event: &PresenceTold<'_>) {
        let &PresenceTold { room, changes, newcomers, members, .. } = event;
        self.count(room, |series| {
            series.presence_changes.add(changes);
            series.presence_snapshots.add(newcomers);
            series.presence_told.add(members);
        });
    }

    #[expect(clippy::cast_precision_loss, reason = "no buffer has 2^53 places")]
    fn messages_sent(&self, event: &MessagesSent<'_>) {
        let &MessagesSent { room, messages, payload_bytes, waiting, capacity, .. } = event;
        let share = if capacity == 0 { 0.0 } else { waiting as f64 / capacity as f64 };
        self.count(room, |series| {
            series.sent.add(messages);
            series.sent_bytes.add(payload_bytes);
            series.utilization.observe(share);
        });
    }

    fn messages_compressed(&self, event: &MessagesCompressed<'_>) {
        let &MessagesCompressed { room, messages, payload_bytes, compressed_bytes, .. } = event;
        let bytes = [payload_bytes, compressed_bytes];
        self.count(room, |series| series.compression.add(SENT, messages, bytes));
    }

    fn message_inflated(&self, event: &MessageInflated<'_>) {
        let &MessageInflated { room, payload_bytes, compressed_bytes, .. } = event;
        let bytes = [payload_bytes, compressed_bytes];
        self.count(room, |series| series.compression.add(RECEIVED, 1, bytes));
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        let &FrameDropped { room, reason, .. } = event;
        self.count(room, |series| series.dropped.count(reason.as_str()));
    }

    fn frames_conflated(&self, event: &FramesConflated<'_>) {
        let &FramesConflated { room, frames, .. } = event;
        self.count(room, |series| series.conflated.add(frames));
    }

    fn frames_acknowledged(&self, event: &FramesAcknowledged<'_>) {
        let &FramesAcknowledged { room, frames, age, .. } = event;
        self.count(room, |series| {
            series.acknowledged.add(frames);
            if let Some(age) = age {
                series.acknowledgement_age.observe(age.as_secs_f64());
            }
        });
    }

    fn frames_lost(&self, event: &FramesLost<'_>) {
        let &FramesLost { room, frames, .. } = event;
        self.count(room, |series| series.lost.add(frames));
    }

    fn frames_missed(&self, event: &FramesMissed<'_>) {
        let &FramesMissed { group, frames, .. } = event;
        self.0.gaps.add(group.as_str(), 1);
        self.0.missed.add(group.as_str(), frames.unwrap_or_default());
    }

    fn request_finished(&self, event: &RequestFinished<'_>) {
        let &RequestFinished { room, outcome, duration, .. } = event;
        self.count(room, |series| {
            series.requests.count(outcome.as_str());
            if matches!(outcome, RequestOutcome::Replied | RequestOutcome::Refused) {
                series.request_duration.observe(duration.as_secs_f64());
            }
        });
    }

    fn reply_unmatched(&self, event: &ReplyUnmatched<'_>) {
        self.count(event.room, |series| series.unmatched.add(1));
    }

    fn pong_timeout(&self, event: &PongTimeout<'_>) {
        self.count(event.room, |series| series.pong_timeouts.add(1));
    }

    fn drain_started(&self, _: &DrainStarted) {
        self.0.drains.add(1);
    }

    fn upgrade_refused(&self, event: &UpgradeRefused) {
        self.0.refused.add(event.status);
    }

    fn limit_reached(&self, event: &LimitReached) {
        self.0.limits.count(event.limit.as_str());
    }

    fn callback_panicked(&self, event: &CallbackPanicked<'_>) {
        let &CallbackPanicked { room, callback, .. } = event;
        self.count(room, |series| series.panics.count(callback.as_str()));
    }

    fn callback_blocked(&self, event: &CallbackBlocked<'_>) {
        let &CallbackBlocked { room, callback, .. } = event;
        self.count(room, |series| series.blocked.count(callback.as_str()));
    }
}
