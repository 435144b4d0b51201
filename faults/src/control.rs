//! What a server under attack can be asked, one line of JSON each way over its standard streams:
//! whatever happens to its sockets, this way stays open.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A line on the server's standard input. Each is answered by a line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Answered by [`Counters`].
    Counters,
    /// Answered by [`Inspection`], or `null` if there is no such connection.
    Inspect {
        /// The connection's id.
        id: String,
    },
    /// Broadcasts numbered frames to a room; answered by `null`.
    Broadcast {
        /// The room.
        room: String,
        /// The frames.
        frames: Numbered,
    },
    /// Sends numbered frames to one connection; answered by how many were accepted.
    Send {
        /// The connection's id.
        id: String,
        /// The frames.
        frames: Numbered,
    },
    /// Closes the server and ends the process; answered by the last [`Counters`].
    Close,
}

/// Frames with the event `n` and the payload `[number, pad]`, so that gaps and repetitions show.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Numbered {
    /// The first frame's number; the others follow one by one.
    pub first: u64,
    /// How many there are.
    pub count: u64,
    /// How long each frame's pad is, in bytes.
    pub pad_bytes: usize,
}

/// What became of one connection's frames, and whether it has a transport.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inspection {
    /// `Connected`, `Suspended` or `Closed`.
    pub state: String,
    /// Its client's IP address, as the header `X-Real-IP` has it, else as the socket has.
    pub peer_ip: Option<IpAddr>,
    /// What became of its frames.
    pub account: Account,
}

/// Frames, summed over connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// That entered a queue.
    pub accepted: u64,
    /// Whose last byte a socket has taken.
    pub sent: u64,
    /// That were dropped after they had entered.
    pub dropped: u64,
    /// That a newer frame of their key has replaced.
    pub conflated: u64,
    /// That wait.
    pub pending: u64,
    /// By how many the accounts of single connections are wrong; 0, unless there is a fault.
    pub unaccounted: u64,
}

/// What a server has counted since its start. Maps are by label.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Connections at the moment, suspended ones included.
    pub connections: u64,
    /// Those of them that are suspended.
    pub suspended: u64,
    /// Rooms at the moment.
    pub rooms: u64,
    /// What became of the frames of all connections that there ever were.
    pub account: Account,
    /// Connections that were registered.
    pub opened: u64,
    /// Connections that ended, by reason.
    pub closed: BTreeMap<String, u64>,
    /// Sessions that got a new transport.
    pub resumed: u64,
    /// Transports that were lost, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Messages that came.
    pub received: u64,
    /// Frames that sockets took.
    pub sent: u64,
    /// Frames that will never be sent, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Clients that were refused, by HTTP status.
    pub refused: BTreeMap<u16, u64>,
    /// Callbacks that panicked.
    pub panics: u64,
}

impl Counters {
    /// How many transports were lost for this cause.
    pub fn lost_to(&self, cause: &str) -> u64 {
        self.lost.get(cause).copied().unwrap_or(0)
    }

    /// Connections that ended, for whatever reason.
    pub fn closed_in_all(&self) -> u64 {
        self.closed.values().sum()
    }

    /// By how many frames the server's accounts and what it told its metrics collector differ,
    /// once nothing is being written any more; 0, unless there is a fault.
    pub fn untold(&self) -> u64 {
        let by_reason = |reason| self.dropped.get(reason).copied().unwrap_or(0);
        let dropped = by_reason("evicted") + by_reason("ended") + by_reason("volatile");
        self.account.sent.abs_diff(self.sent) + self.account.dropped.abs_diff(dropped)
    }
}
