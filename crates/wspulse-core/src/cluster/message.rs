//! What servers tell each other, as bytes.
//!
//! All numbers are big-endian. Each message begins with the version of all of this and with its kind;
//! a server passes over what it does not know, which its sequences show as a gap.

mod error;
mod parts;

use bytes::{Buf, BufMut, Bytes};
use bytestring::ByteString;

use super::ids::{GroupKey, NodeId, Target};
use super::said::Said;
pub use error::MessageError;
pub(super) use parts::{
    NUMBER_MAX, begin, end, expect_kind, kind_of, take_array, take_bytes, take_flag, take_number,
};
use parts::{check_range, put_frames, put_moved, put_target, take_frames, take_moved, take_target};

/// What this version writes, and reads.
const VERSION: u8 = 1;

/// The most frames in one message: an answer has so many, and a batch fewer.
pub const FRAMES_MAX: usize = 256;

/// The most streams that one message tells of: 720 KiB.
pub(super) const STREAMS_MAX: usize = 20_000;

/// Frames that one server has said to one group, without a hole between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Who says it.
    pub origin: NodeId,
    /// Which of the origin's streams to this group it is: a new one is begun once the last is
    /// forgotten. It has the number of the beat that was next when it began.
    pub stream: u32,
    /// The number of the first frame, counted from 1.
    pub first: u64,
    /// How long nothing had been said before the first frame, in milliseconds; `u32::MAX` if nothing
    /// had been said at all, and for longer times.
    pub quiet_ms: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_ms: u64,
    /// The name of the codec that the frames are encoded with; empty for the nameless.
    pub codec: ByteString,
    /// The frames.
    pub said: Vec<Said>,
}

/// A server is there, and this is where its streams are that have moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Whose it is.
    pub origin: NodeId,
    /// One more with each, from 1 on; the parts of one have the same.
    pub number: u64,
    /// How it is.
    pub state: NodeState,
    /// How many connections it has.
    pub connections: u32,
    /// The streams that have moved since the one before.
    pub moved: Vec<Moved>,
}

/// Where a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Whom it is for.
    pub target: Target,
    /// Which of the origin's streams to that it is.
    pub stream: u32,
    /// The number of its newest frame.
    pub newest: u64,
}

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// It takes connections.
    Serving,
    /// It takes none any more, and sends those that it has elsewhere.
    Draining,
    /// It ends; nothing comes from it after this.
    Leaving,
}

/// What a server asks another one for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The frames of a stream from this number on.
    From {
        /// Whom the stream is for.
        target: Target,
        /// Which one.
        stream: u32,
        /// The number of the first frame that is lacking.
        first: u64,
    },
    /// The frames that were said within the last so many milliseconds, in the newest stream.
    Since {
        /// Whom the stream is for.
        target: Target,
        /// How long ago whoever asks began to listen.
        age_ms: u32,
    },
    /// Which streams have moved since a beat.
    Moved {
        /// The number of the last one that was heard.
        beat: u64,
    },
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Frames, without a hole between them.
    Frames {
        /// Which stream they are of.
        stream: u32,
        /// The number of the first frame that was asked for and is there; one more than the newest if
        /// there is none. What was asked for before it is lost.
        first: u64,
        /// The number of the stream's newest frame.
        newest: u64,
        /// Whether there was more, of the time that was asked for, which is lost.
        is_truncated: bool,
        /// The name of their codec.
        codec: ByteString,
        /// The frames.
        said: Vec<Said>,
    },
    /// There is no such stream: it was forgotten, or there never was one.
    NoStream,
    /// Streams that have moved.
    Moved {
        /// The number of the newest beat.
        beat: u64,
        /// Whether others may have moved, which are forgotten.
        is_truncated: bool,
        /// Those that are known.
        moved: Vec<Moved>,
    },
}

/// What a message is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressee {
    /// The order and wholeness of what servers say: an [`Ask`].
    Outbox,
    /// The server as such, what it has and knows.
    Server,
}

impl Addressee {
    /// Whom a request to a server is for.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if it is none that is known.
    pub fn of(request: &Bytes) -> Result<Self, MessageError> {
        match kind_of(&mut request.clone())? {
            kind::ASK_FROM..=kind::ASK_MOVED => Ok(Self::Outbox),
            kind::FIRST_OF_SERVERS.. => Ok(Self::Server),
            found => Err(MessageError::Kind { found }),
        }
    }
}

/// The first bytes of each message after the version.
pub(super) mod kind {
    pub(super) const BATCH: u8 = 1;
    pub(super) const BEAT: u8 = 2;
    /// In frames of the streams that tell who is in a room.
    pub(in crate::cluster) const PEOPLE_CHANGES: u8 = 3;
    pub(super) const ASK_FROM: u8 = 16;
    pub(super) const ASK_SINCE: u8 = 17;
    pub(super) const ASK_MOVED: u8 = 18;
    pub(super) const FRAMES: u8 = 32;
    pub(super) const NO_STREAM: u8 = 33;
    pub(super) const MOVED: u8 = 34;
    /// From here on, requests are about servers as such.
    pub(in crate::cluster) const FIRST_OF_SERVERS: u8 = 64;
    /// What servers have, and do for each other.
    pub(in crate::cluster) const FIND: u8 = 64;
    pub(in crate::cluster) const SEND: u8 = 65;
    pub(in crate::cluster) const KICK: u8 = 66;
    pub(in crate::cluster) const KICK_USER: u8 = 67;
    pub(in crate::cluster) const CONNECTIONS: u8 = 68;
    pub(in crate::cluster) const ROOMS: u8 = 69;
    pub(in crate::cluster) const COUNTS: u8 = 70;
    pub(in crate::cluster) const ASK_MEMBERS: u8 = 71;
    pub(in crate::cluster) const PEOPLE: u8 = 72;
    pub(in crate::cluster) const BUSY: u8 = 80;
    pub(in crate::cluster) const NOT_FOUND: u8 = 81;
    pub(in crate::cluster) const FOUND: u8 = 82;
    pub(in crate::cluster) const QUEUED: u8 = 83;
    pub(in crate::cluster) const NOT_QUEUED: u8 = 84;
    pub(in crate::cluster) const KICKED: u8 = 85;
    pub(in crate::cluster) const LISTED: u8 = 86;
    pub(in crate::cluster) const LISTED_ROOMS: u8 = 87;
    pub(in crate::cluster) const COUNTED: u8 = 88;
    pub(in crate::cluster) const MEMBERS: u8 = 89;
    pub(in crate::cluster) const LISTED_PEOPLE: u8 = 90;
    /// Sessions that go from one server to another.
    pub(in crate::cluster) const TAKE: u8 = 96;
    pub(in crate::cluster) const PART: u8 = 97;
    pub(in crate::cluster) const COMMIT: u8 = 98;
    pub(in crate::cluster) const INHERIT: u8 = 99;
    pub(in crate::cluster) const CLAIM: u8 = 100;
    pub(in crate::cluster) const RELEASE: u8 = 101;
    pub(in crate::cluster) const TWICE: u8 = 102;
    pub(in crate::cluster) const GIVEN: u8 = 104;
    pub(in crate::cluster) const REFUSED: u8 = 105;
    pub(in crate::cluster) const COMMITTED: u8 = 106;
    pub(in crate::cluster) const FREE: u8 = 107;
    pub(in crate::cluster) const HELD: u8 = 108;
    pub(in crate::cluster) const ENDING: u8 = 109;
}

impl Batch {
    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        let said_bytes: usize = self.said.iter().map(Said::bytes).sum();
        let mut to = begin(kind::BATCH, 64 + said_bytes);
        to.put_slice(self.origin.as_bytes());
        to.put_u32(self.stream);
        to.put_u64(self.first);
        to.put_u32(self.quiet_ms);
        to.put_u64(self.sent_ms);
        put_frames(&mut to, &self.codec, &self.said);
        to.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if it is none.
    pub fn decode(mut from: Bytes) -> Result<Self, MessageError> {
        expect_kind(&mut from, kind::BATCH)?;
        let origin = NodeId::new(take_array(&mut from)?);
        let (stream, first) = (from.try_get_u32()?, take_number(&mut from)?);
        let (quiet_ms, sent_ms) = (from.try_get_u32()?, from.try_get_u64()?);
        let (codec, said) = take_frames(&mut from)?;
        check_range(first, said.len())?;
        end(&from)?;
        Ok(Self { origin, stream, first, quiet_ms, sent_ms, codec, said })
    }
}

impl Beat {
    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        let mut to = begin(kind::BEAT, 64 + self.moved.len() * Moved::BYTES_MAX);
        to.put_slice(self.origin.as_bytes());
        to.put_u64(self.number);
        to.put_u8(match self.state {
            NodeState::Serving => 0,
            NodeState::Draining => 1,
            NodeState::Leaving => 2,
        });
        to.put_u32(self.connections);
        put_moved(&mut to, &self.moved);
        to.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if it is none.
    pub fn decode(mut from: Bytes) -> Result<Self, MessageError> {
        expect_kind(&mut from, kind::BEAT)?;
        let origin = NodeId::new(take_array(&mut from)?);
        let number = take_number(&mut from)?;
        let state = match from.try_get_u8()? {
            0 => NodeState::Serving,
            1 => NodeState::Draining,
            2 => NodeState::Leaving,
            3.. => return Err(MessageError::Invalid { what: "state" }),
        };
        let connections = from.try_get_u32()?;
        let moved = take_moved(&mut from)?;
        end(&from)?;
        Ok(Self { origin, number, state, connections, moved })
    }
}

impl Ask {
    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        let mut to;
        match self {
            Self::From { target, stream, first } => {
                to = begin(kind::ASK_FROM, 40);
                put_target(&mut to, target);
                to.put_u32(*stream);
                to.put_u64(*first);
            }
            Self::Since { target, age_ms } => {
                to = begin(kind::ASK_SINCE, 32);
                put_target(&mut to, target);
                to.put_u32(*age_ms);
            }
            Self::Moved { beat } => {
                to = begin(kind::ASK_MOVED, 16);
                to.put_u64(*beat);
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
        let ask = match kind_of(&mut from)? {
            kind::ASK_FROM => Self::From {
                target: take_target(&mut from)?,
                stream: from.try_get_u32()?,
                first: take_number(&mut from)?,
            },
            kind::ASK_SINCE => {
                Self::Since { target: take_target(&mut from)?, age_ms: from.try_get_u32()? }
            }
            kind::ASK_MOVED => Self::Moved { beat: take_number(&mut from)? },
            found => return Err(MessageError::Kind { found }),
        };
        end(&from)?;
        Ok(ask)
    }
}

impl Answer {
    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Frames { stream, first, newest, is_truncated, codec, said } => {
                let said_bytes: usize = said.iter().map(Said::bytes).sum();
                let mut to = begin(kind::FRAMES, 64 + said_bytes);
                to.put_u32(*stream);
                to.put_u64(*first);
                to.put_u64(*newest);
                to.put_u8(u8::from(*is_truncated));
                put_frames(&mut to, codec, said);
                to.freeze()
            }
            Self::NoStream => begin(kind::NO_STREAM, 2).freeze(),
            Self::Moved { beat, is_truncated, moved } => {
                let mut to = begin(kind::MOVED, 32 + moved.len() * Moved::BYTES_MAX);
                to.put_u64(*beat);
                to.put_u8(u8::from(*is_truncated));
                put_moved(&mut to, moved);
                to.freeze()
            }
        }
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if it is none.
    pub fn decode(mut from: Bytes) -> Result<Self, MessageError> {
        let answer = match kind_of(&mut from)? {
            kind::FRAMES => {
                let (stream, first) = (from.try_get_u32()?, take_number(&mut from)?);
                let (newest, is_truncated) = (take_number(&mut from)?, take_flag(&mut from)?);
                let (codec, said) = take_frames(&mut from)?;
                let last = check_range(first, said.len())?;
                if last > newest {
                    return Err(MessageError::Invalid { what: "newest" });
                }
                Self::Frames { stream, first, newest, is_truncated, codec, said }
            }
            kind::NO_STREAM => Self::NoStream,
            kind::MOVED => Self::Moved {
                beat: take_number(&mut from)?,
                is_truncated: take_flag(&mut from)?,
                moved: take_moved(&mut from)?,
            },
            found => return Err(MessageError::Kind { found }),
        };
        end(&from)?;
        Ok(answer)
    }
}

impl Moved {
    const BYTES_MAX: usize = 1 + GroupKey::BYTES + 4 + 8;
}
