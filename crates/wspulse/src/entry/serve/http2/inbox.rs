//! What was not read yet of a connection, for its filter and for those who read its streams.

use std::sync::Arc;

use parking_lot::Mutex;

use super::unread::Unread;
use crate::wire::transport::Reader;

#[derive(Clone)]
pub(super) struct Inbox(Arc<Mutex<Unread>>);

impl Inbox {
    pub(super) fn new(window_bytes: u32) -> Self {
        Self(Arc::new(Mutex::new(Unread::new(window_bytes))))
    }

    /// A request has come, whose head is the last that h2 has got. Who reads its stream may tell.
    pub(super) fn open(&self) -> Option<Reader> {
        let stream = self.0.lock().open()?;
        let inbox = self.clone();
        Some(Reader::new(move |reading| {
            let connection = inbox.0.lock().hear(stream, reading);
            if let Some(connection) = connection {
                connection.wake();
            }
        }))
    }

    /// Whether h2 is to read on before the connection waits. It is told once.
    pub(super) fn take_turn(&self) -> bool {
        self.0.lock().take_turn()
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Unread) -> T) -> T {
        look(&mut self.0.lock())
    }
}
