//! The options of a server that is one of many.

use std::sync::Arc;

use super::ServerBuilder;
use crate::app::cluster::Gap;
use crate::cluster::Engine;

impl ServerBuilder {
    /// Makes the server one of a cluster: what is broadcast on one reaches the members of a room, and
    /// the connections of a user, on all. The engine carries it between them; see
    /// [`cluster`](crate::cluster). Default: the server is alone.
    ///
    /// The server must be built inside of a tokio runtime, on which the engine then works, and ends
    /// with [`close`](crate::Server::close).
    pub fn cluster(mut self, engine: impl Engine) -> Self {
        self.options.cluster = Some(Arc::new(engine));
        self
    }

    /// Called when frames of another server are lost for those who are here, at their place in the
    /// order: what it broadcasts to the [local](crate::Room::local) room comes where they are missing.
    /// It is a plain function that must not wait. A panic in it is caught and logged.
    ///
    /// ```
    /// use wspulse::cluster::GapIn;
    /// use wspulse::{Frame, ServerBuilder};
    ///
    /// fn configure(builder: ServerBuilder) -> ServerBuilder {
    ///     builder.on_gap(|gap| {
    ///         if let GapIn::Room(room) = gap.within {
    ///             let _ = room.local().broadcast(Frame::new("reload"));
    ///         }
    ///     })
    /// }
    /// ```
    pub fn on_gap<F>(mut self, callback: F) -> Self
    where
        F: Fn(Gap) + Send + Sync + 'static,
    {
        self.callbacks.gap = Some(Box::new(callback));
        self
    }
}
