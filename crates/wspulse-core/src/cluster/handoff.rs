//! Sessions that go from one server to another: what is asked and answered, and what they take along.
//!
//! A client that has come to another server than its session is at has a token, which names that server.
//! The new one asks for the session ([`SessionRequest::Take`]); the old one ends it there and keeps what
//! it was, from then on nothing but bytes, under a ticket. The new one fetches all of it, and says when it
//! has it ([`SessionRequest::Commit`]). Only one can: whoever asks afterwards is told where it went.
//!
//! A server that ends has its sessions kept by another one in the same way, before their clients come
//! ([`SessionRequest::Inherit`]).
//!
//! A client without such a token has an id, which no two servers may have. The one that it has come to
//! asks all others whether they have it or are about to ([`SessionRequest::Claim`]), which changes
//! nothing there, and then has whoever has it give it up ([`SessionRequest::Release`]). One that could not
//! be asked at that time is asked once it can be ([`SessionRequest::Twice`]).

mod claim;
mod session;
mod twice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::ids::NodeId;
use super::message::{MessageError, begin, end, kind, kind_of, take_array, take_bytes, take_flag};
pub use claim::{Claim, ClaimedBy};
pub use session::{GroupName, HeardOf, InheritedToken, MovedGroup, MovedProof, MovedSession};
pub use twice::{HeldId, TWICE_MAX, Twice};
use twice::{put_places, take_places};

/// What a server asks of the one that a session is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionRequest {
    /// A client has come that has this token.
    Take {
        /// The token, as the client has offered it.
        token: ByteString,
        /// The id under which the client was admitted, if it was under one.
        id: Option<ByteString>,
        /// The room that it was admitted to; empty for none.
        room: ByteString,
        /// Whose it is, if that was said.
        user: Option<ByteString>,
        /// The name of the codec that the client speaks.
        codec: ByteString,
    },
    /// What follows of a session that was given.
    Part {
        /// Which one.
        ticket: u64,
        /// From which byte on.
        from: u32,
    },
    /// A session that was given goes on at this server.
    Commit {
        /// Which one.
        ticket: u64,
        /// At which server.
        node: NodeId,
    },
    /// The server that asks is about to end, and has this session kept until its client comes. Whoever
    /// is asked says [`Commit`](Self::Commit) before it answers.
    Inherit {
        /// By which it is called where it is.
        ticket: u64,
        /// The server that has it.
        from: NodeId,
        /// How long ago it has left its groups, in milliseconds.
        away_ms: u32,
        /// For how long it may still wait for its client, in milliseconds.
        left_ms: u32,
        /// How many bytes it has, all in all.
        bytes: u32,
        /// The first of them.
        part: Bytes,
    },
    /// Whether a client may begin under an id.
    Claim(Claim),
    /// To give up what is there under an id, for a client that no other server keeps from it: its session,
    /// or the id alone.
    Release(Claim),
    /// Which of these end at the server that has them, since whoever is asked has their ids as well. What
    /// is to end at whoever is asked has ended when it answers. Of two servers the one with the lower id
    /// decides: if that one asks, the other asks it in its turn before it answers.
    Twice(Twice),
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionReply {
    /// The session, or a part of it.
    Given {
        /// By which it is called from now on.
        ticket: u64,
        /// How long ago it has left its groups, in milliseconds.
        away_ms: u32,
        /// How many bytes it has, all in all.
        bytes: u32,
        /// Some of them, from where it was asked.
        part: Bytes,
    },
    /// It is not given.
    NotGiven(NotGiven),
    /// It goes on at the server that has said so, or is kept by the one that was asked to.
    Committed,
    /// Nothing is there under this id any more.
    Free,
    /// Something is there under this id, and is given up if it is asked for.
    Held {
        /// It is the client's session, or it is not known yet what it is; else it ends for the client.
        goes_along: bool,
    },
    /// These end at the server that has asked, by their places in its question.
    Ending(Vec<u16>),
}

/// Why a session is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotGiven {
    /// There is none that this token is for, or none with this codec.
    Unknown,
    /// The session's client is known to have a newer token.
    Outdated,
    /// It is another user's.
    OtherUser,
    /// It has another room than the client was admitted to, and is to stay there.
    OtherRoom,
    /// Another client's handshake, or a callback that goes on, is in the way: it may be asked again.
    Busy,
    /// It has gone to this server.
    Elsewhere(NodeId),
    /// No more sessions are kept for other servers.
    Full,
    /// A client is about to begin there under this id, and comes first.
    Overtaken,
}

impl SessionRequest {
    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        let mut to;
        match self {
            Self::Take { token, id, room, user, codec } => {
                to = begin(kind::TAKE, 128 + token.len() + room.len());
                put_text(&mut to, token);
                put_optional(&mut to, id.as_ref());
                put_text(&mut to, room);
                put_optional(&mut to, user.as_ref());
                put_text(&mut to, codec);
            }
            Self::Part { ticket, from } => {
                to = begin(kind::PART, 16);
                to.put_u64(*ticket);
                to.put_u32(*from);
            }
            Self::Commit { ticket, node } => {
                to = begin(kind::COMMIT, 32);
                to.put_u64(*ticket);
                to.put_slice(node.as_bytes());
            }
            Self::Inherit { ticket, from, away_ms, left_ms, bytes, part } => {
                to = begin(kind::INHERIT, 64 + part.len());
                to.put_u64(*ticket);
                to.put_slice(from.as_bytes());
                to.put_u32(*away_ms);
                to.put_u32(*left_ms);
                to.put_u32(*bytes);
                to.put_slice(part);
            }
            Self::Claim(claim) => to = claim.encode(kind::CLAIM),
            Self::Release(claim) => to = claim.encode(kind::RELEASE),
            Self::Twice(twice) => to = twice.encode(kind::TWICE),
        }
        to.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if it is none.
    pub fn decode(mut from: Bytes) -> Result<Self, MessageError> {
        let request = match kind_of(&mut from)? {
            kind::TAKE => Self::Take {
                token: take_text(&mut from)?,
                id: take_optional(&mut from)?,
                room: take_text(&mut from)?,
                user: take_optional(&mut from)?,
                codec: take_text(&mut from)?,
            },
            kind::PART => Self::Part { ticket: from.try_get_u64()?, from: from.try_get_u32()? },
            kind::COMMIT => Self::Commit {
                ticket: from.try_get_u64()?,
                node: NodeId::new(take_array(&mut from)?),
            },
            kind::INHERIT => Self::Inherit {
                ticket: from.try_get_u64()?,
                from: NodeId::new(take_array(&mut from)?),
                away_ms: from.try_get_u32()?,
                left_ms: from.try_get_u32()?,
                bytes: from.try_get_u32()?,
                part: from.split_to(from.len()),
            },
            kind::CLAIM => Self::Claim(Claim::take(&mut from)?),
            kind::RELEASE => Self::Release(Claim::take(&mut from)?),
            kind::TWICE => Self::Twice(Twice::take(&mut from)?),
            found => return Err(MessageError::Kind { found }),
        };
        end(&from)?;
        Ok(request)
    }

    /// Whether a request is one of these.
    pub fn is_meant(request: &Bytes) -> bool {
        let found = kind_of(&mut request.clone());
        found.is_ok_and(|found| matches!(found, kind::TAKE..=kind::TWICE))
    }
}

impl SessionReply {
    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        let mut to;
        match self {
            Self::Given { ticket, away_ms, bytes, part } => {
                to = begin(kind::GIVEN, 32 + part.len());
                to.put_u64(*ticket);
                to.put_u32(*away_ms);
                to.put_u32(*bytes);
                to.put_slice(part);
            }
            Self::NotGiven(why) => {
                to = begin(kind::REFUSED, 32);
                to.put_u8(match why {
                    NotGiven::Unknown => 0,
                    NotGiven::Outdated => 1,
                    NotGiven::OtherUser => 2,
                    NotGiven::OtherRoom => 3,
                    NotGiven::Busy => 4,
                    NotGiven::Elsewhere(_) => 5,
                    NotGiven::Full => 6,
                    NotGiven::Overtaken => 7,
                });
                if let NotGiven::Elsewhere(node) = why {
                    to.put_slice(node.as_bytes());
                }
            }
            Self::Committed => to = begin(kind::COMMITTED, 2),
            Self::Free => to = begin(kind::FREE, 2),
            Self::Held { goes_along } => {
                to = begin(kind::HELD, 3);
                to.put_u8(u8::from(*goes_along));
            }
            Self::Ending(places) => {
                to = begin(kind::ENDING, 4 + 2 * places.len());
                put_places(&mut to, places);
            }
        }
        to.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if it is none.
    pub fn decode(mut from: Bytes) -> Result<Self, MessageError> {
        let reply = match kind_of(&mut from)? {
            kind::GIVEN => {
                let (ticket, away_ms) = (from.try_get_u64()?, from.try_get_u32()?);
                let bytes = from.try_get_u32()?;
                let part = from.split_to(from.len());
                Self::Given { ticket, away_ms, bytes, part }
            }
            kind::REFUSED => Self::NotGiven(match from.try_get_u8()? {
                0 => NotGiven::Unknown,
                1 => NotGiven::Outdated,
                2 => NotGiven::OtherUser,
                3 => NotGiven::OtherRoom,
                4 => NotGiven::Busy,
                5 => NotGiven::Elsewhere(NodeId::new(take_array(&mut from)?)),
                6 => NotGiven::Full,
                7 => NotGiven::Overtaken,
                8.. => return Err(MessageError::Invalid { what: "refusal" }),
            }),
            kind::COMMITTED => Self::Committed,
            kind::FREE => Self::Free,
            kind::HELD => Self::Held { goes_along: take_flag(&mut from)? },
            kind::ENDING => Self::Ending(take_places(&mut from)?),
            found => return Err(MessageError::Kind { found }),
        };
        end(&from)?;
        Ok(reply)
    }
}

/// A text of up to 65,535 bytes, as all names and ids are; a longer one is cut to nothing, and then
/// found nowhere.
fn put_text(to: &mut BytesMut, text: &str) {
    let bytes = u16::try_from(text.len());
    to.put_u16(bytes.unwrap_or_default());
    if bytes.is_ok() {
        to.put_slice(text.as_bytes());
    }
}

fn take_text(from: &mut Bytes) -> Result<ByteString, MessageError> {
    let bytes = usize::from(from.try_get_u16()?);
    let text = take_bytes(from, bytes)?;
    ByteString::try_from(text).map_err(|_| MessageError::Invalid { what: "text" })
}

fn put_optional(to: &mut BytesMut, text: Option<&ByteString>) {
    to.put_u8(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(to, text);
    }
}

fn take_optional(from: &mut Bytes) -> Result<Option<ByteString>, MessageError> {
    if take_flag(from)? { take_text(from).map(Some) } else { Ok(None) }
}
