//! People in rooms, as one server tells another of them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{ENTRIES_MAX, put_text, take_text};
use crate::cluster::ids::NodeId;
use crate::cluster::message::{
    MessageError, begin, end, expect_kind, kind, take_array, take_flag, take_number,
};

/// A person in a room of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPerson {
    /// Who it is.
    pub name: PersonName,
    /// How it is there.
    pub state: ListedState,
    /// Which of the values that were ever set as its metadata this is.
    pub meta_mark: MetaMark,
    /// What the application has attached to it, which should be JSON.
    pub meta: Option<ByteString>,
}

/// Who a person is: users come before connections, and each of the two in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonName {
    /// Whether it is a user, or else a connection that is no user's.
    pub is_user: bool,
    /// The id of whichever it is.
    pub id: ByteString,
}

/// How a person is on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedState {
    /// One of its connections there is connected.
    Here,
    /// All of them are suspended.
    Away,
    /// None is left. Only changes say so.
    Gone,
    /// The last one's session has left for another server, and was like this by then.
    Moved {
        /// Whether it was here, or else away.
        was_here: bool,
    },
}

/// Which of two values of a person's metadata was set later, as far as the servers knew of each other:
/// the greater one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetaMark {
    /// One more than that of the value which it has replaced; 0 if none was ever set.
    pub number: u64,
    /// The server that has set it.
    pub node: NodeId,
}

/// What has changed among the people in a room of one server: each once, as it is now, and no more than
/// [`ENTRIES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeopleChanges(pub Vec<ListedPerson>);

impl MetaMark {
    /// Nothing was ever set.
    pub const NONE: Self = Self { number: 0, node: NodeId::new([0; NodeId::BYTES]) };

    const BYTES: usize = 8 + NodeId::BYTES;
}

impl PersonName {
    pub(super) fn put(&self, to: &mut BytesMut) {
        to.put_u8(u8::from(self.is_user));
        put_text(to, &self.id);
    }

    pub(super) fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        Ok(Self { is_user: take_flag(from)?, id: take_text(from, "id")? })
    }
}

impl ListedPerson {
    /// How many bytes it takes between servers.
    pub fn bytes(&self) -> usize {
        let meta_bytes = self.meta.as_ref().map_or(0, |meta| 4 + meta.len());
        7 + self.name.id.len() + MetaMark::BYTES + meta_bytes
    }

    pub(super) fn put(&self, to: &mut BytesMut) {
        let Self { name, state, meta_mark, meta } = self;
        name.put(to);
        to.put_u8(match state {
            ListedState::Here => 0,
            ListedState::Away => 1,
            ListedState::Gone => 2,
            ListedState::Moved { was_here: true } => 3,
            ListedState::Moved { was_here: false } => 4,
        });
        to.put_u64(meta_mark.number);
        to.put_slice(meta_mark.node.as_bytes());
        to.put_u8(u8::from(meta.is_some()));
        if let Some(meta) = meta {
            put_text(to, meta);
        }
    }

    pub(super) fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        let name = PersonName::take(from)?;
        let state = match from.try_get_u8()? {
            0 => ListedState::Here,
            1 => ListedState::Away,
            2 => ListedState::Gone,
            3 => ListedState::Moved { was_here: true },
            4 => ListedState::Moved { was_here: false },
            5.. => return Err(MessageError::Invalid { what: "person's state" }),
        };
        let number = take_number(from)?;
        let meta_mark = MetaMark { number, node: NodeId::new(take_array(from)?) };
        let meta = if take_flag(from)? { Some(take_text(from, "metadata")?) } else { None };
        Ok(Self { name, state, meta_mark, meta })
    }
}

impl PeopleChanges {
    /// As it is said in a stream of its room.
    pub fn encode(&self) -> Bytes {
        let bytes = self.0.iter().map(ListedPerson::bytes).sum::<usize>();
        let mut to = begin(kind::PEOPLE_CHANGES, 4 + bytes);
        put_people(&mut to, &self.0);
        to.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if it is none.
    pub fn decode(mut from: Bytes) -> Result<Self, MessageError> {
        expect_kind(&mut from, kind::PEOPLE_CHANGES)?;
        let people = take_people(&mut from)?;
        end(&from)?;
        Ok(Self(people))
    }
}

pub(super) fn put_people(to: &mut BytesMut, people: &[ListedPerson]) {
    debug_assert!(people.len() <= ENTRIES_MAX, "whoever packs them counts");
    to.put_u16(u16::try_from(people.len()).unwrap_or(u16::MAX));
    for person in people {
        person.put(to);
    }
}

pub(super) fn take_people(from: &mut Bytes) -> Result<Vec<ListedPerson>, MessageError> {
    let count = usize::from(from.try_get_u16()?);
    if count > ENTRIES_MAX {
        return Err(MessageError::Invalid { what: "number of people" });
    }
    (0..count).map(|_| ListedPerson::take(from)).collect()
}
