//! What is wrong with JSON.

use std::error::Error;

use serde_json::error::Category;

use super::NESTING_MAX;

/// Why a payload is not JSON, or a message not a frame in JSON.
///
/// [`EncodeError`](crate::codec::EncodeError) and [`DecodeError`](crate::codec::DecodeError) hold it
/// for those who want to tell the causes apart:
///
/// ```
/// use wspulse_core::codec::{Codec, JsonCodec, JsonError};
/// use wspulse_core::Frame;
///
/// let frame = Frame::new("chat.message").with_payload("1 2");
/// let error = JsonCodec.encode(&frame, &mut Vec::new()).unwrap_err();
/// let cause = error.get_ref().downcast_ref();
/// assert!(matches!(cause, Some(JsonError::TrailingData)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Some bytes are not UTF-8, which JSON between systems must be (RFC 8259 §8.1).
    #[error("not valid UTF-8")]
    NotUtf8,
    /// There is no value: nothing but whitespace, if anything.
    #[error("no JSON value")]
    Empty,
    /// The grammar of JSON is violated; the source says where.
    #[error("not valid JSON")]
    Syntax(#[source] Box<dyn Error + Send + Sync>),
    /// Something other than whitespace follows the value.
    #[error("more than one JSON value")]
    TrailingData,
    /// Arrays and objects nest deeper than 10,000 levels.
    #[error("nested deeper than {NESTING_MAX} levels")]
    TooDeep,
    /// The message is not an object: `null`, an array, a string, a number or a boolean.
    #[error("not a JSON object")]
    NotAnObject,
    /// The id or the event is neither a string nor `null`.
    #[error("member {member:?} is not a string")]
    NotAString {
        /// `id` or `event`.
        member: &'static str,
    },
    /// The id, the event or the payload is there twice.
    #[error("member {member:?} is repeated")]
    RepeatedMember {
        /// `id`, `event` or `payload`.
        member: &'static str,
    },
    /// The payload is in another format, which is known, and has no form in JSON.
    #[error("the payload cannot be written as JSON: {0}")]
    Untranslatable(#[source] Box<dyn Error + Send + Sync>),
}

impl JsonError {
    pub(super) fn from_parser(error: serde_json::Error) -> Self {
        match error.classify() {
            // Nothing here asks the parser for any type but a map.
            Category::Data => Self::NotAnObject,
            Category::Syntax | Category::Eof | Category::Io => Self::Syntax(error.into()),
        }
    }
}
