//! A client that is admitted under an id: no other server may have anything under that, or let another
//! client in under it.
//!
//! It goes in two steps, of which the first one changes nothing anywhere: all others are asked at once.
//! Of two servers that ask each other at the same time, the one with the lower id comes first, and both
//! see that alike. Whoever is kept out by nobody has what the others have given up, and comes first from
//! then on. Who does not answer in time keeps nobody out.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wspulse_core::OVERTAKEN;
use wspulse_core::cluster::{
    Claim, ClaimedBy, MovedSession, NodeId, NotGiven, SessionReply, SessionRequest,
};

use super::arrived::Arrived;
use super::bringing::{Asked, Brought, GIVEN_WITHIN, asked_in_vain, left_at};
use super::coming::{Overtaken, TooManyComing, Turn};
use super::shelf::millis;
use crate::app::server::Server;
use crate::cluster::RequestFailed;
use crate::ground::begun::Begun;
use crate::membership::registry::{Fate, Refused};
use crate::membership::shared::ConnectionShared;
use crate::settings::codecs::CodecId;
use crate::settings::connect::{Admission, Exchange};
use crate::settings::options::IdScope;
use crate::wire::transport::{ComesBack, Upgrade};

/// How long another server may take to say whether it has anything under an id: it has only to look.
const CLAIMED_WITHIN: Duration = Duration::from_millis(500);

/// How often it is asked that: the question or the answer may be lost.
const CLAIMS_MAX: usize = 2;

/// How often a server that has something is asked to give it up.
const RELEASES_MAX: usize = 3;

/// What a server of a cluster has ready for a client before it lets it in.
pub(crate) enum Prepared {
    /// Nobody else comes in under its id until this is dropped, if it was given one.
    Ready { turn: Option<Turn>, brought: Option<Box<Brought>> },
    /// Another client has its id, which came at the same time to another server.
    Overtaken,
}

/// Why a client does not get an id.
enum NotClaimed {
    Overtaken,
    Refused(Refused),
}

/// Another server that has something under an id.
#[derive(Clone, Copy)]
struct Holder {
    node: NodeId,
    fate: Fate,
}

impl Prepared {
    /// Whether the client's session comes with it.
    pub(crate) const fn has_session(&self) -> bool {
        matches!(self, Self::Ready { brought: Some(_), .. })
    }
}

impl Server {
    /// Gets a client's session here, if that is elsewhere, and has its id be its own.
    pub(crate) async fn prepare(
        &self,
        admission: &Admission,
        exchange: Option<&Exchange>,
        begun: Begun,
    ) -> Result<Option<Box<Prepared>>, Refused> {
        match self.prepare_turn(admission, exchange, begun).await {
            Ok((None, None)) => Ok(None),
            Ok((turn, brought)) => Ok(Some(Box::new(Prepared::Ready { turn, brought }))),
            Err(NotClaimed::Overtaken) => Ok(Some(Box::new(Prepared::Overtaken))),
            Err(NotClaimed::Refused(refused)) => Err(refused),
        }
    }

    /// As [`register`](Self::register), of a client for which all this is ready. Nobody else comes in under
    /// its id until it is done.
    #[cold]
    #[inline(never)]
    pub(crate) fn register_prepared(
        &self,
        admission: Admission,
        exchange: Option<Exchange>,
        upgrade: Upgrade,
        asked_about: Option<&Arc<ConnectionShared>>,
        prepared: Prepared,
    ) -> Result<(), Refused> {
        match prepared {
            Prepared::Ready { turn: _turn, brought } => {
                self.register(admission, exchange, upgrade, asked_about, brought)
            }
            Prepared::Overtaken => {
                self.check_phase()?;
                self.say_no_to(&admission.id.unwrap_or_default(), upgrade, OVERTAKEN);
                Ok(())
            }
        }
    }

    async fn prepare_turn(
        &self,
        admission: &Admission,
        exchange: Option<&Exchange>,
        begun: Begun,
    ) -> Result<(Option<Turn>, Option<Box<Brought>>), NotClaimed> {
        let turn = self.take_turn(admission).await?;
        if let Some(exchange) = exchange.filter(|it| it.resume.is_some()) {
            // Who has a token has the session, whoever else comes.
            turn.as_ref().map_or(Ok(()), Turn::make_certain)?;
            if let Some(brought) = self.bring(admission, exchange).await? {
                return Ok((turn, Some(brought)));
            }
        }
        let Some((turn, id)) = turn.zip(admission.id.as_ref()) else { return Ok((None, None)) };
        if self.registry().find(id).is_some() {
            // No other server has anything.
            turn.make_certain()?;
            return Ok((Some(turn), None));
        }
        turn.make_uncertain()?;
        let claim = self.claim_of(admission, id, exchange);
        Box::pin(self.claim(claim, begun, turn)).await
    }

    async fn take_turn(&self, admission: &Admission) -> Result<Option<Turn>, NotClaimed> {
        let Some((attachment, id)) = self.attachment().zip(admission.id.as_ref()) else {
            return Ok(None);
        };
        match self.options().id_scope {
            IdScope::Cluster => Ok(Some(attachment.coming().enter(id).await?)),
            IdScope::Server => Ok(None),
        }
    }

    fn claim_of(&self, admission: &Admission, id: &Arc<str>, exchange: Option<&Exchange>) -> Claim {
        let offer = exchange.and_then(|it| it.resume.as_ref());
        let (codec, by) = match exchange {
            Some(exchange) => (exchange.codec, ClaimedBy::Exchange),
            None => (CodecId::DEFAULT, ClaimedBy::Plain),
        };
        Claim {
            node: self.speaker().map_or(NodeId::LOG, |speaker| speaker.node()),
            id: (&**id).into(),
            room: admission.room.as_deref().unwrap_or_default().into(),
            user: admission.user.as_deref().map(Into::into),
            codec: self.codecs().of(codec).name().unwrap_or_default().into(),
            token: offer.map(|offer| (&*offer.token).into()),
            // Said anew whenever it is sent.
            age_ms: 0,
            by,
        }
    }

    async fn claim(
        &self,
        claim: Claim,
        begun: Begun,
        turn: Turn,
    ) -> Result<(Option<Turn>, Option<Box<Brought>>), NotClaimed> {
        let asked = turn.yielded().run_until_cancelled(self.ask_who_has(&claim, begun)).await;
        let holders = asked.unwrap_or(Err(NotClaimed::Overtaken))?;
        turn.make_certain()?;
        let is_kept = self.kept_fate(&claim).map_or(true, |kept| kept.is_some());
        if holders.is_empty() && !is_kept {
            return Ok((Some(turn), None));
        }
        let (done, released) = oneshot::channel();
        let on_its_way = self.attachment().map(|it| it.arrivals().token());
        // As for a token.
        self.check_phase()?;
        let server = self.clone();
        // On a task of its own, as for a token: what comes here is kept should the client hang up.
        self.spawn(async move {
            let _on_its_way = on_its_way;
            let brought = server.have_released(&claim, begun, holders).await;
            // What is not let in is kept before others may come under its id.
            drop(done.send(brought.map(|brought| (brought, turn))));
        });
        let (brought, turn) = released.await.map_err(|_| Refused::OutOfReach)??;
        Ok((Some(turn), brought))
    }

    /// The other servers that have something under an id, unless one keeps it.
    async fn ask_who_has(&self, claim: &Claim, begun: Begun) -> Result<Vec<Holder>, NotClaimed> {
        let Some(attachment) = self.attachment() else { return Ok(Vec::new()) };
        let asked_at = Instant::now();
        // Clients that make up ids ask the others for no more than that at a time.
        let Ok(_place) = attachment.claims().acquire().await else { return Ok(Vec::new()) };
        let living = attachment.node().living();
        let ask = async |node| (node, self.ask_for_claim(node, claim, begun).await);
        let mut asking: FuturesUnordered<_> = living.iter().copied().map(ask).collect();
        let mut holders = Vec::new();
        while let Some((node, reply)) = asking.next().await {
            let Some(reply) = reply else {
                attachment.unasked().note(node, asked_at);
                continue;
            };
            match reply {
                SessionReply::Held { goes_along } => {
                    let fate = if goes_along { Fate::GoesAlong } else { Fate::Ends };
                    holders.push(Holder { node, fate });
                }
                SessionReply::NotGiven(why) => return Err(kept_out(why)),
                SessionReply::Free
                | SessionReply::Given { .. }
                | SessionReply::Committed
                | SessionReply::Ending(_) => {}
            }
        }
        let met = attachment.node().living().into_iter().filter(|node| !living.contains(node));
        met.for_each(|node| attachment.unasked().note(node, asked_at));
        // If more than one has it, the order is the same for all who ask.
        holders.sort_unstable_by_key(|holder| holder.node);
        Ok(holders)
    }

    async fn ask_for_claim(
        &self,
        node: NodeId,
        claim: &Claim,
        begun: Begun,
    ) -> Option<SessionReply> {
        for _ in 0..CLAIMS_MAX {
            let claim = SessionRequest::Claim(self.aged(claim, begun));
            match self.ask_node(node, &claim, CLAIMED_WITHIN).await {
                Ok(reply) => return reply,
                Err(RequestFailed::NoNode { .. }) => return None,
                Err(_) => {}
            }
        }
        None
    }

    /// As a claim is said now, of a handshake that began then.
    fn aged(&self, claim: &Claim, begun: Begun) -> Claim {
        Claim { age_ms: self.since(begun).map_or(0, millis), ..claim.clone() }
    }

    /// Has all that is there under an id given up, and brings the session that comes along.
    async fn have_released(
        &self,
        claim: &Claim,
        begun: Begun,
        holders: Vec<Holder>,
    ) -> Result<Option<Box<Brought>>, NotClaimed> {
        let mut brought: Option<Box<Brought>> = None;
        // What is kept here comes last: one that is elsewhere is newer.
        for holder in holders.into_iter().map(Some).chain([None]) {
            let mut claim = self.aged(claim, begun);
            if brought.is_some() {
                claim.by = ClaimedBy::Content;
            }
            let released = match holder {
                Some(holder) => self.have_released_by(holder, &claim, begun).await,
                None => self.take_kept(&claim),
            };
            match released {
                Ok(None) => {}
                Ok(Some(arrived)) => {
                    let comes_back = match claim.by {
                        ClaimedBy::Exchange => Some(ComesBack { received: 0, token: 0 }),
                        ClaimedBy::Plain | ClaimedBy::Content => None,
                    };
                    brought = Some(Box::new(Brought { arrived, comes_back }));
                }
                Err(why) => return Err(why),
            }
        }
        Ok(brought)
    }

    async fn have_released_by(
        &self,
        Holder { node, fate }: Holder,
        claim: &Claim,
        begun: Begun,
    ) -> Result<Option<Arrived>, NotClaimed> {
        for _ in 0..RELEASES_MAX {
            let release = SessionRequest::Release(self.aged(claim, begun));
            let asked_at = Instant::now();
            let reply = match self.ask_node(node, &release, GIVEN_WITHIN).await {
                Ok(Some(reply)) => reply,
                Err(RequestFailed::NoNode { .. }) => return Ok(None),
                Err(_) if self.is_lost(node) => return Ok(None),
                Ok(None) | Err(_) => continue,
            };
            return match reply {
                SessionReply::Free => Ok(None),
                SessionReply::Given { ticket, away_ms, bytes, part } => {
                    let given = (ticket, left_at(asked_at, away_ms), bytes as usize);
                    match self.receive(node, given, part).await? {
                        Asked::Brought(arrived) if fits(arrived.session(), claim) => {
                            Ok(Some(arrived))
                        }
                        Asked::Brought(_) => Err(Refused::OutOfReach.into()),
                        // Somebody with a token was faster.
                        Asked::Elsewhere(_) | Asked::Lost | Asked::Ended => {
                            Err(Refused::SessionChanged.into())
                        }
                    }
                }
                SessionReply::NotGiven(why) => Err(kept_out(why)),
                SessionReply::Committed | SessionReply::Held { .. } | SessionReply::Ending(_) => {
                    Err(Refused::OutOfReach.into())
                }
            };
        }
        match fate {
            Fate::GoesAlong => Err(Refused::OutOfReach.into()),
            // It may have ended by now, and nobody is to be without a connection for that.
            Fate::Ends => Ok(None),
        }
    }

    fn take_kept(&self, claim: &Claim) -> Result<Option<Arrived>, NotClaimed> {
        let Some(ticket) = self.release_kept(claim).map_err(kept_out)? else { return Ok(None) };
        Ok(self.shelf().take(ticket).map(|taken| Arrived::new(self, taken)))
    }
}

/// Whether what another server has given is what this client was to get.
fn fits(session: &MovedSession, claim: &Claim) -> bool {
    let is_plain = match claim.by {
        ClaimedBy::Plain => true,
        ClaimedBy::Exchange => false,
        ClaimedBy::Content => return false,
    };
    session.id == claim.id && session.codec == claim.codec && session.is_plain() == is_plain
}

fn kept_out(why: NotGiven) -> NotClaimed {
    match why {
        NotGiven::Overtaken => NotClaimed::Overtaken,
        NotGiven::Unknown
        | NotGiven::Outdated
        | NotGiven::OtherUser
        | NotGiven::OtherRoom
        | NotGiven::Busy
        | NotGiven::Elsewhere(_)
        | NotGiven::Full
        | _ => match asked_in_vain(why) {
            Ok(_) => Refused::SessionChanged.into(),
            Err(refused) => refused.into(),
        },
    }
}

impl From<Refused> for NotClaimed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Overtaken> for NotClaimed {
    fn from(_: Overtaken) -> Self {
        Self::Overtaken
    }
}

impl From<TooManyComing> for NotClaimed {
    fn from(_: TooManyComing) -> Self {
        Refused::TooManyComing.into()
    }
}
