//! What a server's part in its cluster comes to.

use std::sync::atomic::{AtomicU64, Ordering};

use wspulse_core::cluster::Inbox;

use super::{Attachment, Cluster};
use crate::cluster::node::Node;
use crate::observe::metrics::ClusterReadings;

impl Cluster {
    /// What has passed between this server and the others, and what there is at the moment.
    pub fn readings(&self) -> ClusterReadings {
        read(&self.node)
    }
}

impl Attachment {
    pub(crate) fn readings(&self) -> ClusterReadings {
        read(&self.node)
    }
}

fn read(node: &Node) -> ClusterReadings {
    let (counts, presence) = (node.counts(), node.presence());
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    ClusterReadings {
        messages_sent: count(&counts.messages_sent),
        messages_unsent: count(&counts.messages_unsent),
        frames_heard: count(&counts.frames_heard),
        frames_foreign: node.with_inbox(Inbox::foreign),
        frames_repaired: count(&counts.frames_repaired),
        asked: count(&counts.asked),
        unreadable: count(&counts.unreadable),
        requests_refused: count(&counts.requests_refused),
        people_refused: count(&counts.people_refused),
        sessions_handed_over: count(&counts.sessions_handed_over),
        sessions_left_behind: count(&counts.sessions_left_behind),
        sessions_inherited: count(&counts.sessions_inherited),
        sessions_refused: count(&counts.sessions_refused),
        kept_bytes: node.speaker().kept_bytes(),
        held_bytes: node.with_inbox(Inbox::held_bytes),
        subscriptions: node.speaker().subscriptions(),
        servers: 1,
        connected: usize::from(node.is_connected()),
        peers: presence.heard,
        silent_peers: presence.silent,
        longest_silence: presence.longest_silence,
    }
}
