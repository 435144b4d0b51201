//! Counting while somebody watches.

use std::fmt;

use super::Server;
use crate::observe::metrics::Totals;

/// Has a server count what it does, for as long as this is there. Made by [`Server::watch`].
#[must_use = "the server counts while this is there"]
pub struct Watch {
    server: Server,
}

impl Server {
    /// Has the server count what it does until the returned value is dropped: for somebody who looks
    /// at it for a while, such as an inspector's page. A server that nobody watches counts nothing of
    /// this. For numbers without gaps there is [`MetricsCollector`](crate::MetricsCollector).
    ///
    /// ```
    /// # async fn rate(server: &wspulse::Server) {
    /// let watch = server.watch();
    /// let before = watch.totals();
    /// tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    /// println!("{} messages a second", watch.totals().received - before.received);
    /// # }
    /// ```
    pub fn watch(&self) -> Watch {
        self.metrics().begin_watch();
        Watch { server: self.clone() }
    }
}

impl Watch {
    /// What was counted so far. Counts go on where they were when the server was last watched.
    pub fn totals(&self) -> Totals {
        self.server.metrics().tally().totals()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.server.metrics().end_watch();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
