//! What a handshake that is decided upon waits for before its client is let in.

use std::pin::Pin;

use tokio::task::yield_now;
use wspulse_core::protocol::ResumeOffer;

use super::Pending;
use crate::app::handoff::Prepared;
use crate::entry::http::exchange::Negotiated;
use crate::entry::http::response::Response;
use crate::settings::connect::Admission;

pub(super) type Preparing<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Box<Prepared>>, Response>> + Send + 'a>>;

impl Pending {
    /// What a server of a cluster gets ready before it lets a client in: the session that is at another
    /// one, the id that nobody else has, or that what is said elsewhere to its rooms is heard.
    async fn prepare(&self, admission: &Admission) -> Result<Option<Box<Prepared>>, Response> {
        let negotiated = Negotiated::of(&self.server, &self.protocols);
        let exchange = match (self.chosen_protocol(admission), negotiated) {
            (None, Negotiated::Exchange(exchange, _)) => Some(exchange),
            (Some(_), _) | (None, Negotiated::Plain(_)) => None,
        };
        let prepared = self.server.prepare(admission, exchange.as_ref(), self.begun).await;
        let prepared = prepared.map_err(|refused| self.server.refuse(refused))?;
        if prepared.as_ref().is_none_or(|prepared| !prepared.has_session()) {
            self.server.listen_ahead(admission).await;
        }
        Ok(prepared)
    }

    /// What is to be waited for before a client is let in. Boxed: most clients have no room for it in their
    /// handshakes.
    pub(super) fn preparing<'a>(&'a self, admission: &'a Admission) -> Option<Preparing<'a>> {
        let takes_over = self.takes_over(admission);
        if !takes_over && self.server.attachment().is_none() {
            return None;
        }
        Some(Box::pin(async move {
            if takes_over {
                // The request may have waited for long on a busy server, and its client has given up since,
                // or has even come by its next attempt. Whoever serves the connection looks now, and drops
                // this: a client that has hung up takes no id and no session away.
                yield_now().await;
            }
            match self.server.attachment() {
                Some(_) => self.prepare(admission).await,
                None => Ok(None),
            }
        }))
    }

    /// Whether there is somebody under its id, or it comes for a session.
    fn takes_over(&self, admission: &Admission) -> bool {
        admission.id.as_deref().is_some_and(|id| self.server.has_session(id))
            || self.protocols.iter().any(|offered| ResumeOffer::is_meant(offered))
    }
}
