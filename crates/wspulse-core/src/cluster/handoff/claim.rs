//! An id under which a client is admitted, as the others are asked for it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{put_optional, put_text, take_optional, take_text};
use crate::cluster::ids::NodeId;
use crate::cluster::message::{MessageError, begin, take_array};

/// A client that is admitted under an id, at a server that has nothing under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The server that it has come to.
    pub node: NodeId,
    /// The id.
    pub id: ByteString,
    /// The room that it was admitted to; empty for none.
    pub room: ByteString,
    /// Whose it is, if that was said.
    pub user: Option<ByteString>,
    /// The name of the codec that the client speaks.
    pub codec: ByteString,
    /// The token of its session, if it has offered one that led nowhere.
    pub token: Option<ByteString>,
    /// How long ago its handshake has begun, in milliseconds: who came later comes first.
    pub age_ms: u32,
    /// What the client is.
    pub by: ClaimedBy,
}

/// What a client is that is admitted under an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimedBy {
    /// It speaks nothing but frames: a session is found by the id alone.
    Plain,
    /// It speaks `wspulse.1`, and has no token of a session that is there.
    Exchange,
    /// It has its session already: what else is there ends.
    Content,
}

impl Claim {
    pub(super) fn encode(&self, kind: u8) -> BytesMut {
        let Self { node, id, room, user, codec, token, age_ms, by } = self;
        let texts_bytes = id.len() + room.len() + user.as_ref().map_or(0, |user| user.len());
        let token_bytes = token.as_ref().map_or(0, |token| token.len());
        let mut to = begin(kind, 64 + texts_bytes + codec.len() + token_bytes);
        to.put_slice(node.as_bytes());
        to.put_u8(match by {
            ClaimedBy::Plain => 0,
            ClaimedBy::Exchange => 1,
            ClaimedBy::Content => 2,
        });
        put_text(&mut to, id);
        put_text(&mut to, room);
        put_optional(&mut to, user.as_ref());
        put_text(&mut to, codec);
        put_optional(&mut to, token.as_ref());
        to.put_u32(*age_ms);
        to
    }

    pub(super) fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        let node = NodeId::new(take_array(from)?);
        let by = match from.try_get_u8()? {
            0 => ClaimedBy::Plain,
            1 => ClaimedBy::Exchange,
            2 => ClaimedBy::Content,
            3.. => return Err(MessageError::Invalid { what: "kind of client" }),
        };
        Ok(Self {
            node,
            by,
            id: take_text(from)?,
            room: take_text(from)?,
            user: take_optional(from)?,
            codec: take_text(from)?,
            token: take_optional(from)?,
            age_ms: from.try_get_u32()?,
        })
    }
}
