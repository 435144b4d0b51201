//! What is wrong with Protobuf, or with a frame in it.

use std::error::Error;

use crate::codec::JsonError;

/// Why a message is not a frame in Protobuf, or a payload has no form in one.
///
/// [`EncodeError`](crate::codec::EncodeError) and [`DecodeError`](crate::codec::DecodeError) hold it for those who want to tell the causes apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtobufError {
    /// The bytes end before a field does.
    #[error("ends in the middle of a field")]
    Truncated,
    /// The head of a field is none: the field's number is 0 or has more than 29 bits, its wire type is
    /// none, or it is a group, which proto3 does not have.
    #[error("no field at byte {at}")]
    Malformed {
        /// Where the head is, counted from 0.
        at: usize,
    },
    /// A field has another wire type than the schema says.
    #[error("field {member:?} is neither a string nor bytes")]
    WrongType {
        /// `id`, `event`, or `payload` for both fields of that.
        member: &'static str,
    },
    /// The id or the event is not valid UTF-8.
    #[error("field {member:?} is not valid UTF-8")]
    NotUtf8 {
        /// `id` or `event`.
        member: &'static str,
    },
    /// The id, the event or the payload is there twice. Other readers take the last one; which one is
    /// meant nobody knows.
    #[error("field {member:?} is repeated")]
    RepeatedMember {
        /// `id`, `event`, or `payload` for both fields of that.
        member: &'static str,
    },
    /// The payload is said to be JSON, and is not exactly one value of it.
    #[error("the payload is not JSON")]
    NotJson(#[source] JsonError),
    /// The payload is in another format, which is known, and is neither binary data nor has a form in
    /// JSON.
    #[error("the payload can be written neither as bytes nor as JSON: {0}")]
    Untranslatable(#[source] Box<dyn Error + Send + Sync>),
}
