//! Sessions that are here, and the tokens of the clients that come back to them.

use std::borrow::Cow;
use std::sync::Arc;

use wspulse_core::protocol::ResumeOffer;

use super::Server;
use crate::membership::shared::ConnectionShared;
use crate::settings::codecs::CodecId;
use crate::settings::token::{Proof, Token, TokenKey};
use crate::wire::transport::ComesBack;

/// The session that a client comes back to.
pub(crate) struct Found {
    pub(crate) session: Arc<ConnectionShared>,
    pub(super) comes_back: ComesBack,
}

impl Found {
    pub(super) fn new(session: Arc<ConnectionShared>, received: u64, token: Token) -> Option<Self> {
        let Token::Valid(token) = token else { return None };
        session.mailbox.confirm_token(token);
        Some(Self { session, comes_back: ComesBack { received, token } })
    }
}

impl Server {
    /// The session whose token a client offers; if the application has admitted it under an id, the
    /// session must have that one.
    pub(crate) fn find_offered(
        &self,
        offer: &ResumeOffer,
        admitted_id: Option<&str>,
    ) -> Option<(Arc<ConnectionShared>, u64, Token)> {
        let id = match admitted_id {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(TokenKey::id_of(&offer.token)?),
        };
        let session = self.inner.registry.find(&id)?;
        let proof = session.mailbox.proof()?;
        let token = self.inner.token_key.check(&offer.token, &id, proof)?;
        Some((session, offer.count, token))
    }

    /// A connection is over, and with it its session, unless that has gone elsewhere and come back by now.
    pub(super) fn forget_tokens(&self, connection: &ConnectionShared) {
        let Some(proof) = connection.mailbox.proof() else { return };
        let newer = self.inner.registry.find(&connection.id).and_then(|it| it.mailbox.proof());
        if newer.is_none_or(|newer| !newer.is_of_session_of(proof)) {
            self.inner.token_key.forget(proof);
        }
    }

    /// The newest token of a session.
    pub(crate) fn token(&self, id: &str, proof: Proof) -> String {
        self.inner.token_key.token(id, proof)
    }

    /// A session whose first hello nobody is known to have read: it is for the client that is
    /// admitted under its id now, which has no token and no frame of it.
    pub(crate) fn find_unclaimed(&self, id: &str, codec: CodecId) -> Option<Found> {
        let session = self.inner.registry.find(id)?;
        let is_claimed = session.mailbox.proof()?.is_claimed();
        let is_for_it = !is_claimed && session.mailbox.codec() == codec;
        is_for_it.then_some(Found { session, comes_back: ComesBack { received: 0, token: 0 } })
    }
}
