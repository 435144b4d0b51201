//! What a server is replied.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::person::{put_people, take_people};
use super::{ENTRIES_MAX, ListedPerson, put_text, take_text};
use crate::cluster::message::{MessageError, begin, end, kind, kind_of, take_flag, take_number};
use crate::cluster::said::Said;

/// What a server is replied to a [`NodeRequest`](super::NodeRequest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeReply {
    /// It has done nothing, since it answers too many already.
    Busy,
    /// It has no such connection.
    NotFound,
    /// It has this connection.
    Found(Listed),
    /// The frame is in the connection's send buffer.
    Queued,
    /// The frame is not.
    NotQueued(NotQueued),
    /// So many connections have ended.
    Kicked {
        /// How many.
        connections: u64,
    },
    /// The members of a group.
    Connections {
        /// How many there are.
        count: u64,
        /// As many of them as one reply holds.
        listed: Vec<Listed>,
    },
    /// The rooms that have members.
    Rooms {
        /// How many there are.
        count: u64,
        /// As many of them as one reply holds, each with the number of its members.
        listed: Vec<(ByteString, u64)>,
    },
    /// The people in a room that has presence.
    People {
        /// Of which of its streams of changes there the next number is that of a position; 0 if it
        /// has said nothing.
        stream: u32,
        /// The number of the last changes that are in it.
        number: u64,
        /// Whether these are the last ones in the order of their [names](super::PersonName).
        is_last: bool,
        /// As many of them as one reply holds, in that order.
        listed: Vec<ListedPerson>,
    },
    /// How many it has.
    Counts {
        /// Connections, suspended ones included.
        connections: u64,
        /// Rooms that have members.
        rooms: u64,
        /// Users who have connections.
        users: u64,
    },
    /// What the members of a room have replied.
    Members {
        /// How many were asked.
        count: u64,
        /// The name of the codec that the replies are encoded with; empty for the nameless.
        codec: ByteString,
        /// As many of them as one reply holds.
        replies: Vec<MemberReply>,
    },
}

/// A connection of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: ByteString,
    /// Its home room; empty without one.
    pub room: ByteString,
    /// Whose it is, if anybody has said so.
    pub user: Option<ByteString>,
    /// Whether it has lost its transport and waits for the next.
    pub is_suspended: bool,
}

/// Why a frame is not in the send buffer of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotQueued {
    /// There is no room.
    Full(FullBuffer),
    /// Where the buffer is full, it would make others drop whose delivery is promised.
    BreaksPromise,
    /// The frame cannot be read there, or the connection's codec cannot express it.
    NotExpressed,
}

/// The bound at which a send buffer took no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullBuffer {
    /// The connection's frames.
    Frames(u64),
    /// The connection's bytes.
    Bytes(u64),
    /// The bytes of all connections of that server together.
    ServerBytes(u64),
}

/// What one member has replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberReply {
    /// The connection's id.
    pub id: ByteString,
    /// The reply, or why there is none.
    pub reply: Result<Said, Unreplied>,
}

/// Why there is no reply of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreplied {
    /// None has come in time.
    TimedOut,
    /// The connection has ended.
    Closed,
    /// It was not sent: the send buffer is full, too many requests wait, or one of this id.
    NotSent,
    /// The client has replied with an error, which is this frame.
    Refused(Said),
    /// The request, or the reply, cannot be expressed or does not fit.
    NotExpressed,
}

impl Listed {
    /// How many bytes it takes between servers.
    pub fn bytes(&self) -> usize {
        let Self { id, room, user, is_suspended: _ } = self;
        13 + id.len() + room.len() + user.as_ref().map_or(0, |user| user.len())
    }

    fn put(&self, to: &mut BytesMut) {
        let Self { id, room, user, is_suspended } = self;
        to.put_u8(u8::from(*is_suspended) | u8::from(user.is_some()) << 1);
        put_text(to, id);
        put_text(to, room);
        if let Some(user) = user {
            put_text(to, user);
        }
    }

    fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        let flags = from.try_get_u8()?;
        if flags > 3 {
            return Err(MessageError::Invalid { what: "connection's flags" });
        }
        let (id, room) = (take_text(from, "id")?, take_text(from, "room")?);
        let user = if flags & 2 != 0 { Some(take_text(from, "user")?) } else { None };
        Ok(Self { id, room, user, is_suspended: flags & 1 != 0 })
    }
}

impl MemberReply {
    /// How many bytes it takes between servers, at the most.
    pub fn bytes(&self) -> usize {
        let said_bytes = match &self.reply {
            Ok(said) | Err(Unreplied::Refused(said)) => said.bytes(),
            Err(
                Unreplied::TimedOut
                | Unreplied::Closed
                | Unreplied::NotSent
                | Unreplied::NotExpressed,
            ) => 0,
        };
        5 + self.id.len() + said_bytes
    }

    fn put(&self, to: &mut BytesMut) {
        put_text(to, &self.id);
        let (tag, said) = match &self.reply {
            Ok(said) => (0, Some(said)),
            Err(Unreplied::TimedOut) => (1, None),
            Err(Unreplied::Closed) => (2, None),
            Err(Unreplied::NotSent) => (3, None),
            Err(Unreplied::Refused(said)) => (4, Some(said)),
            Err(Unreplied::NotExpressed) => (5, None),
        };
        to.put_u8(tag);
        if let Some(said) = said {
            said.put(to);
        }
    }

    fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        let id = take_text(from, "id")?;
        let reply = match from.try_get_u8()? {
            0 => Ok(Said::take(from)?),
            1 => Err(Unreplied::TimedOut),
            2 => Err(Unreplied::Closed),
            3 => Err(Unreplied::NotSent),
            4 => Err(Unreplied::Refused(Said::take(from)?)),
            5 => Err(Unreplied::NotExpressed),
            6.. => return Err(MessageError::Invalid { what: "reply of a member" }),
        };
        Ok(Self { id, reply })
    }
}

impl NotQueued {
    fn put(self, to: &mut BytesMut) {
        let (tag, bound) = match self {
            Self::Full(FullBuffer::Frames(bound)) => (0, bound),
            Self::Full(FullBuffer::Bytes(bound)) => (1, bound),
            Self::Full(FullBuffer::ServerBytes(bound)) => (2, bound),
            Self::BreaksPromise => (3, 0),
            Self::NotExpressed => (4, 0),
        };
        to.put_u8(tag);
        to.put_u64(bound);
    }

    fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        let (tag, bound) = (from.try_get_u8()?, take_number(from)?);
        Ok(match tag {
            0 => Self::Full(FullBuffer::Frames(bound)),
            1 => Self::Full(FullBuffer::Bytes(bound)),
            2 => Self::Full(FullBuffer::ServerBytes(bound)),
            3 => Self::BreaksPromise,
            4 => Self::NotExpressed,
            5.. => return Err(MessageError::Invalid { what: "reason" }),
        })
    }
}

impl NodeReply {
    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        let mut to;
        match self {
            Self::Busy => to = begin(kind::BUSY, 2),
            Self::NotFound => to = begin(kind::NOT_FOUND, 2),
            Self::Found(listed) => {
                to = begin(kind::FOUND, 2 + listed.bytes());
                listed.put(&mut to);
            }
            Self::Queued => to = begin(kind::QUEUED, 2),
            Self::NotQueued(why) => {
                to = begin(kind::NOT_QUEUED, 16);
                why.put(&mut to);
            }
            Self::Kicked { connections } => {
                to = begin(kind::KICKED, 16);
                to.put_u64(*connections);
            }
            Self::Connections { count, listed } => {
                to = begin(kind::LISTED, 16 + sum(listed, Listed::bytes));
                put_all(&mut to, *count, listed, Listed::put);
            }
            Self::Rooms { count, listed } => {
                to = begin(kind::LISTED_ROOMS, 16 + sum(listed, |(name, _)| 12 + name.len()));
                put_all(&mut to, *count, listed, |(name, members), to| {
                    put_text(to, name);
                    to.put_u64(*members);
                });
            }
            Self::People { stream, number, is_last, listed } => {
                to = begin(kind::LISTED_PEOPLE, 32 + sum(listed, ListedPerson::bytes));
                to.put_u32(*stream);
                to.put_u64(*number);
                to.put_u8(u8::from(*is_last));
                put_people(&mut to, listed);
            }
            Self::Counts { connections, rooms, users } => {
                to = begin(kind::COUNTED, 32);
                for count in [connections, rooms, users] {
                    to.put_u64(*count);
                }
            }
            Self::Members { count, codec, replies } => {
                let bytes = 32 + codec.len() + sum(replies, MemberReply::bytes);
                to = begin(kind::MEMBERS, bytes);
                put_text(&mut to, codec);
                put_all(&mut to, *count, replies, MemberReply::put);
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
        let reply = match kind_of(from)? {
            kind::BUSY => Self::Busy,
            kind::NOT_FOUND => Self::NotFound,
            kind::FOUND => Self::Found(Listed::take(from)?),
            kind::QUEUED => Self::Queued,
            kind::NOT_QUEUED => Self::NotQueued(NotQueued::take(from)?),
            kind::KICKED => Self::Kicked { connections: take_count(from)? },
            kind::LISTED => {
                let (count, listed) = take_all(from, Listed::take)?;
                Self::Connections { count, listed }
            }
            kind::LISTED_ROOMS => {
                let take = |from: &mut Bytes| Ok((take_text(from, "room")?, take_count(from)?));
                let (count, listed) = take_all(from, take)?;
                Self::Rooms { count, listed }
            }
            kind::LISTED_PEOPLE => {
                let (stream, number) = (from.try_get_u32()?, take_number(from)?);
                let is_last = take_flag(from)?;
                let listed = take_people(from)?;
                Self::People { stream, number, is_last, listed }
            }
            kind::COUNTED => Self::Counts {
                connections: take_count(from)?,
                rooms: take_count(from)?,
                users: take_count(from)?,
            },
            kind::MEMBERS => {
                let codec = take_text(from, "codec's name")?;
                let (count, replies) = take_all(from, MemberReply::take)?;
                Self::Members { count, codec, replies }
            }
            found => return Err(MessageError::Kind { found }),
        };
        end(from)?;
        Ok(reply)
    }

    /// Whether it tells of fewer than there are.
    pub fn is_truncated(&self) -> bool {
        let (count, told) = match self {
            Self::Connections { count, listed } => (*count, listed.len()),
            Self::Rooms { count, listed } => (*count, listed.len()),
            Self::People { is_last, .. } => return !is_last,
            Self::Members { count, replies, .. } => (*count, replies.len()),
            Self::Busy
            | Self::NotFound
            | Self::Found(_)
            | Self::Queued
            | Self::NotQueued(_)
            | Self::Kicked { .. }
            | Self::Counts { .. } => return false,
        };
        (told as u64) < count
    }
}

/// A number that nothing gets to that is counted: sums over all servers of a cluster are numbers too.
const COUNT_MAX: u64 = 1 << 40;

fn take_count(from: &mut Bytes) -> Result<u64, MessageError> {
    let count = take_number(from)?;
    if count > COUNT_MAX { Err(MessageError::Invalid { what: "count" }) } else { Ok(count) }
}

fn sum<T>(all: &[T], bytes: impl Fn(&T) -> usize) -> usize {
    all.iter().map(bytes).sum()
}

fn put_all<T>(to: &mut BytesMut, count: u64, all: &[T], put: impl Fn(&T, &mut BytesMut)) {
    debug_assert!(all.len() <= ENTRIES_MAX, "whoever lists them counts");
    to.put_u64(count);
    to.put_u16(u16::try_from(all.len()).unwrap_or(u16::MAX));
    for it in all {
        put(it, to);
    }
}

fn take_all<T>(
    from: &mut Bytes,
    take: impl Fn(&mut Bytes) -> Result<T, MessageError>,
) -> Result<(u64, Vec<T>), MessageError> {
    let count = take_count(from)?;
    let entries = usize::from(from.try_get_u16()?);
    if entries > ENTRIES_MAX || entries as u64 > count {
        return Err(MessageError::Invalid { what: "number of entries" });
    }
    let all = (0..entries).map(|_| take(from)).collect::<Result<_, _>>()?;
    Ok((count, all))
}
