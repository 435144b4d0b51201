//! Sessions that are at no server: nothing but bytes, until somebody says that it has them.

mod by_id;
mod reserved;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;

use bytes::Bytes;
use tokio::time::{Duration, Instant};
use wspulse_core::cluster::{
    MovedProof, MovedSession, NodeId, NotGiven, SessionReply, SessionRequest,
};
use wspulse_core::outbound::MovedQueue;

use crate::ground::sync::Mutex;
use crate::settings::token::TokenKey;

/// How many sessions are remembered that have gone elsewhere. A client that comes with the token of one
/// beyond that begins anew, and hears so.
const GONE_MAX: usize = 65_536;

/// How many bytes of sessions of servers that have ended are kept at a time, all in all. They come
/// beside the bounds of this server's own send buffers.
pub(crate) const INHERITED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a server keeps of sessions that have left it, and of those that other servers have left to it,
/// each for as long as it would have waited for its client.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_ticket: HashMap<u64, Kept>,
    /// The newest last: sessions of one id may come from several servers.
    by_id: HashMap<Box<str>, Vec<u64>>,
    /// Whose sessions have ended here, and are about to be kept.
    expected: HashSet<Box<str>>,
    /// Those that come from other servers, and whose clients are not let in yet: how many of each id.
    arriving: HashMap<Box<str>, usize>,
    /// Until when each waits.
    order: BTreeSet<(Instant, u64)>,
    inherited_bytes: usize,
}

/// A session by which it is found, and what is kept of it.
struct Kept {
    id: Box<str>,
    home: Box<str>,
    user: Option<Box<str>>,
    codec: Box<str>,
    proof: MovedProof,
    until: Instant,
    /// For how long it had existed when it left its groups.
    age: Duration,
    /// So many bytes of it count as another server's.
    inherited: usize,
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

    /// A session of this id comes from another server: until its client is let in, or it is kept, nobody
    /// is to hear that there is none.
    pub(crate) fn begin_arriving(&self, id: &str) {
        *self.0.lock().arriving.entry(id.into()).or_default() += 1;
    }

    pub(crate) fn end_arriving(&self, id: &str) {
        let inner = &mut *self.0.lock();
        if let Some(count) = inner.arriving.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                inner.arriving.remove(id);
            }
        }
    }

    /// Whether a session of this id is about to be kept, or to be let in.
    pub(crate) fn is_on_its_way(&self, id: &str) -> bool {
        let inner = &*self.0.lock();
        inner.expected.contains(id) || inner.arriving.contains_key(id)
    }

    /// Keeps a session, which has left its groups at that time, until then, and returns its ticket.
    pub(crate) fn keep(&self, session: &MovedSession, left_at: Instant, until: Instant) -> u64 {
        let ticket = uuid::Uuid::new_v4().as_u64_pair().1;
        let inner = &mut *self.0.lock();
        inner.expected.remove(&*session.id);
        inner.insert(ticket, Kept::new(session, session.encode(), left_at, until));
        ticket
    }

    /// Forgets a session that has gone elsewhere before it was here for good.
    pub(crate) fn forget_moved(&self, ticket: u64) {
        self.0.lock().forget(ticket);
    }

    /// The tickets of those that are here, by until when they wait.
    pub(crate) fn here(&self) -> Vec<u64> {
        let inner = &*self.0.lock();
        let all = inner.order.iter().map(|(_, ticket)| *ticket);
        all.filter(|ticket| inner.is_here(*ticket)).collect()
    }

    pub(crate) fn is_here(&self, ticket: u64) -> bool {
        self.0.lock().is_here(ticket)
    }

    /// A session that is here, and when it has left its groups.
    pub(crate) fn peek(&self, ticket: u64) -> Option<(MovedSession, Instant)> {
        let (session, left_at) = {
            let inner = &*self.0.lock();
            match &inner.by_ticket.get(&ticket)?.place {
                Place::Here { session, left_at, .. } => (session.clone(), *left_at),
                Place::Gone(_) => return None,
            }
        };
        Some((MovedSession::decode(session).ok()?, left_at))
    }

    /// A session that is here has heard more.
    pub(crate) fn replace(&self, ticket: u64, session: &MovedSession) {
        let encoded = session.encode();
        let inner = &mut *self.0.lock();
        if let Some(kept) = inner.by_ticket.get_mut(&ticket)
            && let Place::Here { session: bytes, waiting, .. } = &mut kept.place
        {
            *waiting = waiting_in(session);
            *bytes = encoded;
        }
    }

    /// What another server is asked to keep, with as much of it as that; `None` if it is not here.
    pub(crate) fn bequest(
        &self,
        ticket: u64,
        from: NodeId,
        part_bytes_max: usize,
    ) -> Option<SessionRequest> {
        let inner = &*self.0.lock();
        let kept = inner.by_ticket.get(&ticket)?;
        let Place::Here { session, left_at, .. } = &kept.place else { return None };
        Some(SessionRequest::Inherit {
            ticket,
            from,
            away_ms: millis(left_at.elapsed()),
            left_ms: millis(kept.until.saturating_duration_since(Instant::now())),
            bytes: u32::try_from(session.len()).unwrap_or(u32::MAX),
            part: session.slice(..session.len().min(part_bytes_max)),
        })
    }

    /// The ticket of the session that this client has the token of.
    pub(crate) fn find(&self, asking: &Asking<'_>) -> Result<u64, NotGiven> {
        let inner = &*self.0.lock();
        if inner.expected.contains(asking.id) || inner.arriving.contains_key(asking.id) {
            return Err(NotGiven::Busy);
        }
        let tickets = inner.by_id.get(asking.id).ok_or(NotGiven::Unknown)?;
        let mut all = tickets.iter().rev().filter_map(|ticket| {
            let kept = inner.by_ticket.get(ticket)?;
            Some((*ticket, kept, TokenKey::number_in(asking.token, &kept.proof)?))
        });
        let (ticket, kept, number) = all.next().ok_or(NotGiven::Unknown)?;
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
                    away_ms: millis(left_at.elapsed()),
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
                let inherited = mem::take(&mut kept.inherited);
                inner.inherited_bytes -= inherited;
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
            inner.order.first().filter(|(until, _)| *until <= now).copied()
        {
            forgotten.extend(inner.forget(ticket).and_then(Kept::forgotten));
        }
        forgotten
    }
}

impl Kept {
    fn new(session: &MovedSession, encoded: Bytes, left_at: Instant, until: Instant) -> Self {
        Self {
            id: (&*session.id).into(),
            home: session.home.as_deref().unwrap_or_default().into(),
            user: session.user.as_deref().map(Box::from),
            codec: (&*session.codec).into(),
            proof: session.proof.clone(),
            until,
            age: Duration::from_millis(session.age_ms.into()),
            inherited: 0,
            place: Place::Here { waiting: waiting_in(session), session: encoded, left_at },
        }
    }
}

impl Inner {
    fn insert(&mut self, ticket: u64, kept: Kept) {
        self.by_id.entry(kept.id.clone()).or_default().push(ticket);
        self.order.insert((kept.until, ticket));
        self.by_ticket.insert(ticket, kept);
        while self.order.len() > GONE_MAX {
            // Those that are here are as many as sessions that were.
            let oldest = self.order.iter().find(|(_, ticket)| !self.is_here(*ticket)).copied();
            let Some((_, ticket)) = oldest else { break };
            self.forget(ticket);
        }
    }

    fn is_here(&self, ticket: u64) -> bool {
        let kept = self.by_ticket.get(&ticket);
        kept.is_some_and(|it| matches!(it.place, Place::Here { .. }))
    }

    fn forget(&mut self, ticket: u64) -> Option<Kept> {
        let kept = self.by_ticket.remove(&ticket)?;
        self.order.remove(&(kept.until, ticket));
        self.inherited_bytes -= kept.inherited;
        if let Some(tickets) = self.by_id.get_mut(&kept.id) {
            tickets.retain(|it| *it != ticket);
            if tickets.is_empty() {
                self.by_id.remove(&kept.id);
            }
        }
        Some(kept)
    }
}

/// How many frames wait in it that were never written.
fn waiting_in(session: &MovedSession) -> usize {
    let MovedQueue { frames, replayed, .. } = &session.queue;
    frames.len() - replayed
}

/// As servers say times to each other.
pub(super) fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn kept(shelf: &Shelf, ticket: u64, id: &str) -> Result<(), NotGiven> {
        let session = MovedSession { id: id.into(), ..MovedSession::default() }.encode();
        let until = Instant::now() + Duration::from_secs(1);
        shelf.reserve(session.len()).unwrap().keep(ticket, session, Instant::now(), until)
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_of_others_have_so_much_place_and_give_it_back() {
        let shelf = Shelf::default();
        kept(&shelf, 1, "ann").unwrap();
        assert!(shelf.reserve(INHERITED_BYTES_MAX).is_none());
        shelf.commit(1, NodeId::new([1; 16]));
        drop(shelf.reserve(INHERITED_BYTES_MAX).expect("it is gone"));
        kept(&shelf, 2, "bob").unwrap();
        shelf.forget_moved(2);
        kept(&shelf, 3, "cid").unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(shelf.sweep().len(), 1);
        assert!(shelf.reserve(INHERITED_BYTES_MAX).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_left_twice_is_kept_once() {
        let shelf = Shelf::default();
        kept(&shelf, 1, "ann").unwrap();
        kept(&shelf, 1, "ann").unwrap();
        assert_eq!(kept(&shelf, 1, "bob"), Err(NotGiven::Busy));
        assert_eq!(shelf.here(), [1]);
        shelf.forget_moved(1);
        assert!(shelf.reserve(INHERITED_BYTES_MAX).is_some());
    }
}
