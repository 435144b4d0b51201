//! A metrics collector that writes down what the tests of the wire ask for.

use std::sync::Arc;

use parking_lot::Mutex;
use wspulse::MetricsCollector;
use wspulse::metrics::{
    CallbackPanicked, ConnectionClosed, ConnectionOpened, FrameDropped, MessageReceived,
    MessageUndecodable,
};

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
    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        let &ConnectionOpened { id, .. } = event;
        self.write(format!("opened {id}"));
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { reason, .. } = event;
        self.write(format!("closed {reason}"));
    }

    fn message_received(&self, event: &MessageReceived<'_>) {
        let &MessageReceived { payload_bytes, .. } = event;
        self.write(format!("received {payload_bytes}"));
    }

    fn message_undecodable(&self, event: &MessageUndecodable<'_>) {
        let &MessageUndecodable { room, id, payload_bytes, .. } = event;
        self.write(format!("undecodable {room} {id} {payload_bytes}"));
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        let &FrameDropped { reason, .. } = event;
        self.write(format!("dropped {reason}"));
    }

    fn callback_panicked(&self, event: &CallbackPanicked<'_>) {
        let &CallbackPanicked { id, callback, .. } = event;
        self.write(format!("panicked {id} {callback}"));
    }
}
