//! What a model's server tells its metrics.

use std::sync::Arc;

use shuttle::sync::Mutex;

use crate::observe::metrics::{
    ConnectionClosed, ConnectionOpened, MetricsCollector, RoomCreated, RoomDestroyed,
};

/// What the hooks of connections and rooms were told, in order.
#[derive(Clone, Default)]
pub(super) struct Hooks(Arc<Mutex<Vec<String>>>);

impl Hooks {
    pub(super) fn note(&self, event: String) {
        self.0.lock().expect("no panic before").push(event);
    }

    /// Whether no server holds them any more: every entry and every task held theirs.
    pub(super) fn are_free(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.0.lock().expect("no panic before").clone()
    }
}

impl MetricsCollector for Hooks {
    fn room_created(&self, event: &RoomCreated<'_>) {
        let &RoomCreated { room, .. } = event;
        self.note(format!("{room} created"));
    }

    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        let &ConnectionOpened { id, .. } = event;
        self.note(format!("{id} opened"));
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { id, reason, .. } = event;
        self.note(format!("{id} closed: {reason}"));
    }

    fn room_destroyed(&self, event: &RoomDestroyed<'_>) {
        let &RoomDestroyed { room, .. } = event;
        self.note(format!("{room} destroyed"));
    }
}
