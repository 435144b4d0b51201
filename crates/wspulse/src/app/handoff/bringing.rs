//! The server that a client has come to, when its session is at another one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wspulse_core::cluster::{MovedSession, NodeId, NotGiven, SessionReply, SessionRequest};

use super::arrived::Arrived;
use crate::app::server::Server;
use crate::cluster::RequestFailed;
use crate::membership::registry::Refused;
use crate::settings::connect::{Admission, Exchange};
use crate::settings::token::TokenKey;
use crate::wire::transport::ComesBack;

/// How long the server that has a session may take to give it: it waits a second for a callback.
pub(super) const GIVEN_WITHIN: Duration = Duration::from_secs(2);

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
    pub(super) arrived: Arrived,
    /// With what the client comes back, if it speaks `wspulse.1`.
    pub(super) comes_back: Option<ComesBack>,
}

/// What has become of a session that was asked for.
pub(super) enum Asked {
    Brought(Arrived),
    Elsewhere(NodeId),
    /// There is none any more.
    Lost,
    /// The server that was asked has ended.
    Ended,
}

/// A session that a client wants to go on with.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) token: &'a str,
    /// The id under which the client was admitted, if it was under one.
    pub(crate) id: Option<&'a str>,
    /// The room that it was admitted to; empty for none.
    pub(crate) room: &'a str,
    pub(crate) user: Option<&'a str>,
    /// The name of the client's codec.
    pub(crate) codec: &'a str,
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
        let Some(attachment) = self.attachment() else { return Ok(None) };
        let on_its_way = attachment.arrivals().token();
        // A drain that begins from here on waits for it; one that has begun would leave it behind.
        self.check_phase()?;
        let (server, codec) = (self.clone(), exchange.codec);
        let Admission { id, user, room, .. } = admission;
        let (id, user, room) = (id.clone(), user.clone(), room.clone());
        let (offer, (done, brought)) = (offer.clone(), oneshot::channel());
        // On a task of its own: whoever gives the session has it no more, and the client may hang up.
        self.spawn(async move {
            let _on_its_way = on_its_way;
            let wanted = Wanted {
                token: &offer.token,
                id: id.as_deref(),
                room: room.as_deref().unwrap_or_default(),
                user: user.as_deref(),
                codec: server.codecs().of(codec).name().unwrap_or_default(),
            };
            let found = server.look_for(maker, &wanted).await;
            let comes_back = Some(ComesBack { received: offer.count, token });
            let brought =
                found.map(|found| found.map(|arrived| Box::new(Brought { arrived, comes_back })));
            // If nobody waits any more, it is kept.
            drop(done.send(brought));
        });
        brought.await.unwrap_or(Err(Refused::OutOfReach))
    }

    async fn look_for(
        &self,
        maker: NodeId,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Arrived>, Refused> {
        let Some(speaker) = self.speaker() else { return Ok(None) };
        let (mut node, mut was_searched) = (maker, false);
        for _ in 0..HOPS_MAX {
            let mut asked = if node == speaker.node() {
                match self.give(wanted).await {
                    Ok(ticket) => match self.shelf().take(ticket) {
                        Some(taken) => Asked::Brought(Arrived::new(self, taken)),
                        None => Asked::Lost,
                    },
                    Err(why) => asked_in_vain(why)?,
                }
            } else {
                self.take_from(node, wanted).await?
            };
            if let Asked::Ended = asked {
                // Another one may keep what it has left.
                asked = if was_searched { Asked::Lost } else { self.search(wanted).await? };
                was_searched = true;
            }
            match asked {
                Asked::Brought(arrived) => return Ok(Some(arrived)),
                Asked::Elsewhere(next) => node = next,
                Asked::Lost | Asked::Ended => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn take_from(&self, node: NodeId, wanted: &Wanted<'_>) -> Result<Asked, Refused> {
        let asked_at = Instant::now();
        let reply = match self.ask_node(node, &wanted.take(), GIVEN_WITHIN).await {
            Ok(reply) => reply,
            // Whoever is silent for so long is taken for dead.
            Err(_) if self.is_lost(node) => return Ok(Asked::Ended),
            Err(_) => return Err(Refused::OutOfReach),
        };
        match reply {
            Some(SessionReply::Given { ticket, away_ms, bytes, part }) => {
                let left_at = left_at(asked_at, away_ms);
                self.receive(node, (ticket, left_at, bytes as usize), part).await
            }
            Some(SessionReply::NotGiven(why)) => asked_in_vain(why),
            Some(
                SessionReply::Committed
                | SessionReply::Free
                | SessionReply::Held { .. }
                | SessionReply::Ending(_),
            )
            | None => Err(Refused::OutOfReach),
        }
    }

    /// A session that is given, of which the first part has come.
    pub(super) async fn receive(
        &self,
        node: NodeId,
        (ticket, left_at, bytes): (u64, Instant, usize),
        part: Bytes,
    ) -> Result<Asked, Refused> {
        let session = self.fetch(node, (ticket, bytes), part).await.ok_or(Refused::OutOfReach)?;
        let session = MovedSession::decode(session).inspect_err(|error| {
            tracing::error!(%error, %node, "a session of another server cannot be read");
        });
        let session = session.map_err(|_| Refused::OutOfReach)?;
        self.commit(node, ticket, (session, left_at)).await
    }

    /// All of a session, of which the first part has come.
    pub(super) async fn fetch(
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
                | SessionReply::Committed
                | SessionReply::Free
                | SessionReply::Held { .. }
                | SessionReply::Ending(_) => return None,
            }
        }
        (all.len() == bytes).then(|| all.freeze())
    }

    /// Says that all of a session is here. If it is not known whether that was heard, the session is kept
    /// for when its client comes again: whoever is asked then knows where it is.
    pub(super) async fn commit(
        &self,
        from: NodeId,
        ticket: u64,
        session: (MovedSession, Instant),
    ) -> Result<Asked, Refused> {
        let arrived = Arrived::new(self, session);
        match self.say_commit(from, ticket).await {
            Some(Ok(())) => Ok(Asked::Brought(arrived)),
            Some(Err(why)) => {
                drop(arrived.take());
                asked_in_vain(why)
            }
            None => Err(Refused::OutOfReach),
        }
    }

    /// Tells another server that this one has all of a session; what it says to that, if it is heard.
    pub(super) async fn say_commit(
        &self,
        from: NodeId,
        ticket: u64,
    ) -> Option<Result<(), NotGiven>> {
        let commit = SessionRequest::Commit { ticket, node: self.speaker()?.node() };
        for _ in 0..COMMITS_MAX {
            match self.ask_node(from, &commit, TOLD_WITHIN).await {
                Ok(Some(SessionReply::Committed)) => return Some(Ok(())),
                Ok(Some(SessionReply::NotGiven(why))) => return Some(Err(why)),
                Ok(
                    Some(
                        SessionReply::Given { .. }
                        | SessionReply::Free
                        | SessionReply::Held { .. }
                        | SessionReply::Ending(_),
                    )
                    | None,
                )
                | Err(_) => {}
            }
        }
        None
    }

    pub(super) async fn ask_node(
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
    pub(super) fn is_lost(&self, node: NodeId) -> bool {
        self.attachment().is_none_or(|attachment| attachment.node().is_lost(node))
    }
}

/// What follows from a session that was not given.
pub(super) fn asked_in_vain(why: NotGiven) -> Result<Asked, Refused> {
    match why {
        NotGiven::Unknown => Ok(Asked::Lost),
        NotGiven::Elsewhere(node) => Ok(Asked::Elsewhere(node)),
        NotGiven::OtherUser => Err(Refused::OtherUser),
        NotGiven::OtherRoom => Err(Refused::OtherRoom),
        // Another handshake of this client was faster.
        NotGiven::Outdated | NotGiven::Overtaken => Err(Refused::SessionChanged),
        NotGiven::Busy | _ => Err(Refused::IsLeaving),
    }
}

/// When a session has left its groups at the earliest, of which that was so long ago when its server replied
/// to what it was asked then. How long the reply took nobody knows, and what was said meanwhile is lacking.
pub(super) fn left_at(asked_at: Instant, away_ms: u32) -> Instant {
    asked_at.checked_sub(Duration::from_millis(away_ms.into())).unwrap_or(asked_at)
}

impl<'a> Wanted<'a> {
    /// As another server asks for it.
    pub(super) fn of(
        (token, id, room, user, codec): (
            &'a ByteString,
            Option<&'a ByteString>,
            &'a ByteString,
            Option<&'a ByteString>,
            &'a ByteString,
        ),
    ) -> Self {
        let (id, user) = (id.map(|id| &**id), user.map(|user| &**user));
        Self { token, id, room, user, codec }
    }
}
