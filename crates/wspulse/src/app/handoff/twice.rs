//! Ids that are at two servers, since one of them could not be asked when their clients came.
//!
//! Each server keeps in mind since when which of the others may not have been asked: one that was silent,
//! that was not known yet, or did not answer. Once such a server is heard, it is asked about the ids of all
//! who have come since then. Of two servers the one with the lower id decides what ends where, so that
//! never both end theirs.
//!
//! An id that a client is about to get, or whose session is about to go elsewhere, is asked about by itself
//! once it is known what has come of that: it may be nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wspulse_core::Disconnect;
use wspulse_core::cluster::{
    HeldId, NodeId, NotGiven, SessionReply, SessionRequest, TWICE_MAX, Twice,
};

use super::bringing::GIVEN_WITHIN;
use super::shelf::millis;
use crate::app::server::Server;
use crate::membership::shared::{ConnectionShared, ConnectionState};
use crate::settings::options::IdScope;

/// How long the server that decides may take to look up what it has.
const LOOKED_UP_WITHIN: Duration = Duration::from_millis(500);

/// How often that one is asked by a server that must know before it answers itself.
const ASKED_BACK_MAX: usize = 2;

/// After how long it is looked again what has come of an id, and how often: for longer than it takes a client
/// to get it, or a session to go elsewhere. Then it is asked about whatever is there.
const LOOKED_AGAIN_AFTER: Duration = Duration::from_millis(100);
const LOOKED_AGAIN_MAX: usize = 300;

/// What this server has under an id.
struct Held {
    told: HeldId,
    /// `None` if it is kept for a client that has not come.
    session: Option<Arc<ConnectionShared>>,
}

impl Held {
    fn of(session: Arc<ConnectionShared>, came_ago: Duration) -> Option<Self> {
        let is_connected = match session.mailbox.state() {
            ConnectionState::Connected => true,
            ConnectionState::Suspended => false,
            ConnectionState::Closed => return None,
        };
        let told = HeldId {
            id: (&*session.id).into(),
            user: session.user_id().map(Into::into),
            age_ms: millis(session.age_anywhere()),
            came_ms: millis(came_ago),
            is_connected,
        };
        Some(Self { told, session: Some(session) })
    }
}

impl Server {
    /// From when a server was heard last on, it may not be asked about who comes here.
    pub(crate) fn note_unreachable(&self, node: NodeId) {
        let Some(attachment) = self.attachment() else { return };
        if let Some(heard_at) = attachment.node().with_inbox(|inbox| inbox.heard_at(node)) {
            attachment.unasked().note(node, Instant::from_std(heard_at));
        }
    }

    /// A server can be asked by now.
    pub(crate) fn note_reachable(&self, node: NodeId) {
        if let Some(attachment) = self.attachment() {
            attachment.unasked().note_present(node);
            self.end_what_is_twice();
        }
    }

    /// Has servers asked that could not be before, where they can be by now.
    pub(crate) fn end_what_is_twice(&self) {
        let Some(attachment) = self.attachment() else { return };
        if self.options().id_scope == IdScope::Server || attachment.unasked().is_empty() {
            return;
        }
        for (node, since) in attachment.unasked().take_due(attachment.node()) {
            let server = self.clone();
            self.spawn(async move {
                let began = Instant::now();
                let is_done = server.ask_what_is_twice(node, since).await;
                if let Some(attachment) = server.attachment() {
                    attachment.unasked().note_asked(node, began, is_done);
                }
            });
        }
    }

    /// Tells whether all was answered.
    async fn ask_what_is_twice(&self, node: NodeId, since: Instant) -> bool {
        let mut all = self.registry().all();
        all.retain(|it| it.opened_at >= since && !self.is_asked_about_later(node, &it.id));
        let held: Vec<_> = all.into_iter().filter_map(|it| self.held(it)).collect();
        self.settle(node, &held, GIVEN_WITHIN).await
    }

    /// Asks which of these end here, for what another server has; tells whether that has answered.
    async fn settle(&self, node: NodeId, mut held: &[Held], within: Duration) -> bool {
        let bytes_max = self.session_part_bytes_max();
        while !held.is_empty() {
            let mut bytes = 0;
            let fits = |it: &&Held| {
                bytes += it.told.bytes();
                bytes <= bytes_max
            };
            let count = held.iter().take(TWICE_MAX).take_while(fits).count().max(1);
            let (asked, others) = held.split_at(count);
            let ids = asked.iter().map(|it| it.told.clone()).collect();
            let Some(speaker) = self.speaker() else { return false };
            let twice = SessionRequest::Twice(Twice { node: speaker.node(), ids });
            match self.ask_node(node, &twice, within).await {
                Ok(Some(SessionReply::Ending(places))) => {
                    let ending = places.iter().filter_map(|place| asked.get(usize::from(*place)));
                    ending.for_each(|it| self.end_as_twice(it));
                }
                Ok(
                    Some(
                        SessionReply::Given { .. }
                        | SessionReply::NotGiven(_)
                        | SessionReply::Committed
                        | SessionReply::Free
                        | SessionReply::Held { .. },
                    )
                    | None,
                )
                | Err(_) => return false,
            }
            held = others;
        }
        true
    }

    /// Another server has these, about which it could not ask before.
    pub(super) async fn answer_twice(&self, twice: Twice) -> SessionReply {
        let nothing = SessionReply::Ending(Vec::new());
        let Some(speaker) = self.speaker() else { return nothing };
        if self.options().id_scope == IdScope::Server {
            return nothing;
        }
        let Twice { node, ids } = twice;
        let both = (0..).zip(ids).filter_map(|(place, theirs)| {
            if self.is_asked_about_later(node, &theirs.id) {
                return None;
            }
            let ours = self.held_under(&theirs.id)?;
            Some((place, theirs, ours))
        });
        if speaker.node() < node {
            return SessionReply::Ending(self.decide(both));
        }
        let ours: Vec<_> = both.map(|(_, _, ours)| ours).collect();
        for _ in 0..ASKED_BACK_MAX {
            if self.settle(node, &ours, LOOKED_UP_WITHIN).await {
                return nothing;
            }
        }
        SessionReply::NotGiven(NotGiven::Busy)
    }

    /// Ends what ends here, and tells what ends there.
    fn decide(&self, both: impl Iterator<Item = (u16, HeldId, Held)>) -> Vec<u16> {
        let mut end_there = Vec::new();
        for (place, theirs, ours) in both {
            if ours.told.ends_for(&theirs) {
                self.end_as_twice(&ours);
            } else {
                end_there.push(place);
            }
        }
        end_there
    }

    fn held(&self, session: Arc<ConnectionShared>) -> Option<Held> {
        let came_ago = self.came_ago(&session);
        Held::of(session, came_ago)
    }

    /// Whether it is not known yet what will be here under an id: then another server is asked about that
    /// later.
    fn is_asked_about_later(&self, node: NodeId, id: &str) -> bool {
        if !self.is_unsettled(id) {
            return false;
        }
        let is_news = self.attachment().is_some_and(|it| it.unasked().begin_later(node, id));
        if is_news {
            let (server, id) = (self.clone(), Box::<str>::from(id));
            self.spawn(async move { server.ask_later(node, &id).await });
        }
        true
    }

    /// Whether a client is about to get an id here, or what is here may be about to go elsewhere.
    fn is_unsettled(&self, id: &str) -> bool {
        let session = self.registry().find(id);
        session.is_some_and(|session| session.mailbox.is_leaving())
            || self.attachment().is_some_and(|it| it.coming().is_coming(id))
            || self.shelf().is_on_its_way(id)
    }

    async fn ask_later(&self, node: NodeId, id: &str) {
        for _ in 0..LOOKED_AGAIN_MAX {
            if !self.is_unsettled(id) {
                break;
            }
            sleep(LOOKED_AGAIN_AFTER).await;
        }
        let Some(attachment) = self.attachment() else { return };
        attachment.unasked().end_later(node, id);
        let Some(held) = self.held_under(id) else { return };
        let came_at = held.session.as_ref().map_or_else(Instant::now, |it| it.opened_at);
        if !self.settle(node, &[held], GIVEN_WITHIN).await {
            // With the next beat, and all who have come since.
            attachment.unasked().note(node, came_at);
        }
    }

    fn held_under(&self, id: &str) -> Option<Held> {
        if let Some(session) = self.registry().find(id) {
            return self.held(session);
        }
        Some(Held { told: self.shelf().held_under(id)?, session: None })
    }

    fn end_as_twice(&self, held: &Held) {
        match &held.session {
            Some(session) => {
                self.end(session, Disconnect::Duplicate);
                self.leave_all(session);
            }
            None => self.tell_forgotten(self.shelf().forget_others(&held.told.id, None)),
        }
    }
}
