//! Dispatching frames by their event.

use wspulse_core::Frame;

use crate::connection::Connection;

/// A router.
#[derive(Debug, Default)]
pub struct Router {}

impl Router {
    /// Runs the handler for the frame's event.
    pub async fn dispatch(&self, connection: Connection, frame: Frame) {
        let _ = (connection, frame);
    }
}
