//! Whether a client that comes gets the session that is there.

use std::sync::Arc;

use super::{Arrival, Refused};
use crate::membership::shared::ConnectionShared;
use crate::membership::shared::ConnectionState;
use crate::settings::options::{DuplicatePolicy, ReturnRules, RoomChange};
use crate::settings::token::Proof;

/// What a client and its session speak.
pub(crate) enum Speaks {
    /// WebSocket, and nothing beside.
    Plain,
    /// `wspulse.1`; and this is the session whose token the client has, if it has one.
    Exchange { resumes: Option<Arc<ConnectionShared>> },
    /// Its session comes with it from another server; and if it speaks `wspulse.1`, it was found there by
    /// this.
    Moved(Option<Proof>),
}

impl Speaks {
    /// The id of the session that the client has the token of, or a random one.
    pub(crate) fn session_id(&self) -> Arc<str> {
        match self {
            Self::Exchange { resumes: Some(session) } => Arc::clone(&session.id),
            Self::Exchange { resumes: None } | Self::Moved(_) | Self::Plain => {
                uuid::Uuid::new_v4().to_string().into()
            }
        }
    }

    /// Whether the client gets this session, which has the id that it was admitted with.
    pub(super) fn may_resume(
        &self,
        session: &Arc<ConnectionShared>,
        policy: DuplicatePolicy,
    ) -> bool {
        match (self, session.mailbox.state(), policy) {
            (_, ConnectionState::Closed, _) | (Self::Moved(_), _, _) => false,
            // Whoever has the token is whom the session waits for, be it suspended or not.
            (Self::Exchange { resumes }, _, _) => {
                resumes.as_ref().is_some_and(|resumes| Arc::ptr_eq(resumes, session))
            }
            (Self::Plain, _, _) if session.mailbox.proof().is_some() => false,
            (Self::Plain, ConnectionState::Suspended, _)
            | (Self::Plain, ConnectionState::Connected, DuplicatePolicy::Resume) => true,
            (Self::Plain, ConnectionState::Connected, DuplicatePolicy::Replace) => false,
        }
    }
}

/// Whether a client's transport comes too late for this session: another one, whose handshake began
/// later, is there or on its way. A client that shows the newest token is not late.
pub(super) fn is_overtaken(arrival: &Arrival<'_>, session: &Arc<ConnectionShared>) -> bool {
    let shows_newest = match &arrival.speaks {
        Speaks::Exchange { resumes: Some(resumes) } if Arc::ptr_eq(resumes, session) => {
            let comes_back = arrival.upgrade.comes_back;
            comes_back.is_some_and(|it| session.mailbox.has_newest(it.token))
        }
        Speaks::Exchange { .. } | Speaks::Moved(_) | Speaks::Plain => false,
    };
    !shows_newest && session.mailbox.has_newer(arrival.upgrade.begun)
}

impl ReturnRules {
    /// Whether the application was asked about the connection that has the id, if it wants to be.
    pub(super) fn check_authority(
        self,
        existing: Option<&Arc<ConnectionShared>>,
        asked_about: Option<&Arc<ConnectionShared>>,
    ) -> Result<(), Refused> {
        let Some(existing) = existing.filter(|_| self.reauthorizes) else { return Ok(()) };
        if asked_about.is_some_and(|authorized| Arc::ptr_eq(authorized, existing)) {
            return Ok(());
        }
        Err(Refused::SessionChanged)
    }

    /// Whether a client that was admitted to this room gets the session that waits for it; else it
    /// begins a new one. All that it may have changed besides its room belongs here.
    pub(super) fn may_come_back(
        self,
        session: &ConnectionShared,
        room: &str,
    ) -> Result<bool, Refused> {
        match self.room_changes {
            _ if *session.room() == *room => Ok(true),
            RoomChange::Keep => Ok(true),
            RoomChange::Replace => Ok(false),
            RoomChange::Refuse => Err(Refused::OtherRoom),
        }
    }
}
