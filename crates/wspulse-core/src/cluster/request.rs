//! What servers ask each other of what they have, and have each other do, as bytes.

mod person;
mod reply;

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::message::{MessageError, begin, end, kind, kind_of, take_bytes, take_flag};
use super::said::Said;
use crate::close::{CloseCode, CloseFrame};
pub use person::{ListedPerson, ListedState, MetaMark, PeopleChanges, PersonName};
pub use reply::{FullBuffer, Listed, MemberReply, NodeReply, NotQueued, Unreplied};

/// The most connections, rooms or replies of members that one reply holds.
pub const ENTRIES_MAX: usize = 1_024;

/// The longest that another server is asked to wait for what its members reply.
pub const MEMBERS_WITHIN_MAX: Duration = Duration::from_mins(5);

/// What a server asks another one of its connections, or has it do with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRequest {
    /// Whether it has this connection.
    Find {
        /// The connection's id.
        id: ByteString,
    },
    /// To queue a frame for this connection.
    Send {
        /// The connection's id.
        id: ByteString,
        /// The name of the codec that the frame is encoded with; empty for the nameless.
        codec: ByteString,
        /// The frame.
        said: Said,
    },
    /// To end this connection.
    Kick {
        /// The connection's id.
        id: ByteString,
        /// What its client is told.
        close: CloseFrame,
    },
    /// To end all connections of this user.
    KickUser {
        /// The user's id.
        user: ByteString,
        /// What the clients are told.
        close: CloseFrame,
    },
    /// Who is in this group.
    Connections {
        /// The group.
        of: MembersOf,
    },
    /// Who is in a room that has presence.
    People {
        /// The room's id.
        room: ByteString,
        /// After whom to go on, if not from the first on.
        after: Option<PersonName>,
    },
    /// Which rooms have members.
    Rooms,
    /// How many it has of each.
    Counts,
    /// To ask the members of a room, and to reply what they have replied.
    AskMembers {
        /// The room's id.
        room: ByteString,
        /// How long the members have, in milliseconds: [`MEMBERS_WITHIN_MAX`] at the most.
        within_ms: u32,
        /// The name of the codec that the frame is encoded with; empty for the nameless.
        codec: ByteString,
        /// The frame.
        said: Said,
    },
}

/// A group by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembersOf {
    /// The members of this room.
    Room(ByteString),
    /// The connections of this user.
    User(ByteString),
}

impl NodeRequest {
    /// Whether a request is one of these, by its first bytes.
    pub fn is_meant(request: &Bytes) -> bool {
        matches!(kind_of(&mut request.clone()), Ok(kind::FIND..=kind::PEOPLE))
    }

    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        let mut to;
        match self {
            Self::Find { id } => {
                to = begin(kind::FIND, 16 + id.len());
                put_text(&mut to, id);
            }
            Self::Send { id, codec, said } => {
                to = begin(kind::SEND, 32 + id.len() + codec.len() + said.bytes());
                put_text(&mut to, id);
                put_text(&mut to, codec);
                said.put(&mut to);
            }
            Self::Kick { id, close } => {
                to = begin(kind::KICK, 160 + id.len());
                put_text(&mut to, id);
                put_close(&mut to, close);
            }
            Self::KickUser { user, close } => {
                to = begin(kind::KICK_USER, 160 + user.len());
                put_text(&mut to, user);
                put_close(&mut to, close);
            }
            Self::Connections { of: MembersOf::Room(name) } => {
                to = begin(kind::CONNECTIONS, 16 + name.len());
                to.put_u8(0);
                put_text(&mut to, name);
            }
            Self::Connections { of: MembersOf::User(name) } => {
                to = begin(kind::CONNECTIONS, 16 + name.len());
                to.put_u8(1);
                put_text(&mut to, name);
            }
            Self::People { room, after } => {
                let after_bytes = after.as_ref().map_or(0, |after| after.id.len());
                to = begin(kind::PEOPLE, 16 + room.len() + after_bytes);
                put_text(&mut to, room);
                to.put_u8(u8::from(after.is_some()));
                if let Some(after) = after {
                    after.put(&mut to);
                }
            }
            Self::Rooms => to = begin(kind::ROOMS, 2),
            Self::Counts => to = begin(kind::COUNTS, 2),
            Self::AskMembers { room, within_ms, codec, said } => {
                to = begin(kind::ASK_MEMBERS, 32 + room.len() + codec.len() + said.bytes());
                put_text(&mut to, room);
                to.put_u32(*within_ms);
                put_text(&mut to, codec);
                said.put(&mut to);
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
        let from = &mut from;
        let request = match kind_of(from)? {
            kind::FIND => Self::Find { id: take_text(from, "id")? },
            kind::SEND => Self::Send {
                id: take_text(from, "id")?,
                codec: take_text(from, "codec's name")?,
                said: Said::take(from)?,
            },
            kind::KICK => Self::Kick { id: take_text(from, "id")?, close: take_close(from)? },
            kind::KICK_USER => {
                Self::KickUser { user: take_text(from, "user")?, close: take_close(from)? }
            }
            kind::CONNECTIONS => {
                let of = match from.try_get_u8()? {
                    0 => MembersOf::Room(take_text(from, "room")?),
                    1 => MembersOf::User(take_text(from, "user")?),
                    2.. => return Err(MessageError::Invalid { what: "group" }),
                };
                Self::Connections { of }
            }
            kind::PEOPLE => Self::People {
                room: take_text(from, "room")?,
                after: if take_flag(from)? { Some(PersonName::take(from)?) } else { None },
            },
            kind::ROOMS => Self::Rooms,
            kind::COUNTS => Self::Counts,
            kind::ASK_MEMBERS => Self::AskMembers {
                room: take_text(from, "room")?,
                within_ms: take_within(from)?,
                codec: take_text(from, "codec's name")?,
                said: Said::take(from)?,
            },
            found => return Err(MessageError::Kind { found }),
        };
        end(from)?;
        Ok(request)
    }
}

fn put_text(to: &mut BytesMut, text: &str) {
    to.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    to.put_slice(text.as_bytes());
}

/// Without copying; it is no longer than the message.
fn take_text(from: &mut Bytes, what: &'static str) -> Result<ByteString, MessageError> {
    let count = from.try_get_u32()? as usize;
    ByteString::try_from(take_bytes(from, count)?).map_err(|_| MessageError::Invalid { what })
}

fn put_close(to: &mut BytesMut, close: &CloseFrame) {
    to.put_u16(close.code().as_u16());
    put_text(to, close.reason());
}

fn take_close(from: &mut Bytes) -> Result<CloseFrame, MessageError> {
    let code = CloseCode::new(from.try_get_u16()?)
        .map_err(|_| MessageError::Invalid { what: "close code" })?;
    let reason = take_text(from, "reason")?;
    if reason.len() > CloseFrame::REASON_BYTES_MAX {
        return Err(MessageError::Invalid { what: "reason" });
    }
    Ok(CloseFrame::new(code, reason))
}

fn take_within(from: &mut Bytes) -> Result<u32, MessageError> {
    let within_ms = from.try_get_u32()?;
    if Duration::from_millis(within_ms.into()) > MEMBERS_WITHIN_MAX {
        return Err(MessageError::Invalid { what: "time" });
    }
    Ok(within_ms)
}
