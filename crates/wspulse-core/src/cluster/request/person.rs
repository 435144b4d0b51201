//! People in rooms, as one server tells another of them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{put_text, take_text};
use crate::cluster::message::MessageError;

/// A person in a room of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPerson {
    /// The user's id, or that of a connection which is no user's.
    pub id: ByteString,
    /// Which of the two.
    pub is_user: bool,
    /// Whether all its connections are suspended.
    pub is_away: bool,
    /// What the application has attached to it, which should be JSON.
    pub meta: Option<ByteString>,
}

mod flag {
    pub(super) const USER: u8 = 1;
    pub(super) const AWAY: u8 = 2;
    pub(super) const META: u8 = 4;
    pub(super) const KNOWN: u8 = 7;
}

impl ListedPerson {
    /// How many bytes it takes between servers.
    pub fn bytes(&self) -> usize {
        let Self { id, meta, is_user: _, is_away: _ } = self;
        9 + id.len() + meta.as_ref().map_or(0, |meta| meta.len())
    }

    pub(super) fn put(&self, to: &mut BytesMut) {
        let Self { id, is_user, is_away, meta } = self;
        let set = |flag, is_set| if is_set { flag } else { 0 };
        to.put_u8(
            set(flag::USER, *is_user) | set(flag::AWAY, *is_away) | set(flag::META, meta.is_some()),
        );
        put_text(to, id);
        if let Some(meta) = meta {
            put_text(to, meta);
        }
    }

    pub(super) fn take(from: &mut Bytes) -> Result<Self, MessageError> {
        let flags = from.try_get_u8()?;
        if flags & !flag::KNOWN != 0 {
            return Err(MessageError::Invalid { what: "person's flags" });
        }
        let has = |flag| flags & flag != 0;
        let id = take_text(from, "id")?;
        let meta = if has(flag::META) { Some(take_text(from, "metadata")?) } else { None };
        Ok(Self { id, is_user: has(flag::USER), is_away: has(flag::AWAY), meta })
    }
}
