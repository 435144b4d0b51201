//! What is kept under an id, for a client that has it and no token.

use wspulse_core::cluster::{Claim, ClaimedBy, HeldId, NotGiven};

use super::{Forgotten, Inner, Kept, Place, Shelf, millis};
use crate::membership::registry::Fate;
use crate::settings::options::RoomChange;
use crate::settings::token::TokenKey;

impl Shelf {
    /// What becomes of the newest session that is here under an id, and its ticket, if there is any.
    pub(crate) fn fate_of(
        &self,
        claim: &Claim,
        room_changes: RoomChange,
    ) -> Result<Option<(u64, Fate)>, NotGiven> {
        let inner = &*self.0.lock();
        if inner.expected.contains(&*claim.id) {
            return Err(NotGiven::Busy);
        }
        let Some((ticket, kept)) = inner.newest_here(&claim.id) else { return Ok(None) };
        if kept.user.as_deref() != claim.user.as_deref() {
            return Err(NotGiven::OtherUser);
        }
        let is_for_it = match claim.by {
            ClaimedBy::Plain => kept.proof.is_none(),
            // Nobody is known to have read its first hello.
            ClaimedBy::Exchange => !kept.proof.is_none() && kept.proof.confirmed == 0,
            ClaimedBy::Content => false,
        };
        if !is_for_it || *kept.codec != *claim.codec {
            return Ok(Some((ticket, Fate::Ends)));
        }
        match room_changes {
            _ if *kept.home == *claim.room => {}
            RoomChange::Keep => {}
            RoomChange::Replace => return Ok(Some((ticket, Fate::Ends))),
            RoomChange::Refuse => return Err(NotGiven::OtherRoom),
        }
        Ok(Some((ticket, Fate::GoesAlong)))
    }

    /// Whether a token is that of a session that is here under an id, and goes on in that codec.
    pub(crate) fn has_token_of(&self, id: &str, token: &str, codec: &str) -> bool {
        let inner = &*self.0.lock();
        let is_of = |ticket| {
            let kept = inner.by_ticket.get(ticket).filter(|_| inner.is_here(*ticket));
            kept.is_some_and(|kept| {
                *kept.codec == *codec && TokenKey::number_in(token, &kept.proof).is_some()
            })
        };
        inner.by_id.get(id).is_some_and(|tickets| tickets.iter().any(is_of))
    }

    /// The newest session that is here under an id, as another server is told of it.
    pub(crate) fn held_under(&self, id: &str) -> Option<HeldId> {
        let inner = &*self.0.lock();
        let Kept { user, age, place, .. } = inner.newest_here(id)?.1;
        let away = match place {
            Place::Here { left_at, .. } => left_at.elapsed(),
            Place::Gone(_) => return None,
        };
        Some(HeldId {
            id: id.into(),
            user: user.as_deref().map(Into::into),
            age_ms: millis(age.saturating_add(away)),
            came_ms: u32::MAX,
            is_connected: false,
        })
    }

    /// Forgets all that is here under an id but what has this ticket.
    pub(crate) fn forget_others(&self, id: &str, but: Option<u64>) -> Vec<Forgotten> {
        let inner = &mut *self.0.lock();
        let tickets = inner.by_id.get(id).cloned().unwrap_or_default();
        let others = tickets.into_iter().filter(|ticket| Some(*ticket) != but);
        let others: Vec<_> = others.filter(|ticket| inner.is_here(*ticket)).collect();
        others.into_iter().filter_map(|ticket| inner.forget(ticket)?.forgotten()).collect()
    }
}

impl Inner {
    fn newest_here(&self, id: &str) -> Option<(u64, &Kept)> {
        let newest = self.by_id.get(id)?.iter().rev().find(|ticket| self.is_here(**ticket))?;
        Some((*newest, self.by_ticket.get(newest)?))
    }
}

impl Kept {
    /// What is to be told of it if nobody has come for it.
    pub(super) fn forgotten(self) -> Option<Forgotten> {
        let Self { id, home, place, .. } = self;
        match place {
            Place::Here { waiting, .. } => Some(Forgotten { id, home, waiting }),
            Place::Gone(_) => None,
        }
    }
}
