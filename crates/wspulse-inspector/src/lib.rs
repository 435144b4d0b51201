#![doc = include_str!("../README.md")]

mod access;
mod actions;
mod answer;
mod assets;
mod builder;
mod handler;
mod listing;
mod live;
mod query;
mod search;
mod tail;
mod ticker;

use std::fmt;
use std::sync::Arc;

use wspulse::Server;

pub use access::{Access, GuardFuture};
pub use builder::Builder;

/// Shows what a server has, to whom it may: a tower service to mount under any one path, with
/// axum's `route_service` for instance. Clones are handles to the same inspector.
///
/// Nothing is counted, listed or sent while no page is open and visible.
#[derive(Clone)]
pub struct Inspector(Arc<Shared>);

struct Shared {
    /// The server that is looked at.
    server: Server,
    guard: access::Guard,
    may_act: bool,
    /// That of the pages: what is live goes to them over WebSocket.
    pages: Server,
}

impl Inspector {
    /// Begins an inspector that asks `guard` about every request: who it is, by what your login has
    /// left in the request, and whether they may. A refusal is the answer to the request.
    ///
    /// The guard gets the head of the request, also that of the page's WebSocket and of each press of
    /// a button. The WebSocket is asked about again every five minutes.
    ///
    /// ```
    /// use wspulse::Rejection;
    /// use wspulse::http::StatusCode;
    /// use wspulse_inspector::{Access, Inspector};
    ///
    /// # struct Staff; impl Staff { fn is_admin(&self) -> bool { true } }
    /// # fn build(server: wspulse::Server) -> Result<Inspector, wspulse::ConfigError> {
    /// let inspector = Inspector::guarded_by(server, |request| async move {
    ///     // What the application's own middleware has put there.
    ///     match request.extensions.get::<std::sync::Arc<Staff>>() {
    ///         Some(staff) if staff.is_admin() => Ok(Access::Full),
    ///         Some(_) => Ok(Access::ReadOnly),
    ///         None => Err(Rejection::with_status(StatusCode::NOT_FOUND, "not found")),
    ///     }
    /// })
    /// .build()?;
    /// # Ok(inspector)
    /// # }
    /// ```
    pub fn guarded_by<F, Fut>(server: Server, guard: F) -> Builder
    where
        F: Fn(http::request::Parts) -> Fut + Send + Sync + 'static,
        Fut: GuardFuture,
    {
        Builder::new(server, access::boxed(guard))
    }

    /// Begins an inspector that lets everybody in who can send a request to it, and lets them do
    /// everything: for a server that listens on this machine alone, or behind something that asks.
    ///
    /// A web page that somebody on this machine visits can do nothing with it, unless it has a name of
    /// its own resolve to this machine (DNS rebinding).
    pub fn open_to_everyone(server: Server) -> Builder {
        Builder::new(server, access::everyone())
    }

    /// Has all open pages go, with close code 1001, and takes no more: for the end of the process.
    /// Without it they go with the runtime.
    pub async fn close(&self) {
        self.0.pages.close().await;
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("pages", &self.0.pages.connection_count())
            .field("may_act", &self.0.may_act)
            .finish_non_exhaustive()
    }
}
