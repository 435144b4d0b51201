//! CBOR as such, for the codec of that name and for payloads: what is well-formed, and how deep.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "tokens are another crate's, which may add some"
)]

mod error;
mod plain;
mod walk;

pub use error::CborError;
pub(crate) use plain::{joined, plain};
pub(crate) use walk::{Kind, Reader};

/// How deep arrays, maps and tags may nest in a payload that is read, or written in another format:
/// where the parser of JSON stops by itself.
const TRANSLATED_NESTING_MAX: usize = 127;
