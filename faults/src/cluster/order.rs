//! What a node of a cluster is told and asked, one line of JSON each way, and what its members hear.

use serde::{Deserialize, Serialize};

/// A line on the node's standard input. Each is answered by a line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Answered by [`NodeView`].
    View,
    /// Begins to talk; answered by `null`.
    Talk(Talk),
    /// Ends that with one more to each room; answered by how many frames were said to each, from the first
    /// on.
    Hush,
    /// Has members join rooms and leave them again; answered by `null` once it is done.
    Churn(Churn),
}

/// To how many rooms a node says how much, one after the other.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Talk {
    pub(super) rooms: u32,
    pub(super) frames_per_second: u32,
    /// How long each frame's pad is.
    pub(super) pad_bytes: usize,
}

/// So many rooms are joined in so many seconds, each left a second later.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Churn {
    pub(super) joins: u32,
    pub(super) seconds: u32,
}

/// How a node sees itself and the others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct NodeView {
    /// What its frames are marked with.
    pub(super) mark: u32,
    pub(super) is_connected: bool,
    /// Its connections, those included that wait for their clients.
    pub(super) connections: usize,
    /// Others that are there and not silent.
    pub(super) others: usize,
    /// Frames that were said, to all rooms.
    pub(super) said: u64,
    /// Frames that the send buffers of members have dropped.
    pub(super) dropped: u64,
    /// Questions to others for what was lacking.
    pub(super) asked: u64,
    pub(super) messages_unsent: u64,
    pub(super) kept_bytes: usize,
    pub(super) foreign: u64,
}

/// The event of a frame that is said.
pub(super) const SAID: &str = "said";

/// The event of one that says how many are lost, 0 if that is not known.
pub(super) const LOST: &str = "lost";

/// The same, to one client whose session has come from another node: it comes behind all that the
/// session lacked, so that what is lost may lie before frames that are here by then.
pub(super) const LOST_ON_THE_WAY: &str = "lost on the way";

/// The event of one that a client with a session sends; its payload is the client's number, and which
/// frame of that client it is, from 1 on.
pub(super) const OWN: &str = "own";

/// What members hear, in the JSON codec.
#[derive(Debug, Deserialize)]
pub(super) struct Heard<'a> {
    #[serde(borrow)]
    pub(super) event: &'a str,
    pub(super) payload: Payload<'a>,
}

/// Of a frame: the node that has said it, its number in the room, when it was said in microseconds
/// since 1970, and a pad. Of a loss: the node, and how many frames.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Payload<'a>(
    pub(super) u32,
    pub(super) u64,
    pub(super) u64,
    #[serde(borrow)] pub(super) &'a str,
);

/// How rooms are called.
pub(super) fn room(number: u32) -> String {
    format!("room-{number}")
}

/// The time of day, which all processes of a machine share, in microseconds since 1970.
pub(super) fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
