//! What is wrong with MessagePack, or with a frame in it.

use std::error::Error;

use super::NESTING_MAX;

/// Why a payload is not MessagePack, or a message not a frame in MessagePack.
///
/// [`EncodeError`](crate::codec::EncodeError) and [`DecodeError`](crate::codec::DecodeError) hold it for those who want to tell the causes apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessagePackError {
    /// The bytes end before the value does.
    #[error("ends in the middle of a value")]
    Truncated,
    /// A value starts with the byte `0xc1`, which MessagePack never uses.
    #[error("a value starts with the reserved byte 0xc1")]
    Reserved,
    /// Something follows the value.
    #[error("more than one value")]
    TrailingData,
    /// Arrays and maps nest deeper than 10,000 levels.
    #[error("nested deeper than {NESTING_MAX} levels")]
    TooDeep,
    /// The message is not a map.
    #[error("not a map")]
    NotAMap,
    /// The id or the event is neither a string nor `nil`.
    #[error("member {member:?} is not a string")]
    NotAString {
        /// `id` or `event`.
        member: &'static str,
    },
    /// The id or the event is not valid UTF-8.
    #[error("member {member:?} is not valid UTF-8")]
    NotUtf8 {
        /// `id` or `event`.
        member: &'static str,
    },
    /// The id, the event or the payload is there twice.
    #[error("member {member:?} is repeated")]
    RepeatedMember {
        /// `id`, `event` or `payload`.
        member: &'static str,
    },
    /// The id, the event or the room is longer than the 4 GiB that MessagePack can express.
    #[error("member {member:?} is longer than 4 GiB")]
    TooLong {
        /// `id`, `event` or `room`.
        member: &'static str,
    },
    /// The payload is known to be in another format, and has no form in MessagePack.
    #[error("the payload cannot be written as MessagePack: {cause}")]
    Untranslatable {
        /// What is wrong with it.
        cause: String,
    },
}

impl MessagePackError {
    pub(super) fn untranslatable(cause: &dyn Error) -> Self {
        Self::Untranslatable { cause: cause.to_string() }
    }
}
