//! What is wrong with a message.

use super::VERSION;

/// A message is not one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is of another version.
    #[error("it is of version {found}, where {VERSION} is known")]
    Version {
        /// The one that it says it is of.
        found: u8,
    },
    /// It is of a kind that is not known here.
    #[error("messages of kind {found} are not known here")]
    Kind {
        /// Its kind.
        found: u8,
    },
    /// It ends early.
    #[error("it ends early")]
    Truncated,
    /// Something in it cannot be.
    #[error("its {what} cannot be")]
    Invalid {
        /// What.
        what: &'static str,
    },
    /// Something follows behind its end.
    #[error("{bytes} bytes follow behind its end")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl From<bytes::TryGetError> for MessageError {
    fn from(_: bytes::TryGetError) -> Self {
        Self::Truncated
    }
}
