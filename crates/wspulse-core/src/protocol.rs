//! The protocol `wspulse.1`: what is said beside the frames, and in the handshake.
//!
//! The repository's `docs/protocol.md` says what each message is for.

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeserializeDerive, Serialize};

use crate::codec::InboundMessage;
use crate::encoded::MessageKind;

/// In front of a codec's name, the subprotocol that is negotiated (RFC 6455 §1.9).
pub const SUBPROTOCOL_PREFIX: &str = "wspulse.1+";

/// The subprotocol that a server of this library chooses where it promises less: frames alone. Most
/// WebSocket clients fail a handshake in which none of those is chosen that they offer.
pub const PLAIN_SUBPROTOCOL: &str = "wspulse.plain";

/// In front of a token and a count, what a client offers that has a session.
const RESUME_PREFIX: &str = "wspulse.1.resume.";

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 1024;

/// The largest number that a message or a handshake may name: JSON numbers are exact up to here.
pub const COUNT_MAX: u64 = (1 << 53) - 1;

/// A control message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// The first message on each transport, from the server.
    Hello(Box<Hello>),
    /// *How far have you got?*
    Ask,
    /// *I have handled the first so many data messages of this session.*
    Ack(u64),
    /// Of a later version: to be ignored.
    Unknown,
}

/// What the server knows at the beginning of a transport.
#[derive(Clone, PartialEq, Eq, Serialize, DeserializeDerive)]
#[non_exhaustive]
pub struct Hello {
    /// Whether this is the session whose token was offered.
    pub session: SessionKind,
    /// The connection's id.
    pub id: String,
    /// What the next handshake is to offer, in place of the one before.
    pub token: String,
    /// How many of the client's data messages the server has received.
    pub received: u64,
    /// How many of those are handled.
    pub handled: u64,
    /// So many data messages follow that were missed.
    pub replay: u64,
    /// After so many milliseconds without a sign of life the server takes the client for gone.
    pub silence: u64,
    /// A session waits for its client for so many milliseconds.
    pub window: u64,
    /// The longest message that the server takes, in bytes.
    pub message_max: u64,
}

/// Whether a client found its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, DeserializeDerive)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum SessionKind {
    /// It begins here.
    New,
    /// It is the one that the client has had.
    Resumed,
}

impl TryFrom<String> for SessionKind {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match name.as_str() {
            "new" => Ok(Self::New),
            "resumed" => Ok(Self::Resumed),
            _ => Err("a session is new or resumed"),
        }
    }
}

impl fmt::Debug for Hello {
    /// The token is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, id, received, handled, replay, .. } = self;
        f.debug_struct("Hello")
            .field("session", session)
            .field("id", id)
            .field("received", received)
            .field("handled", handled)
            .field("replay", replay)
            .finish_non_exhaustive()
    }
}

impl Hello {
    /// What a new session begins with; the other members are to be filled in.
    pub fn new(id: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            session: SessionKind::New,
            id: id.into(),
            token: token.into(),
            received: 0,
            handled: 0,
            replay: 0,
            silence: 0,
            window: 0,
            message_max: 0,
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let numbers = [self.received, self.replay, self.silence, self.window, self.message_max];
        if numbers.iter().any(|number| *number > COUNT_MAX) {
            return Err("a number is over 2^53-1");
        }
        if self.handled > self.received {
            return Err("more is handled than was received");
        }
        if !is_token(&self.token) {
            return Err("the token is none");
        }
        Ok(())
    }
}

/// A text that begins like a control message and is none.
#[derive(Debug, thiserror::Error)]
#[error("no control message of wspulse.1: {0}")]
pub struct NotControl(#[from] serde_json::Error);

impl Control {
    /// Whether a message is one, or pretends to be.
    #[inline]
    pub fn is_meant(message: &InboundMessage<'_>) -> bool {
        message.kind() == MessageKind::Text && message.as_bytes().first() == Some(&b'[')
    }

    /// Reads a control message.
    ///
    /// # Errors
    ///
    /// [`NotControl`] if it is none.
    pub fn parse(text: &[u8]) -> Result<Self, NotControl> {
        Ok(serde_json::from_slice(text)?)
    }

    /// The text of the message, but for those that are unknown.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Ask => Some("[\"ask\"]".to_owned()),
            Self::Ack(count) => Some(format!("[\"ack\",{count}]")),
            Self::Hello(hello) => serde_json::to_string(&("hello", &**hello)).ok(),
            Self::Unknown => None,
        }
    }
}

impl<'de> Deserialize<'de> for Control {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ControlVisitor)
    }
}

struct ControlVisitor;

impl<'de> Visitor<'de> for ControlVisitor {
    type Value = Control;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array that begins with a name")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Control, A::Error> {
        let missing = || de::Error::custom("it lacks an element");
        let name: String = array.next_element()?.ok_or_else(missing)?;
        let control = match name.as_str() {
            "ask" => Control::Ask,
            "ack" => {
                let count: u64 = array.next_element()?.ok_or_else(missing)?;
                if count > COUNT_MAX {
                    return Err(de::Error::custom("the count is over 2^53-1"));
                }
                Control::Ack(count)
            }
            "hello" => {
                let Object(hello) = array.next_element()?.ok_or_else(missing)?;
                hello.check().map_err(de::Error::custom)?;
                Control::Hello(Box::new(hello))
            }
            _ => Control::Unknown,
        };
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(control)
    }
}

/// A hello that is an object: derived code takes an array of its members for one as well.
struct Object(Hello);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object, A::Error> {
        Hello::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// What a client offers that comes back to its session.
#[derive(Clone, PartialEq, Eq)]
pub struct ResumeOffer {
    /// The newest that it was given.
    pub token: String,
    /// How many data messages of the session it has received.
    pub count: u64,
}

/// It is no offer to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no offer to resume a session: it must be {RESUME_PREFIX}<token>.<count>")]
pub struct NotAnOffer;

impl ResumeOffer {
    /// Whether this subprotocol is meant as one, if it can be read or not.
    pub fn is_meant(offered: &str) -> bool {
        offered.starts_with(RESUME_PREFIX)
    }
}

impl FromStr for ResumeOffer {
    type Err = NotAnOffer;

    fn from_str(offered: &str) -> Result<Self, NotAnOffer> {
        let rest = offered.strip_prefix(RESUME_PREFIX).ok_or(NotAnOffer)?;
        let (token, count) = rest.rsplit_once('.').ok_or(NotAnOffer)?;
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit())
            && (count == "0" || !count.starts_with('0'));
        let count: u64 = count.parse().map_err(|_| NotAnOffer)?;
        if !is_number || count > COUNT_MAX || !is_token(token) {
            return Err(NotAnOffer);
        }
        Ok(Self { token: token.to_owned(), count })
    }
}

impl fmt::Display for ResumeOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{RESUME_PREFIX}{}.{}", self.token, self.count)
    }
}

impl fmt::Debug for ResumeOffer {
    /// The token is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeOffer").field("count", &self.count).finish_non_exhaustive()
    }
}

fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
}
