//! An entry as it is in the stream.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use wspulse::cluster::LogPosition;

use super::{Last, since_1970};
use crate::client::Received;

/// An entry that is in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its number in the stream.
    pub(crate) sequence: u64,
    /// Its place in its room.
    pub(crate) position: LogPosition,
    /// When it was appended, by the clock of whoever did, since 1970.
    pub(crate) at: Duration,
    pub(crate) entry: Bytes,
}

impl Stored {
    pub(crate) const fn last(&self) -> Last {
        Last { sequence: self.sequence, position: self.position }
    }
}

/// Nothing gets there in a lifetime, and one more is a number.
const NUMBER_MAX: u64 = 1 << 62;

/// As it is written: its place, the time in milliseconds, and what it is.
pub(super) fn write(position: LogPosition, entry: &Bytes) -> Bytes {
    let mut to = BytesMut::with_capacity(20 + entry.len());
    to.put_u32(position.epoch);
    to.put_u64(position.number);
    to.put_u64(u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX));
    to.put_slice(entry);
    to.freeze()
}

/// The entry in a message that the stream has sent, if it is one.
pub(crate) fn read_stored(message: Received) -> Option<Stored> {
    let sequence = message.header("Nats-Sequence")?.parse().ok()?;
    let mut from = message.into_payload();
    let position =
        LogPosition { epoch: from.try_get_u32().ok()?, number: from.try_get_u64().ok()? };
    // Whoever writes to the stream may write nonsense.
    if position.number == 0 || position.number > NUMBER_MAX {
        return None;
    }
    let at = Duration::from_millis(from.try_get_u64().ok()?);
    Some(Stored { sequence, position, at, entry: from })
}
