//! The options of a server that is one of many.

use std::sync::Arc;

use super::ServerBuilder;
use crate::app::cluster::Gap;
use crate::cluster::Engine;
use crate::settings::options::IdScope;

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

    /// Where an id of the application's is given once: on all servers of a [`cluster`](Self::cluster)
    /// together, or on each. Say the same on all servers. Default: [`IdScope::Cluster`]. Without a cluster
    /// it says nothing.
    pub const fn id_scope(mut self, scope: IdScope) -> Self {
        self.options.id_scope = scope;
        self
    }

    /// Which rooms have a log, which the cluster's engine keeps: those for whose name this is `true`. Say
    /// the same on all servers. Default: none.
    ///
    /// What is [appended](crate::Room::append) to the log of a room is heard by its members on all
    /// servers in one order, and is not lost once that is acknowledged, whatever server dies. With a
    /// [history](crate::RoomOptions::history), who comes hears the newest of it, wherever it comes.
    /// Broadcasts to such a room are refused
    /// ([`BroadcastError::Logged`](crate::BroadcastError::Logged)), but for volatile frames and those to
    /// its [local](crate::Room::local) members, which are in no order with those of the log.
    ///
    /// ```
    /// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
    /// builder.logged_rooms(|room| room.starts_with("auction-"))
    /// # }
    /// ```
    ///
    /// It must not wait. A panic in it is logged, and the room has no log. [`build`](Self::build) fails
    /// without a [`cluster`](Self::cluster), or if its engine has no log.
    pub fn logged_rooms<F>(mut self, rule: F) -> Self
    where
        F: Fn(&str) -> bool + Send + Sync + 'static,
    {
        self.options.rooms.logged = Some(Arc::new(rule));
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
