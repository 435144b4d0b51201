#![doc = include_str!("../README.md")]

mod builder;
mod exposition;
mod handler;
mod histogram;
mod series;
mod status;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use wspulse::{CallbackKind, DisconnectReason, DropReason, Limit, MetricsCollector};

pub use builder::{Builder, OptionError};
pub use handler::MetricsHandler;
/// The library of the registries, in the version that this crate speaks.
pub use prometheus_client;

use series::{Counter, Counters, REASONS, Rooms, Series, place};
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
    limits: Counters,
    refused: Statuses,
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
    fn room_created(&self, _: &str) {
        self.0.rooms_created.add(1);
    }

    fn connection_opened(&self, room: &str, _: &str) {
        self.count(room, |series| series.opened.add(1));
    }

    fn session_suspended(&self, room: &str, _: &str) {
        self.count(room, |series| series.suspended.add(1));
    }

    fn session_resumed(&self, room: &str, _: &str) {
        self.count(room, |series| series.resumed.add(1));
    }

    fn connection_closed(&self, room: &str, _: &str, lasted: Duration, reason: DisconnectReason) {
        let place = place(REASONS, reason.as_str());
        self.count(room, |series| series.durations[place].observe(lasted.as_secs_f64()));
    }

    fn room_destroyed(&self, _: &str) {
        self.0.rooms_destroyed.add(1);
    }

    fn message_received(&self, room: &str, payload_bytes: usize) {
        self.count(room, |series| {
            series.received.add(1);
            series.received_bytes.add(payload_bytes);
        });
    }

    fn message_undecodable(&self, room: &str, _: &str, _: usize) {
        self.count(room, |series| series.undecodable.add(1));
    }

    fn messages_discarded(&self, room: &str, _: &str, messages: usize) {
        self.count(room, |series| series.discarded.add(messages));
    }

    #[expect(clippy::cast_precision_loss, reason = "no room has 2^53 members")]
    fn message_broadcast(&self, room: &str, _: usize, fan_out: usize) {
        self.count(room, |series| {
            series.broadcast.add(1);
            series.fanout.observe(fan_out as f64);
        });
    }

    fn message_sent(&self, room: &str, _: &str, _: usize) {
        self.count(room, |series| series.sent.add(1));
    }

    #[expect(clippy::cast_precision_loss, reason = "no buffer has 2^53 places")]
    fn send_buffer_utilization(&self, room: &str, _: &str, used: usize, capacity: usize) {
        let share = if capacity == 0 { 0.0 } else { used as f64 / capacity as f64 };
        self.count(room, |series| series.utilization.observe(share));
    }

    fn frame_dropped(&self, room: &str, _: &str, reason: DropReason) {
        self.count(room, |series| series.dropped.add(reason.as_str()));
    }

    fn pong_timeout(&self, room: &str, _: &str) {
        self.count(room, |series| series.pong_timeouts.add(1));
    }

    fn upgrade_refused(&self, status: u16) {
        self.0.refused.add(status);
    }

    fn limit_reached(&self, limit: Limit) {
        self.0.limits.add(limit.as_str());
    }

    fn callback_panicked(&self, room: &str, _: &str, callback: CallbackKind) {
        self.count(room, |series| series.panics.add(callback.as_str()));
    }
}
