//! What is wrong with CBOR, or with a frame in it.

/// Why a payload is not CBOR, or a message not a frame in CBOR.
///
/// [`EncodeError`](crate::codec::EncodeError) and [`DecodeError`](crate::codec::DecodeError) hold it for those who want to tell the causes apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// The bytes end before the value does.
    #[error("ends in the middle of a value")]
    Truncated,
    /// The bytes are not well-formed (RFC 8949 §3): a reserved head, a break where none may be, or a
    /// piece of another kind in a string of indefinite length.
    #[error("not well-formed at byte {at}")]
    Malformed {
        /// Where the value begins, counted from 0.
        at: usize,
    },
    /// A text string is not UTF-8, which RFC 8949 §3.1 wants it to be.
    #[error("the text at byte {at} is not valid UTF-8")]
    NotUtf8 {
        /// Where the string begins, counted from 0.
        at: usize,
    },
    /// Something follows the value.
    #[error("more than one value")]
    TrailingData,
    /// Arrays, maps and tags nest deeper than they may.
    #[error("nested deeper than {levels_max} levels")]
    TooDeep {
        /// 10,000, or 127 where a payload is written in another format.
        levels_max: usize,
    },
    /// The message is not a map.
    #[error("not a map")]
    NotAMap,
    /// The id or the event is neither a text string nor `null` nor `undefined`.
    #[error("member {member:?} is not a text string")]
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
    /// The payload is known to be in another format, and has no form in CBOR.
    #[error("the payload cannot be written as CBOR: {cause}")]
    Untranslatable {
        /// What is wrong with it.
        cause: String,
    },
}
