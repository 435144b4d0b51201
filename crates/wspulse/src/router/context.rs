//! What travels along a chain.

use std::sync::Arc;

use http::Extensions;
use wspulse_core::Frame;

use super::extract::FromContext;
use crate::app::connection::Connection;

/// One frame on its way through a chain: whose it is, what it says, and what middleware adds.
///
/// It is owned by whoever runs at the moment, and may be kept for longer than the dispatch.
#[derive(Debug, Clone)]
pub struct Context {
    connection: Connection,
    frame: Frame,
    state: Arc<Extensions>,
    extensions: Extensions,
}

impl Context {
    pub(super) fn new(connection: Connection, frame: Frame, state: Arc<Extensions>) -> Self {
        Self { connection, frame, state, extensions: Extensions::new() }
    }

    /// The connection that the frame came from.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The frame.
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The frame's event; empty when there is none.
    pub fn event(&self) -> &str {
        self.frame.event()
    }

    /// What the router was [given](super::RouterBuilder::state) of this type. Handlers take it as
    /// [`State`](super::State).
    pub fn state<S: Send + Sync + 'static>(&self) -> Option<&S> {
        self.state.get::<S>()
    }

    /// What middleware before this point has put there, one value per type.
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// A place for middleware to leave values for the rest of the chain, one per type; handlers
    /// take them as [`Extension`](super::Extension). They are gone with the dispatch.
    pub const fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Extracts what a handler would take as an argument of this type.
    ///
    /// # Errors
    ///
    /// The extractor's own.
    pub fn extract<T: FromContext>(&self) -> Result<T, T::Error> {
        T::from_context(self)
    }
}
