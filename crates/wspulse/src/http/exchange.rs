//! Negotiating the protocol `wspulse.1`.

use http::HeaderValue;
use wspulse_core::protocol::{ResumeOffer, SUBPROTOCOL_PREFIX};

use crate::server::Server;

/// What a client that speaks `wspulse.1` has said of itself in its handshake.
pub(crate) struct Exchange {
    /// What it offers to resume, if it has a session.
    pub(crate) resume: Option<ResumeOffer>,
}

impl Exchange {
    /// The terms and the subprotocol to answer with, if the server promises as much and the client
    /// offers the protocol with the server's codec.
    pub(super) fn negotiate(server: &Server, offered: &[Box<str>]) -> Option<(Self, HeaderValue)> {
        if !server.options().delivery.offers_exchange() {
            return None;
        }
        let codec = server.codec().name()?;
        let chosen = offered.iter().find(|offered| {
            offered.strip_prefix(SUBPROTOCOL_PREFIX).is_some_and(|wanted| wanted == codec)
        })?;
        let resume = offered.iter().find_map(|offered| offered.parse().ok());
        Some((Self { resume }, HeaderValue::from_str(chosen).ok()?))
    }
}
