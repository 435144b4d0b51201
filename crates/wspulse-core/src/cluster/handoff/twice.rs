//! Ids that may be at two servers, since these could not ask each other when clients came.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{put_optional, put_text, take_optional, take_text};
use crate::cluster::ids::NodeId;
use crate::cluster::message::{MessageError, begin, take_array, take_flag};

/// The most ids that one question names. What has more is refused as it is read.
pub const TWICE_MAX: usize = 256;

/// What a server has under ids about which another one was not asked when their clients came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twice {
    /// The server that has it.
    pub node: NodeId,
    /// No more than [`TWICE_MAX`].
    pub ids: Vec<HeldId>,
}

/// What a server has under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldId {
    /// The id.
    pub id: ByteString,
    /// Whose it is, if that was said.
    pub user: Option<ByteString>,
    /// How long ago it has begun, at whichever server, in milliseconds; `u32::MAX` for longer times.
    pub age_ms: u32,
    /// How long ago its client has begun to connect there, in the same way; how long ago it came there if it
    /// is not connected.
    pub came_ms: u32,
    /// Whether its client is connected.
    pub is_connected: bool,
}

impl HeldId {
    /// Whether this one ends for the other one, which another server has under the same id.
    ///
    /// Of two users the one who had the id first keeps it, as any later one is refused. Of one user's,
    /// the one that is connected goes on; of two such, the one that came last.
    pub fn ends_for(&self, other: &Self) -> bool {
        if self.user != other.user {
            return self.age_ms < other.age_ms;
        }
        match (self.is_connected, other.is_connected) {
            (true, false) => false,
            (false, true) => true,
            (true, true) | (false, false) => self.came_ms > other.came_ms,
        }
    }

    /// How many bytes it takes in a message, at the most.
    pub fn bytes(&self) -> usize {
        20 + self.id.len() + self.user.as_ref().map_or(0, |user| user.len())
    }
}

impl Twice {
    pub(super) fn encode(&self, kind: u8) -> BytesMut {
        let Self { node, ids } = self;
        let mut to = begin(kind, 32 + ids.iter().map(HeldId::bytes).sum::<usize>());
        to.put_slice(node.as_bytes());
        put_count(&mut to, ids.len());
        for HeldId { id, user, age_ms, came_ms, is_connected } in ids.iter().take(TWICE_MAX) {
            put_text(&mut to, id);
            put_optional(&mut to, user.as_ref());
            to.put_u32(*age_ms);
            to.put_u32(*came_ms);
            to.put_u8(u8::from(*is_connected));
        }
        to
    }

    pub(super) fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        let node = NodeId::new(take_array(from)?);
        let mut ids = Vec::new();
        for _ in 0..take_count(from)? {
            ids.push(HeldId {
                id: take_text(from)?,
                user: take_optional(from)?,
                age_ms: from.try_get_u32()?,
                came_ms: from.try_get_u32()?,
                is_connected: take_flag(from)?,
            });
        }
        Ok(Self { node, ids })
    }
}

/// The places of ids, in the question that named them.
pub(super) fn put_places(to: &mut BytesMut, places: &[u16]) {
    put_count(to, places.len());
    for place in places.iter().take(TWICE_MAX) {
        to.put_u16(*place);
    }
}

pub(super) fn take_places(from: &mut Bytes) -> Result<Vec<u16>, MessageError> {
    (0..take_count(from)?).map(|_| Ok(from.try_get_u16()?)).collect()
}

fn put_count(to: &mut BytesMut, count: usize) {
    to.put_u16(u16::try_from(count.min(TWICE_MAX)).unwrap_or_default());
}

fn take_count(from: &mut Bytes) -> Result<usize, MessageError> {
    match usize::from(from.try_get_u16()?) {
        count @ 0..=TWICE_MAX => Ok(count),
        _ => Err(MessageError::Invalid { what: "number of ids" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(user: &str, age_ms: u32, is_connected: bool) -> HeldId {
        let came_ms = age_ms;
        HeldId { id: "ann".into(), user: Some(user.into()), age_ms, came_ms, is_connected }
    }

    #[test]
    fn of_one_users_two_the_one_that_is_connected_goes_on_and_then_the_one_that_came_last() {
        let (old, new) = (held("a", 2_000, true), held("a", 1_000, true));
        assert!(old.ends_for(&new) && !new.ends_for(&old));
        let away = held("a", 1_000, false);
        assert!(away.ends_for(&old) && !old.ends_for(&away));
        let came_back = HeldId { came_ms: 500, ..old };
        assert!(new.ends_for(&came_back) && !came_back.ends_for(&new));
    }

    #[test]
    fn of_two_users_the_one_who_had_it_first_keeps_it() {
        let (first, later) = (held("a", 2_000, false), held("b", 1_000, true));
        assert!(later.ends_for(&first) && !first.ends_for(&later));
    }
}
