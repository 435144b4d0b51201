//! What becomes of a session as a client is admitted under its id at another server.

use std::sync::Arc;

use wspulse_core::cluster::NotGiven;

use super::Speaks;
use crate::membership::shared::ConnectionShared;
use crate::settings::options::ReturnRules;

/// A client that was admitted under an id at another server.
pub(crate) struct ComesElsewhere<'a> {
    /// Whose it is.
    pub(crate) user: Option<&'a str>,
    /// The room that it was admitted to; empty for none.
    pub(crate) room: &'a str,
    pub(crate) speaks: Speaks,
}

/// What becomes of the session that has its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is the client's, and goes on where that is.
    GoesAlong,
    /// The client begins a new one.
    Ends,
}

impl ReturnRules {
    /// As for a client that comes here, unless that is not to have the id at all.
    pub(crate) fn fate_of(
        self,
        session: &Arc<ConnectionShared>,
        coming: &ComesElsewhere<'_>,
    ) -> Result<Fate, NotGiven> {
        if session.user_id() != coming.user {
            return Err(NotGiven::OtherUser);
        }
        if session.mailbox.is_leaving() {
            return Err(NotGiven::Busy);
        }
        if !coming.speaks.may_resume(session, self.duplicates) {
            return Ok(Fate::Ends);
        }
        match self.may_come_back(session, coming.room) {
            Ok(true) => Ok(Fate::GoesAlong),
            Ok(false) => Ok(Fate::Ends),
            Err(_) => Err(NotGiven::OtherRoom),
        }
    }
}
