//! A server that has something under an id, under which a client has come to another one.

use std::time::Duration;

use wspulse_core::Disconnect;
use wspulse_core::cluster::{Claim, ClaimedBy, NotGiven, SessionReply};
use wspulse_core::protocol::ResumeOffer;

use crate::app::server::Server;
use crate::membership::mailbox::LeaveReason;
use crate::membership::registry::{ComesElsewhere, Fate, Speaks};
use crate::membership::shared::ConnectionShared;
use crate::settings::codecs::CodecId;

impl Server {
    /// Whether a client of another server may begin under an id. Nothing is done to what is here.
    pub(super) fn answer_claim(&self, claim: &Claim) -> SessionReply {
        let Some(attachment) = self.attachment() else { return SessionReply::Free };
        let before = match self.claimed_fate(claim) {
            Ok(fate) => fate,
            Err(why) => return SessionReply::NotGiven(why),
        };
        let this = attachment.node().speaker().node();
        // It was looked before, so that nobody makes way for a client that is refused.
        if attachment.coming().meet(&claim.id, this, claim.node).is_err() {
            return SessionReply::NotGiven(NotGiven::Overtaken);
        }
        // A client that has come meanwhile is not about to come any more.
        let now = self.claimed_fate(claim).unwrap_or(Some(Fate::GoesAlong));
        match now.or(before) {
            Some(fate) => SessionReply::Held { goes_along: fate == Fate::GoesAlong },
            None => SessionReply::Free,
        }
    }

    /// How long ago the client of a session came; how long ago it began, if it has none.
    pub(super) fn came_ago(&self, session: &ConnectionShared) -> Duration {
        self.since(session.mailbox.newest()).unwrap_or_else(|| session.age())
    }

    /// What becomes of what is here under an id, if there is anything.
    fn claimed_fate(&self, claim: &Claim) -> Result<Option<Fate>, NotGiven> {
        self.check_own(claim)?;
        let fate = match self.registry().find(&claim.id) {
            Some(session) => {
                let coming = self.comes_elsewhere(claim);
                self.options().returns.fate_of(&session, &coming).map(Some)
            }
            None => self.kept_fate(claim).map(|kept| kept.map(|(_, fate)| fate)),
        };
        match fate {
            // It may be given up, or is.
            Err(NotGiven::Busy) => Ok(Some(Fate::GoesAlong)),
            fate => fate,
        }
    }

    /// A client does not end its own session: neither by a handshake that it has given up since, nor where its
    /// token led nowhere since a server that is busy was taken for dead. It comes again. With another codec, a
    /// token leads nowhere however often it comes.
    fn check_own(&self, claim: &Claim) -> Result<(), NotGiven> {
        let session = self.registry().find(&claim.id);
        let age = Duration::from_millis(claim.age_ms.into());
        if session.is_some_and(|session| self.came_ago(&session) < age) {
            return Err(NotGiven::Overtaken);
        }
        let Some(token) = &claim.token else { return Ok(()) };
        let offer = ResumeOffer { count: 0, token: token.to_string() };
        let offered = self.find_offered(&offer, Some(&claim.id));
        let codec = self.codec_named(&claim.codec);
        let is_own = offered.is_some_and(|(own, ..)| Some(own.mailbox.codec()) == codec)
            || self.shelf().has_token_of(&claim.id, token, &claim.codec);
        if is_own { Err(NotGiven::Outdated) } else { Ok(()) }
    }

    /// What is kept under an id, by its ticket, and what becomes of it.
    pub(super) fn kept_fate(&self, claim: &Claim) -> Result<Option<(u64, Fate)>, NotGiven> {
        self.shelf().fate_of(claim, self.options().returns.room_changes)
    }

    fn comes_elsewhere<'a>(&self, claim: &'a Claim) -> ComesElsewhere<'a> {
        let codec = self.codec_named(&claim.codec);
        let speaks = match (claim.by, codec) {
            (ClaimedBy::Plain, Some(codec)) if codec == CodecId::DEFAULT => Speaks::Plain,
            (ClaimedBy::Exchange, Some(codec)) => {
                let found = self.find_unclaimed(&claim.id, codec);
                Speaks::Exchange { resumes: found.map(|found| found.session) }
            }
            // It gets no session.
            (ClaimedBy::Plain | ClaimedBy::Exchange | ClaimedBy::Content, _) => Speaks::Moved(None),
        };
        ComesElsewhere { user: claim.user.as_deref(), room: &claim.room, speaks }
    }

    /// Gives up what is here under an id.
    pub(super) async fn release(&self, claim: &Claim) -> SessionReply {
        let Some(attachment) = self.attachment() else { return SessionReply::Free };
        // Nobody comes here under this id meanwhile.
        let Ok(_turn) = attachment.coming().enter_to_release(&claim.id).await else {
            return SessionReply::NotGiven(NotGiven::Overtaken);
        };
        let Some(session) = self.registry().find(&claim.id) else {
            return match self.release_kept(claim) {
                Ok(Some(ticket)) => self.session_part(ticket, 0),
                Ok(None) => SessionReply::Free,
                Err(why) => SessionReply::NotGiven(why),
            };
        };
        if let Err(why) = self.check_own(claim) {
            return SessionReply::NotGiven(why);
        }
        let coming = self.comes_elsewhere(claim);
        match self.options().returns.fate_of(&session, &coming) {
            Ok(Fate::GoesAlong) => {
                let reason = LeaveReason::ClientIsElsewhere { token: 0 };
                let ready = self.get_ready(&session, reason).await;
                self.take_reply(ready.ok_or(NotGiven::Busy))
            }
            Ok(Fate::Ends) => {
                self.end(&session, Disconnect::Duplicate);
                self.leave_all(&session);
                SessionReply::Free
            }
            Err(why) => SessionReply::NotGiven(why),
        }
    }

    /// As [`release`](Self::release), of what is on the shelf: the ticket of a session that goes along.
    pub(super) fn release_kept(&self, claim: &Claim) -> Result<Option<u64>, NotGiven> {
        let Some((ticket, fate)) = self.kept_fate(claim)? else { return Ok(None) };
        let goes_along = match fate {
            Fate::GoesAlong => Some(ticket),
            Fate::Ends => None,
        };
        self.tell_forgotten(self.shelf().forget_others(&claim.id, goes_along));
        Ok(goes_along)
    }
}
