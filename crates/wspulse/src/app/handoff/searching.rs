//! A session whose server has ended: all others are asked for it, of which one may keep it.

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wspulse_core::cluster::{MovedSession, NodeId, NotGiven, SessionReply, SessionRequest};

use super::arrived::Arrived;
use super::bringing::{Asked, GIVEN_WITHIN, Wanted, asked_in_vain, left_at};
use crate::app::server::Server;
use crate::cluster::RequestFailed;
use crate::membership::registry::Refused;

/// A session that is to be had.
struct Offer {
    /// Where, if not here.
    node: Option<NodeId>,
    ticket: u64,
    session: MovedSession,
    left_at: Instant,
}

/// What has come of asking.
#[derive(Default)]
struct Answers {
    offers: Vec<(NodeId, SessionReply)>,
    here: Option<u64>,
    elsewhere: Option<NodeId>,
    refused: Option<NotGiven>,
    /// One that may have it has not said so.
    is_lacking: bool,
}

impl Answers {
    fn note_refusal(&mut self, why: NotGiven) {
        match why {
            NotGiven::Unknown => {}
            NotGiven::Elsewhere(node) => self.elsewhere = Some(node),
            NotGiven::Outdated
            | NotGiven::OtherUser
            | NotGiven::OtherRoom
            | NotGiven::Busy
            | NotGiven::Full
            | NotGiven::Overtaken
            | _ => self.refused = Some(why),
        }
    }
}

impl Server {
    /// Asks all servers for a session. It may be kept by two, where a server has ended before it has
    /// heard that the first one has it: then the one that has got further counts, and the other is
    /// forgotten.
    pub(super) async fn search(&self, wanted: &Wanted<'_>) -> Result<Asked, Refused> {
        let Some(attachment) = self.attachment() else { return Ok(Asked::Lost) };
        // Clients that make up tokens ask the others for no more than that at a time.
        let Ok(_turn) = attachment.searches().acquire().await else { return Ok(Asked::Lost) };
        let asked_at = Instant::now();
        let answers = self.ask_everybody(wanted).await;
        if answers.is_lacking {
            return Err(Refused::OutOfReach);
        }
        let mut offers = Vec::new();
        if let Some(ticket) = answers.here
            && let Some((session, left_at)) = self.shelf().peek(ticket)
        {
            offers.push(Offer { node: None, ticket, session, left_at });
        }
        for (node, reply) in answers.offers {
            offers.push(self.fetch_offer(node, asked_at, reply).await.ok_or(Refused::OutOfReach)?);
        }
        offers.sort_by_key(|it| {
            let MovedSession { proof, exchange, queue, .. } = &it.session;
            (proof.newest, exchange.received, queue.written)
        });
        let Some(furthest) = offers.pop() else {
            return match (answers.elsewhere, answers.refused) {
                (Some(node), _) => Ok(Asked::Elsewhere(node)),
                (None, Some(why)) => asked_in_vain(why),
                // It may not have been asked yet whoever has it.
                (None, None) if !attachment.node().knows_others() => Err(Refused::OutOfReach),
                (None, None) => Ok(Asked::Lost),
            };
        };
        let asked = self.accept(furthest).await?;
        for Offer { node, ticket, .. } in offers {
            match node {
                Some(node) => drop(self.say_commit(node, ticket).await),
                None => self.shelf().forget_moved(ticket),
            }
        }
        Ok(asked)
    }

    async fn ask_everybody(&self, wanted: &Wanted<'_>) -> Answers {
        let mut answers = Answers::default();
        let Some(attachment) = self.attachment() else { return answers };
        let take = wanted.take();
        let mut asking = JoinSet::new();
        for node in attachment.node().living() {
            let (server, take) = (self.clone(), take.clone());
            asking.spawn(async move { (node, server.ask_node(node, &take, GIVEN_WITHIN).await) });
        }
        match self.give(wanted).await {
            Ok(ticket) => answers.here = Some(ticket),
            Err(why) => answers.note_refusal(why),
        }
        while let Some(asked) = asking.join_next().await {
            let Ok((node, reply)) = asked else {
                answers.is_lacking = true;
                continue;
            };
            match reply {
                Ok(Some(reply @ SessionReply::Given { .. })) => answers.offers.push((node, reply)),
                Ok(Some(SessionReply::NotGiven(why))) => answers.note_refusal(why),
                Ok(
                    Some(
                        SessionReply::Committed
                        | SessionReply::Free
                        | SessionReply::Held { .. }
                        | SessionReply::Ending(_),
                    )
                    | None,
                ) => answers.is_lacking = true,
                Err(error) => {
                    // It has ended by now, or is taken for dead.
                    let is_gone = matches!(error, RequestFailed::NoNode { .. });
                    answers.is_lacking |= !is_gone && !self.is_lost(node);
                }
            }
        }
        answers
    }

    async fn fetch_offer(
        &self,
        node: NodeId,
        asked_at: Instant,
        reply: SessionReply,
    ) -> Option<Offer> {
        let SessionReply::Given { ticket, away_ms, bytes, part } = reply else { return None };
        let left_at = left_at(asked_at, away_ms);
        let session: Bytes = self.fetch(node, (ticket, bytes as usize), part).await?;
        let session = MovedSession::decode(session).ok()?;
        Some(Offer { node: Some(node), ticket, session, left_at })
    }

    async fn accept(&self, offer: Offer) -> Result<Asked, Refused> {
        let Offer { node, ticket, session, left_at } = offer;
        match node {
            Some(node) => self.commit(node, ticket, (session, left_at)).await,
            None => Ok(match self.shelf().take(ticket) {
                Some(taken) => Asked::Brought(Arrived::new(self, taken)),
                None => Asked::Lost,
            }),
        }
    }
}

impl Wanted<'_> {
    /// What another server is asked.
    pub(super) fn take(&self) -> SessionRequest {
        let Wanted { token, id, room, user, codec } = *self;
        SessionRequest::Take {
            token: token.into(),
            id: id.map(Into::into),
            room: room.into(),
            user: user.map(Into::into),
            codec: codec.into(),
        }
    }
}
