//! The server that a client has come to, when its session is at another one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tokio::time::Instant;
use wspulse_core::cluster::{MovedSession, NodeId, NotGiven, SessionReply, SessionRequest};
use wspulse_core::protocol::ResumeOffer;

use crate::app::server::Server;
use crate::cluster::RequestFailed;
use crate::membership::registry::Refused;
use crate::settings::connect::{Admission, Exchange};
use crate::settings::token::TokenKey;

/// How long the server that has a session may take to give it: it waits a second for a callback.
const GIVEN_WITHIN: Duration = Duration::from_secs(2);

/// How long it may take to say more of it, or that it has heard that all of it is here.
const TOLD_WITHIN: Duration = Duration::from_millis(500);

/// How often it is told that all of it is here.
const COMMITS_MAX: usize = 4;

/// The longest way that a session is looked for, from one server to the next.
const HOPS_MAX: usize = 4;

/// The largest session that is taken, in bytes: what is read of another server is bounded.
const SESSION_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A session that has come from another server, and its client.
pub(crate) struct Brought {
    pub(super) session: MovedSession,
    /// How many frames the client has.
    pub(super) received: u64,
    /// The number of the client's token.
    pub(super) token: u32,
    /// When it has left its groups.
    pub(super) left_at: Instant,
}

/// What has become of a session that was asked for.
enum Asked {
    /// With when it has left its groups.
    Brought(Box<MovedSession>, Instant),
    Elsewhere(NodeId),
    /// There is none any more.
    Lost,
}

impl Server {
    /// The session whose token a client offers, if it is not here and can be brought here.
    pub(crate) async fn bring(
        &self,
        admission: &Admission,
        exchange: &Exchange,
    ) -> Result<Option<Box<Brought>>, Refused> {
        let Some(offer) = &exchange.resume else { return Ok(None) };
        let Some(maker) = TokenKey::node_of(&offer.token) else { return Ok(None) };
        let Some(token) = TokenKey::number_of(&offer.token) else { return Ok(None) };
        if self.find_offered(offer, admission.id.as_deref()).is_some() {
            return Ok(None);
        }
        let codec = self.codecs().of(exchange.codec).name().unwrap_or_default();
        let found = self.look_for(maker, offer, admission, codec).await?;
        Ok(found.map(|(session, left_at)| {
            Box::new(Brought { session: *session, received: offer.count, token, left_at })
        }))
    }

    async fn look_for(
        &self,
        maker: NodeId,
        offer: &ResumeOffer,
        admission: &Admission,
        codec: &str,
    ) -> Result<Option<(Box<MovedSession>, Instant)>, Refused> {
        let Admission { id, user, room, .. } = admission;
        let room = room.as_deref().unwrap_or_default();
        let Some(speaker) = self.speaker() else { return Ok(None) };
        let mut node = maker;
        for _ in 0..HOPS_MAX {
            let asked = if node == speaker.node() {
                let asked = (&*offer.token, id.as_deref(), room, user.as_deref(), codec);
                match self.give(asked).await {
                    Ok(ticket) => match self.shelf().take(ticket) {
                        Some((session, left_at)) => Asked::Brought(Box::new(session), left_at),
                        None => Asked::Lost,
                    },
                    Err(why) => asked_in_vain(why)?,
                }
            } else {
                let take = SessionRequest::Take {
                    token: offer.token.as_str().into(),
                    id: id.as_deref().map(ByteString::from),
                    room: room.into(),
                    user: user.as_deref().map(ByteString::from),
                    codec: codec.into(),
                };
                self.take_from(node, take).await?
            };
            match asked {
                Asked::Brought(session, left_at) => return Ok(Some((session, left_at))),
                Asked::Elsewhere(next) => node = next,
                Asked::Lost => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn take_from(&self, node: NodeId, take: SessionRequest) -> Result<Asked, Refused> {
        let reply = match self.ask_node(node, &take, GIVEN_WITHIN).await {
            Ok(reply) => reply,
            // Whoever is silent for so long is taken for dead, and its sessions for lost.
            Err(_) if self.is_lost(node) => return Ok(Asked::Lost),
            Err(_) => return Err(Refused::OutOfReach),
        };
        let (ticket, away_ms, bytes, part) = match reply {
            Some(SessionReply::Given { ticket, away_ms, bytes, part }) => {
                (ticket, away_ms, bytes as usize, part)
            }
            Some(SessionReply::NotGiven(why)) => return asked_in_vain(why),
            Some(SessionReply::Committed) | None => return Err(Refused::OutOfReach),
        };
        let now = Instant::now();
        let left_at = now.checked_sub(Duration::from_millis(away_ms.into())).unwrap_or(now);
        let session = self.fetch(node, (ticket, bytes), part).await.ok_or(Refused::OutOfReach)?;
        let session = MovedSession::decode(session).inspect_err(|error| {
            tracing::error!(%error, %node, "a session of another server cannot be read");
        });
        let session = session.map_err(|_| Refused::OutOfReach)?;
        self.commit(node, ticket, (session, left_at)).await
    }

    /// All of a session, of which the first part has come.
    async fn fetch(
        &self,
        node: NodeId,
        (ticket, bytes): (u64, usize),
        part: Bytes,
    ) -> Option<Bytes> {
        if part.len() == bytes {
            return Some(part);
        }
        if bytes > SESSION_BYTES_MAX {
            return None;
        }
        let mut all = BytesMut::from(part);
        while all.len() < bytes {
            let from = u32::try_from(all.len()).ok()?;
            let request = SessionRequest::Part { ticket, from };
            match self.ask_node(node, &request, TOLD_WITHIN).await.ok()?? {
                SessionReply::Given { part, .. } if !part.is_empty() => all.extend(part),
                SessionReply::Given { .. }
                | SessionReply::NotGiven(_)
                | SessionReply::Committed => return None,
            }
        }
        (all.len() == bytes).then(|| all.freeze())
    }

    /// Says that all of a session is here. If it is not known whether that was heard, the session is kept
    /// for when its client comes again: whoever is asked then knows where it is.
    async fn commit(
        &self,
        from: NodeId,
        ticket: u64,
        (session, left_at): (MovedSession, Instant),
    ) -> Result<Asked, Refused> {
        let Some(speaker) = self.speaker() else { return Ok(Asked::Lost) };
        let commit = SessionRequest::Commit { ticket, node: speaker.node() };
        for _ in 0..COMMITS_MAX {
            match self.ask_node(from, &commit, TOLD_WITHIN).await {
                Ok(Some(SessionReply::Committed)) => {
                    return Ok(Asked::Brought(Box::new(session), left_at));
                }
                Ok(Some(SessionReply::NotGiven(why))) => return asked_in_vain(why),
                Ok(Some(SessionReply::Given { .. }) | None) | Err(_) => {}
            }
        }
        self.shelf().keep(&session, left_at, self.forgotten_at());
        Err(Refused::OutOfReach)
    }

    async fn ask_node(
        &self,
        node: NodeId,
        request: &SessionRequest,
        within: Duration,
    ) -> Result<Option<SessionReply>, RequestFailed> {
        let Some(attachment) = self.attachment() else { return Ok(None) };
        let reply = attachment.node().request(node, request.encode(), within).await?;
        Ok(attachment.node().read(SessionReply::decode(reply)))
    }

    /// Whether a server that does not answer is taken for dead.
    fn is_lost(&self, node: NodeId) -> bool {
        self.attachment().is_none_or(|attachment| attachment.node().is_lost(node))
    }
}

/// What follows from a session that was not given.
fn asked_in_vain(why: NotGiven) -> Result<Asked, Refused> {
    match why {
        NotGiven::Unknown => Ok(Asked::Lost),
        NotGiven::Elsewhere(node) => Ok(Asked::Elsewhere(node)),
        NotGiven::OtherUser => Err(Refused::OtherUser),
        NotGiven::OtherRoom => Err(Refused::OtherRoom),
        // Another handshake of this client was faster.
        NotGiven::Outdated => Err(Refused::SessionChanged),
        NotGiven::Busy | _ => Err(Refused::IsLeaving),
    }
}
