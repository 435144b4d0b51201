//! What a session takes along.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{put_optional, put_text, take_optional, take_text};
use crate::cluster::ids::{NodeId, Position};
use crate::cluster::message::{MessageError, end, take_array, take_flag, take_number};
use crate::cluster::said::Said;
use crate::outbound::MovedQueue;
use crate::session::MovedExchange;

/// The version of what is below, told in front: servers of two versions may be there for a while.
const VERSION: u8 = 1;

/// The most groups that one session may be in, and servers of which it has heard in one.
const GROUPS_MAX: usize = 4096;
const ORIGINS_MAX: usize = 1024;

/// The most tokens that are known of it beside those that its new server will make.
const TOKENS_MAX: usize = 64;

/// A session on its way from one server to another.
#[derive(Clone, Default)]
pub struct MovedSession {
    /// Its connection's id.
    pub id: ByteString,
    /// The name of the codec that its frames are encoded with.
    pub codec: ByteString,
    /// Its home room, if it has one; it may have left it.
    pub home: Option<ByteString>,
    /// Whose it is.
    pub user: Option<ByteString>,
    /// The groups that it was in, and how far it has heard each server in each.
    pub groups: Vec<MovedGroup>,
    /// How far it has heard what each server says to all.
    pub everybody: HeardOf,
    /// What it has counted of what its client has sent.
    pub exchange: MovedExchange,
    /// What waits for its client.
    pub queue: MovedQueue,
    /// Which tokens its client may have; the default for a client that speaks nothing but frames.
    pub proof: MovedProof,
    /// For how long it had existed when it left its groups, at whichever servers, in milliseconds;
    /// `u32::MAX` for longer times.
    pub age_ms: u32,
}

/// A group that a session was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedGroup {
    /// Which one.
    pub name: GroupName,
    /// How far it has heard each server there.
    pub heard: HeardOf,
}

/// How far a session has heard each server in a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeardOf {
    /// Those of which it has heard something, or which were known to have said nothing it lacks.
    pub positions: Vec<Position>,
    /// For how long, in milliseconds, it has listened to the others. What they have said since may
    /// have been on its way.
    pub age_ms: u32,
    /// Those of which nothing more will come: they have ended, and all that they have said was heard.
    pub ended: Vec<NodeId>,
}

/// A group by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupName {
    /// A room.
    Room(ByteString),
    /// All connections of a user.
    User(ByteString),
}

/// By what a client's token is told.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct MovedProof {
    /// Tells this session from others that have had its id.
    pub session: u64,
    /// The number of the newest token.
    pub newest: u32,
    /// The newest that the client is known to have; 0 for none.
    pub confirmed: u32,
    /// The tokens that other servers have made and that the client may have.
    pub inherited: Vec<InheritedToken>,
}

impl MovedProof {
    /// Whether it is that of a client that has no tokens.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A token as its server has made it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct InheritedToken {
    /// Its number.
    pub number: u32,
    /// What nobody can guess of it.
    pub mac: [u8; 16],
}

impl MovedSession {
    /// Whether its client speaks nothing but frames, and has no token.
    pub fn is_plain(&self) -> bool {
        self.proof.is_none()
    }

    /// As it is sent, in one or more parts.
    pub fn encode(&self) -> Bytes {
        let Self { id, codec, home, user, groups, everybody, exchange, queue, proof, age_ms } =
            self;
        let mut to = BytesMut::with_capacity(1024);
        to.put_u8(VERSION);
        put_text(&mut to, id);
        put_text(&mut to, codec);
        put_optional(&mut to, home.as_ref());
        put_optional(&mut to, user.as_ref());
        put_count(&mut to, groups.len().min(GROUPS_MAX));
        for MovedGroup { name, heard } in groups.iter().take(GROUPS_MAX) {
            let (space, name) = match name {
                GroupName::Room(name) => (0, name),
                GroupName::User(name) => (1, name),
            };
            to.put_u8(space);
            put_text(&mut to, name);
            put_heard(&mut to, heard);
        }
        put_heard(&mut to, everybody);
        to.put_u64(exchange.received);
        put_count(&mut to, exchange.taken_before.len());
        for number in &exchange.taken_before {
            to.put_u64(*number);
        }
        to.put_u64(queue.written);
        put_count(&mut to, queue.replayed);
        to.put_u8(u8::from(queue.is_begun));
        to.put_u8(u8::from(queue.is_doubtful));
        put_count(&mut to, queue.frames.len());
        for frame in &queue.frames {
            Said::new(frame.clone()).put(&mut to);
        }
        to.put_u64(proof.session);
        to.put_u32(proof.newest);
        to.put_u32(proof.confirmed);
        let known = proof.inherited.len().saturating_sub(TOKENS_MAX);
        put_count(&mut to, proof.inherited.len() - known);
        for InheritedToken { number, mac } in &proof.inherited[known..] {
            to.put_u32(*number);
            to.put_slice(mac);
        }
        to.put_u32(*age_ms);
        to.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if it is none, or none that can be.
    pub fn decode(mut from: Bytes) -> Result<Self, MessageError> {
        let from = &mut from;
        let found = from.try_get_u8()?;
        if found != VERSION {
            return Err(MessageError::Version { found });
        }
        let (id, codec) = (take_text(from)?, take_text(from)?);
        let (home, user) = (take_optional(from)?, take_optional(from)?);
        let groups = take_count(from, GROUPS_MAX, "number of groups")?;
        let groups = (0..groups).map(|_| take_group(from)).collect::<Result<_, _>>()?;
        let everybody = take_heard(from)?;
        let received = take_number(from)?;
        let taken = take_count(from, usize::MAX, "number of messages")?;
        let taken = (0..taken).map(|_| take_number(from)).collect::<Result<Vec<_>, _>>()?;
        let is_ordered = taken.first().is_none_or(|first| *first > received)
            && taken.is_sorted_by(|one, next| one < next);
        if !is_ordered {
            return Err(MessageError::Invalid { what: "order of messages" });
        }
        let exchange = MovedExchange { received, taken_before: taken };
        let queue = take_queue(from)?;
        let (proof, age_ms) = (take_proof(from)?, from.try_get_u32()?);
        end(from)?;
        Ok(Self { id, codec, home, user, groups, everybody, exchange, queue, proof, age_ms })
    }
}

fn take_group(from: &mut Bytes) -> Result<MovedGroup, MessageError> {
    let space = from.try_get_u8()?;
    let name = take_text(from)?;
    let name = match space {
        0 => GroupName::Room(name),
        1 => GroupName::User(name),
        2.. => return Err(MessageError::Invalid { what: "kind of group" }),
    };
    Ok(MovedGroup { name, heard: take_heard(from)? })
}

fn take_queue(from: &mut Bytes) -> Result<MovedQueue, MessageError> {
    let written = take_number(from)?;
    let replayed = take_count(from, usize::MAX, "number of frames")?;
    let (is_begun, is_doubtful) = (take_flag(from)?, take_flag(from)?);
    let count = take_count(from, usize::MAX, "number of frames")?;
    let is_possible = replayed <= count && replayed as u64 <= written;
    // What may have been begun is there.
    if !is_possible || (is_begun && replayed == count) {
        return Err(MessageError::Invalid { what: "number of frames" });
    }
    let frames = (0..count).map(|_| Said::take(from).map(|said| said.frame));
    let frames = frames.collect::<Result<_, _>>()?;
    Ok(MovedQueue { written, replayed, is_begun, is_doubtful, frames })
}

fn take_proof(from: &mut Bytes) -> Result<MovedProof, MessageError> {
    let session = from.try_get_u64()?;
    let (newest, confirmed) = (from.try_get_u32()?, from.try_get_u32()?);
    if confirmed > newest {
        return Err(MessageError::Invalid { what: "token" });
    }
    let count = take_count(from, TOKENS_MAX, "number of tokens")?;
    let inherited = (0..count).map(|_| {
        let number = from.try_get_u32()?;
        Ok(InheritedToken { number, mac: take_array(from)? })
    });
    let inherited = inherited.collect::<Result<_, MessageError>>()?;
    Ok(MovedProof { session, newest, confirmed, inherited })
}

fn put_count(to: &mut BytesMut, count: usize) {
    to.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}

/// How many of something follow. What is read takes more bytes than it tells, so nothing that it
/// claims is believed before it is there.
fn take_count(
    from: &mut Bytes,
    count_max: usize,
    what: &'static str,
) -> Result<usize, MessageError> {
    let count = from.try_get_u32()? as usize;
    if count > count_max || count > from.len() {
        return Err(MessageError::Invalid { what });
    }
    Ok(count)
}

fn put_heard(to: &mut BytesMut, HeardOf { positions, age_ms, ended }: &HeardOf) {
    to.put_u32(*age_ms);
    put_count(to, positions.len().min(ORIGINS_MAX));
    for Position { origin, stream, number } in positions.iter().take(ORIGINS_MAX) {
        to.put_slice(origin.as_bytes());
        to.put_u32(*stream);
        to.put_u64(*number);
    }
    put_count(to, ended.len().min(ORIGINS_MAX));
    for origin in ended.iter().take(ORIGINS_MAX) {
        to.put_slice(origin.as_bytes());
    }
}

fn take_heard(from: &mut Bytes) -> Result<HeardOf, MessageError> {
    let age_ms = from.try_get_u32()?;
    let count = take_count(from, ORIGINS_MAX, "number of servers")?;
    let positions = (0..count).map(|_| {
        let origin = NodeId::new(take_array(from)?);
        Ok(Position { origin, stream: from.try_get_u32()?, number: take_number(from)? })
    });
    let positions = positions.collect::<Result<_, MessageError>>()?;
    let count = take_count(from, ORIGINS_MAX, "number of servers")?;
    let ended = (0..count).map(|_| Ok(NodeId::new(take_array(from)?)));
    Ok(HeardOf { age_ms, positions, ended: ended.collect::<Result<_, MessageError>>()? })
}

impl fmt::Debug for MovedSession {
    /// Neither what it holds nor by what it is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MovedSession").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for MovedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MovedProof").field("newest", &self.newest).finish_non_exhaustive()
    }
}

impl fmt::Debug for InheritedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InheritedToken").field("number", &self.number).finish_non_exhaustive()
    }
}
