//! A metrics collector that writes down what the tests of the wire ask for.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wspulse::{CallbackKind, DisconnectReason, DropReason, MetricsCollector};

/// Entries such as `callback_panicked on_message`, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<String>>>);

impl Ledger {
    pub(crate) fn count(&self, entry: &str) -> usize {
        self.0.lock().iter().filter(|line| *line == entry).count()
    }

    fn write(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }
}

impl MetricsCollector for Ledger {
    fn connection_opened(&self, _room: &str, id: &str) {
        self.write(format!("opened {id}"));
    }

    fn connection_closed(&self, _: &str, _: &str, _: Duration, reason: DisconnectReason) {
        self.write(format!("closed {reason}"));
    }

    fn message_received(&self, _room: &str, payload_bytes: usize) {
        self.write(format!("received {payload_bytes}"));
    }

    fn message_undecodable(&self, room: &str, id: &str, payload_bytes: usize) {
        self.write(format!("undecodable {room} {id} {payload_bytes}"));
    }

    fn frame_dropped(&self, _room: &str, _id: &str, reason: DropReason) {
        self.write(format!("dropped {reason}"));
    }

    fn callback_panicked(&self, _room: &str, id: &str, callback: CallbackKind) {
        self.write(format!("panicked {id} {callback}"));
    }
}
