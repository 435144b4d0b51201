//! A string of a message that is kept as it lies there, wherever that can be.

use std::ops::Range;
use std::str::Utf8Error;

use bytes::Bytes;
use bytestring::ByteString;

/// A string in a message.
pub(super) enum Text {
    /// Its bytes are its characters.
    Verbatim(Range<usize>),
    /// The message has its characters in another form: escaped, or in pieces.
    Rewritten(String),
}

impl Text {
    pub(super) const EMPTY: Self = Self::Verbatim(0..0);

    /// Takes it out of the message, with whose buffer it shares.
    #[inline]
    pub(super) fn cut(self, message: &Bytes) -> Result<ByteString, Utf8Error> {
        match self {
            Self::Verbatim(place) => ByteString::try_from(message.slice(place)),
            Self::Rewritten(text) => Ok(text.into()),
        }
    }
}
