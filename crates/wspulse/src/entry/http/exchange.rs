//! Negotiating the protocol `wspulse.1`.

use http::HeaderValue;
use wspulse_core::protocol::{PLAIN_SUBPROTOCOL, SUBPROTOCOL_PREFIX};

use crate::app::server::Server;
use crate::settings::codecs::CodecId;
use crate::settings::connect::Exchange;

/// What is answered to a client whose subprotocol the application has not chosen.
pub(super) enum Negotiated {
    Exchange(Exchange, HeaderValue),
    /// Frames alone, and the client hears so if it asks.
    Plain(Option<HeaderValue>),
}

impl Negotiated {
    /// The exchange if the server promises as much and the client offers it with a codec that the
    /// server has: its first offer of those.
    pub(super) fn of(server: &Server, offered: &[Box<str>]) -> Self {
        if let Some((codec, chosen)) = chosen_exchange(server, offered) {
            let resume = offered.iter().find_map(|offered| offered.parse().ok());
            return Self::Exchange(Exchange { codec, resume }, chosen);
        }
        let is_offered = offered.iter().any(|offered| **offered == *PLAIN_SUBPROTOCOL);
        Self::Plain(is_offered.then(|| HeaderValue::from_static(PLAIN_SUBPROTOCOL)))
    }
}

fn chosen_exchange(server: &Server, offered: &[Box<str>]) -> Option<(CodecId, HeaderValue)> {
    if !server.options().delivery.offers_exchange() {
        return None;
    }
    let (codec, chosen) = offered.iter().find_map(|offered| {
        let codec = server.codecs().named(offered.strip_prefix(SUBPROTOCOL_PREFIX)?)?;
        Some((codec, offered))
    })?;
    Some((codec, HeaderValue::from_str(chosen).ok()?))
}
