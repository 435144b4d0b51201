//! What a client has said of the frames that it has, and what is wrong with that.

use super::retained::Acknowledged;
use crate::encoded::EncodedFrame;

/// Where a client goes on.
#[derive(Debug)]
pub struct ResumedAt {
    /// What it has received.
    pub freed: Acknowledged,
    /// The newest of that, if no transport was known to have taken it whole before.
    pub finished: Option<EncodedFrame>,
}

/// A client cannot go on where it says that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has {number} frames; it must be {oldest} to {newest}")]
pub struct NotKept {
    /// How many it says to have.
    pub number: u64,
    /// How many it had acknowledged before.
    pub oldest: u64,
    /// How many were written.
    pub newest: u64,
}

/// An acknowledgement of what was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("frame {number} was acknowledged, but only {written} were written")]
pub struct NotWritten {
    /// The number that was acknowledged.
    pub number: u64,
    /// The newest that was written.
    pub written: u64,
}
