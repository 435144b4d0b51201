//! What a session that has come lacks of the logs of its rooms.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use wspulse_core::EncodedFrame;
use wspulse_core::cluster::{NodeId, Position, Target};

use super::lacking::Lacking;
use crate::app::cluster::Attachment;
use crate::app::server::Server;
use crate::membership::shared::ConnectionShared;

/// How long it may take until a room's log is followed here: its client waits meanwhile.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

/// How often that is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl Server {
    /// Fetches what a session lacks of a log, from behind where it has heard it; until then it is told
    /// nothing of that.
    pub(super) async fn catch_up_log(
        &self,
        connection: &Arc<ConnectionShared>,
        target: Target,
        (after, since): (Option<Position>, Instant),
        frames: &mut Vec<EncodedFrame>,
    ) {
        let mut lacking = Lacking::new(self, connection, target, NodeId::LOG, since);
        // What is told of it before it is followed is for nobody.
        if !self.hears_log_soon(target).await {
            lacking.tell_unknown();
            lacking.unblock(after, Vec::new()).await;
            return;
        }
        let reached = lacking.fetch(after, None, frames).await;
        lacking.unblock(reached, Vec::new()).await;
    }

    async fn hears_log_soon(&self, target: Target) -> bool {
        let until = Instant::now() + FOLLOWED_WITHIN;
        while Instant::now() < until {
            let hears = self.find_group(target).is_some_and(|group| group.hears_log());
            let node = self.attachment().map(Attachment::node);
            if hears && node.is_some_and(|node| node.follows_log(target)) {
                return true;
            }
            sleep(LOOK_AGAIN).await;
        }
        false
    }
}
