//! What comes out of an inbox, and how it is bounded.

use std::time::Duration;

use bytestring::ByteString;

use crate::cluster::ids::{NodeId, Target};
use crate::cluster::incoming::Missed;
use crate::cluster::message::Ask;
use crate::cluster::said::Said;

/// How an [`Inbox`](super::Inbox) is bounded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InboxConfig {
    /// How many servers are known at a time; others are passed over. Each server tells all others
    /// where it is, so beyond a hundred there is little else to hear.
    pub nodes_max: usize,
    /// How many questions one server has to answer at a time.
    pub asks_max: usize,
    /// How many bytes of frames are held, all in all, for what lies before them. What comes beyond is
    /// asked for later.
    pub held_bytes_max: usize,
    /// How long a server says nothing before it is taken for silent: three beats.
    pub silent_after: Duration,
    /// How long before it is taken for gone, with all that it has said and that did not come.
    pub gone_after: Duration,
}

impl Default for InboxConfig {
    fn default() -> Self {
        Self {
            nodes_max: 256,
            asks_max: 8,
            held_bytes_max: 64 * 1024 * 1024,
            silent_after: Duration::from_secs(3),
            gone_after: Duration::from_mins(2),
        }
    }
}

/// Who of the other servers is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Presence {
    /// Servers that have said something within [`InboxConfig::silent_after`].
    pub heard: usize,
    /// Those that have not, and are not gone yet.
    pub silent: usize,
    /// How long nothing was heard from the one of all these that is silent for longest.
    pub longest_silence: Duration,
}

/// A question to another server, of which there is one at a time for each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub(super) u64);

/// A question for another server. Its answer is for [`Inbox::handle_answer`](super::Inbox::handle_answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// To tell answers apart.
    pub id: AskId,
    /// Whom to ask.
    pub node: NodeId,
    /// What.
    pub ask: Ask,
}

/// What follows from what was heard.
#[derive(Debug)]
pub enum Output {
    /// Frames for the members of this group, or for all connections.
    Said {
        /// Who said it.
        origin: NodeId,
        /// To whom.
        target: Target,
        /// In which of the origin's streams.
        stream: u32,
        /// The number of the first frame in that.
        first: u64,
        /// The name of the frames' codec.
        codec: ByteString,
        /// The frames, in order.
        said: Vec<Said>,
    },
    /// What these lack, at this place in their order.
    Gap {
        /// Who said what is lost.
        origin: NodeId,
        /// To whom.
        target: Target,
        /// How much it is.
        missed: Missed,
    },
    /// A server is there that was not, or was silent.
    Present(NodeId),
    /// It has said nothing for [`InboxConfig::silent_after`].
    Silent(NodeId),
    /// It has said nothing for [`InboxConfig::gone_after`], or since it has said that it ends.
    Gone(NodeId),
}
