//! Sessions that are at no server: nothing but bytes, until somebody says that it has them.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use tokio::time::Instant;
use wspulse_core::cluster::{MovedProof, MovedSession, NodeId, NotGiven, SessionReply};
use wspulse_core::outbound::MovedQueue;

use crate::ground::sync::Mutex;
use crate::settings::token::TokenKey;

/// How many sessions are remembered that have gone elsewhere. A client that comes with the token of one
/// beyond that begins anew, and hears so.
const GONE_MAX: usize = 65_536;

/// What a server keeps of sessions that have left it, each for as long as it would have waited for its
/// client.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_ticket: HashMap<u64, Kept>,
    by_id: HashMap<Box<str>, u64>,
    /// Whose sessions have ended here, and are about to be kept.
    expected: HashSet<Box<str>>,
    /// In the order in which they came, for all wait as long.
    order: VecDeque<(Instant, u64)>,
}

/// A session by which it is found, and what is kept of it.
struct Kept {
    id: Box<str>,
    home: Box<str>,
    user: Option<Box<str>>,
    codec: Box<str>,
    proof: MovedProof,
    place: Place,
}

enum Place {
    /// It is here.
    Here {
        session: Bytes,
        waiting: usize,
        /// When it has left its groups.
        left_at: Instant,
    },
    /// It goes on at that server.
    Gone(NodeId),
}

/// Who asks for a session.
pub(crate) struct Asking<'a> {
    pub(crate) id: &'a str,
    pub(crate) token: &'a str,
    pub(crate) room: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) codec: &'a str,
    /// Whether a client that is admitted to another room than its session's gets it.
    pub(crate) changes_rooms: bool,
}

/// A session that nobody has come for.
pub(crate) struct Forgotten {
    pub(crate) id: Box<str>,
    pub(crate) home: Box<str>,
    /// How many frames waited in it.
    pub(crate) waiting: usize,
}

impl Shelf {
    /// The session of this id is about to be kept: until then nobody is to hear that there is none.
    pub(crate) fn expect(&self, id: &str) {
        self.0.lock().expected.insert(id.into());
    }

    /// It has ended in another way.
    pub(crate) fn expect_no_more(&self, id: &str) {
        self.0.lock().expected.remove(id);
    }

    /// Keeps a session, which has left its groups at that time, until then, and returns its ticket.
    pub(crate) fn keep(&self, session: &MovedSession, left_at: Instant, until: Instant) -> u64 {
        let ticket = uuid::Uuid::new_v4().as_u64_pair().1;
        let MovedQueue { frames, replayed, .. } = &session.queue;
        let waiting = frames.len() - replayed;
        let kept = Kept {
            id: (&*session.id).into(),
            home: session.home.as_deref().unwrap_or_default().into(),
            user: session.user.as_deref().map(Box::from),
            codec: (&*session.codec).into(),
            proof: session.proof.clone(),
            place: Place::Here { session: session.encode(), waiting, left_at },
        };
        let inner = &mut *self.0.lock();
        inner.expected.remove(&kept.id);
        inner.by_id.insert(kept.id.clone(), ticket);
        inner.by_ticket.insert(ticket, kept);
        inner.order.push_back((until, ticket));
        while inner.order.len() > GONE_MAX {
            // Those that are here are as many as sessions that were.
            let oldest = inner.order.iter().position(|(_, ticket)| {
                inner.by_ticket.get(ticket).is_none_or(|it| matches!(it.place, Place::Gone(_)))
            });
            let Some((_, ticket)) = oldest.and_then(|oldest| inner.order.remove(oldest)) else {
                break;
            };
            inner.forget(ticket);
        }
        ticket
    }

    /// The ticket of the session that this client has the token of.
    pub(crate) fn find(&self, asking: &Asking<'_>) -> Result<u64, NotGiven> {
        let inner = &*self.0.lock();
        if inner.expected.contains(asking.id) {
            return Err(NotGiven::Busy);
        }
        let ticket = inner.by_id.get(asking.id).copied().ok_or(NotGiven::Unknown)?;
        let kept = inner.by_ticket.get(&ticket).ok_or(NotGiven::Unknown)?;
        let number = TokenKey::number_in(asking.token, &kept.proof).ok_or(NotGiven::Unknown)?;
        if number < kept.proof.confirmed {
            return Err(NotGiven::Outdated);
        }
        if let Place::Gone(node) = kept.place {
            return Err(NotGiven::Elsewhere(node));
        }
        if asking.user != kept.user.as_deref() {
            return Err(NotGiven::OtherUser);
        }
        if *asking.codec != *kept.codec {
            return Err(NotGiven::Unknown);
        }
        if *asking.room != *kept.home && !asking.changes_rooms {
            return Err(NotGiven::OtherRoom);
        }
        Ok(ticket)
    }

    /// A part of a session, from this byte on, of up to so many.
    pub(crate) fn part(&self, ticket: u64, from: usize, bytes_max: usize) -> SessionReply {
        let inner = &*self.0.lock();
        match inner.by_ticket.get(&ticket).map(|kept| &kept.place) {
            Some(Place::Here { session, left_at, .. }) if from <= session.len() => {
                SessionReply::Given {
                    ticket,
                    away_ms: u32::try_from(left_at.elapsed().as_millis()).unwrap_or(u32::MAX),
                    bytes: u32::try_from(session.len()).unwrap_or(u32::MAX),
                    part: session.slice(from..session.len().min(from + bytes_max)),
                }
            }
            Some(Place::Gone(node)) => SessionReply::NotGiven(NotGiven::Elsewhere(*node)),
            Some(Place::Here { .. }) | None => SessionReply::NotGiven(NotGiven::Unknown),
        }
    }

    /// A server has all of a session. Only one can; the one that has said so before may say it again.
    pub(crate) fn commit(&self, ticket: u64, node: NodeId) -> SessionReply {
        let inner = &mut *self.0.lock();
        let Some(kept) = inner.by_ticket.get_mut(&ticket) else {
            return SessionReply::NotGiven(NotGiven::Unknown);
        };
        match kept.place {
            Place::Here { .. } => {
                kept.place = Place::Gone(node);
                SessionReply::Committed
            }
            Place::Gone(to) if to == node => SessionReply::Committed,
            Place::Gone(to) => SessionReply::NotGiven(NotGiven::Elsewhere(to)),
        }
    }

    /// Takes a session that goes on at this server, and tells when it has left its groups.
    pub(crate) fn take(&self, ticket: u64) -> Option<(MovedSession, Instant)> {
        let inner = &mut *self.0.lock();
        if !matches!(inner.by_ticket.get(&ticket)?.place, Place::Here { .. }) {
            return None;
        }
        let Place::Here { session, left_at, .. } = inner.forget(ticket)?.place else { return None };
        Some((MovedSession::decode(session).ok()?, left_at))
    }

    /// Forgets those that nobody has come for, and returns them.
    pub(crate) fn sweep(&self) -> Vec<Forgotten> {
        let (now, inner) = (Instant::now(), &mut *self.0.lock());
        let mut forgotten = Vec::new();
        while let Some((_, ticket)) =
            inner.order.front().filter(|(until, _)| *until <= now).copied()
        {
            inner.order.pop_front();
            if let Some(Kept { id, home, place: Place::Here { waiting, .. }, .. }) =
                inner.forget(ticket)
            {
                forgotten.push(Forgotten { id, home, waiting });
            }
        }
        forgotten
    }
}

impl Inner {
    fn forget(&mut self, ticket: u64) -> Option<Kept> {
        let kept = self.by_ticket.remove(&ticket)?;
        // There may be a newer one of its id.
        if self.by_id.get(&kept.id) == Some(&ticket) {
            self.by_id.remove(&kept.id);
        }
        Some(kept)
    }
}
