//! Who is in a room: people, as the application and the members are told of them.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Whether a person is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PresenceState {
    /// One of the person's connections is connected.
    Here,
    /// All of them are suspended: the clients may come back within the resume window.
    Away,
    /// None is left. Only changes say so.
    Gone,
}

/// Who a person is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PersonId {
    /// A user, by its id, with all its connections.
    User(Arc<str>),
    /// A connection that is no user's, by its id.
    Connection(Arc<str>),
}

/// A person in a room.
///
/// As JSON, which is what members are told: `{"user":"ann","state":"here","meta":…}`, with
/// `connection` instead of `user` for who has none, and without `meta` where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Person {
    /// Who it is.
    pub id: PersonId,
    /// Whether it is there.
    pub state: PresenceState,
    pub(super) meta: Option<Meta>,
}

/// Who is in a room at one point of its [sequence](Self::sequence).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PresenceSnapshot {
    /// The number of the last changes that are in it. It begins with 0 when the room does.
    pub sequence: u64,
    /// Who is here or away, in the order of their ids.
    pub people: Vec<Person>,
}

/// What has changed in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceChanges {
    /// The changes before had the number that is one less.
    pub sequence: u64,
    /// Whoever has come or gone, or is other than before, once, in the order of their ids.
    pub people: Vec<Person>,
}

/// JSON text that an application has attached to a person; shared.
#[derive(Clone)]
pub(crate) struct Meta(Arc<RawValue>);

impl Meta {
    pub(crate) fn new(json: Box<RawValue>) -> Self {
        Self(json.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl Person {
    pub(crate) const fn new(id: PersonId, state: PresenceState, meta: Option<Meta>) -> Self {
        Self { id, state, meta }
    }

    /// As somebody is told of it who cannot be told its metadata.
    pub(crate) fn without_meta(&self) -> Self {
        Self::new(self.id.clone(), self.state, None)
    }

    /// What the application has [attached](crate::Connection::set_presence) to it, as JSON.
    pub fn meta(&self) -> Option<&str> {
        self.meta.as_ref().map(|meta| meta.0.get())
    }
}

impl PersonId {
    /// The id, of whichever it is.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(id) | Self::Connection(id) => id,
        }
    }
}

impl PartialEq for Meta {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Meta {}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.get(), f)
    }
}

impl Serialize for Person {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let kind = match &self.id {
            PersonId::User(_) => "user",
            PersonId::Connection(_) => "connection",
        };
        map.serialize_entry(kind, self.id.as_str())?;
        map.serialize_entry("state", &self.state)?;
        if let Some(meta) = &self.meta {
            map.serialize_entry("meta", &*meta.0)?;
        }
        map.end()
    }
}
