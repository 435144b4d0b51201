//! What an engine keeps of rooms that have a log, if it can.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use wspulse_core::cluster::{GroupKey, LogPosition};

use super::engine::{EngineFuture, Unavailable};

/// The logs of a cluster's rooms: for each one what was appended to it, in one order that is the same
/// for all, kept for a while.
///
/// What is acknowledged is kept, whatever server dies then, as far as the bounds of the log go. It is
/// also given to [`Sink::logged`](super::Sink::logged) of all nodes that are subscribed to the group, as
/// well as the engine can: what is lost on that way is read.
/// `wspulse::testing::cluster::conformance` holds a log to what is said here.
pub trait Log: fmt::Debug + Send + Sync {
    /// Appends an entry behind all that are there, under the next number, and waits until it is kept,
    /// for no longer than `within`. An id that was appended before, within the last two minutes, is not
    /// appended again: its position is returned.
    ///
    /// # Errors
    ///
    /// [`AppendFailed`], which tells what is not in the log from what may be.
    ///
    /// # Cancel safety
    ///
    /// The entry may be appended once this was polled.
    fn append(
        &self,
        key: GroupKey,
        id: AppendId,
        entry: Bytes,
        within: Duration,
    ) -> EngineFuture<'_, Result<LogPosition, AppendFailed>>;

    /// Reads up to `max` entries in their order, without a hole between them: fewer where they are
    /// large. It waits for no longer than `within`.
    ///
    /// # Errors
    ///
    /// [`ReadFailed`] if they cannot be read now.
    fn read(
        &self,
        key: GroupKey,
        from: LogStart,
        max: usize,
        within: Duration,
    ) -> EngineFuture<'_, Result<LogRead, ReadFailed>>;
}

/// Where to begin to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogStart {
    /// With what follows this; with the first that there is, where the log was begun anew since.
    After(LogPosition),
    /// With the newest, and so many in all, or as many as there are.
    Last(usize),
}

/// What is read of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogRead {
    /// In their order. If the first does not follow where it was to begin, what is between is no longer
    /// there.
    pub entries: Vec<LogEntry>,
    /// Where the newest is; `None` if there is none. Without entries, nothing is left of what is
    /// before it and was to be read.
    pub newest: Option<LogPosition>,
}

/// What was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Where it is.
    pub position: LogPosition,
    /// How long ago it was appended.
    pub age: Duration,
    /// What it is.
    pub entry: Bytes,
}

/// By which an entry is known that is appended once more: drawn, or derived from what the application
/// knows it by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppendId([u8; Self::BYTES]);

impl AppendId {
    /// How many bytes one has.
    pub const BYTES: usize = 16;

    /// One of these bytes, such as those of a UUID or of a hash.
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// One that nothing else has.
    pub fn random() -> Self {
        Self(*uuid::Uuid::new_v4().as_bytes())
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// In hexadecimal digits, of which there are 32.
impl fmt::Display for AppendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AppendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppendId({self})")
    }
}

/// Why an entry is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendFailed {
    /// It is not in the log: there is no connection, or nobody who keeps it.
    #[error("the log cannot be reached, and nothing was appended")]
    Unavailable,
    /// It is not in the log, which takes no more.
    #[error("the log takes no more, and nothing was appended")]
    Full,
    /// It may be in the log, or may come there.
    #[error("the log has not answered within {within:?}, and may have it")]
    Unknown {
        /// How long it had.
        within: Duration,
    },
}

impl From<Unavailable> for AppendFailed {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// A log cannot be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be read now")]
pub struct ReadFailed;
