//! Sessions of servers that end, kept here until their clients come.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::{Duration, Instant};
use wspulse_core::cluster::{NodeId, NotGiven, SessionReply};

use super::handing_over::KEPT_WITHIN;
use crate::app::server::Server;

/// A session of another server, as that tells of it.
pub(super) struct Bequest {
    pub(super) ticket: u64,
    pub(super) from: NodeId,
    pub(super) away: Duration,
    pub(super) left: Duration,
    pub(super) bytes: usize,
    pub(super) part: Bytes,
}

impl Server {
    /// Another server is about to end, and leaves a session to this one.
    pub(super) async fn inherit(&self, bequest: Bequest) -> SessionReply {
        let Some(attachment) = self.attachment() else {
            return SessionReply::NotGiven(NotGiven::Full);
        };
        let counts = attachment.node().counts();
        match self.keep_bequest(bequest).await {
            Ok(()) => {
                counts.sessions_inherited.fetch_add(1, Ordering::Relaxed);
                SessionReply::Committed
            }
            Err(why) => {
                counts.sessions_refused.fetch_add(1, Ordering::Relaxed);
                SessionReply::NotGiven(why)
            }
        }
    }

    async fn keep_bequest(&self, bequest: Bequest) -> Result<(), NotGiven> {
        let Bequest { ticket, from, away, left, bytes, part } = bequest;
        // Or else a drain that begins now might not see it.
        let _on_its_way = self.attachment().map(|it| it.arrivals().token());
        let now = Instant::now();
        // How long it was on its way nobody knows: no longer than whoever asks waits for an answer.
        let left_at = now.checked_sub(away + KEPT_WITHIN).unwrap_or(now);
        if self.is_draining() {
            return Err(NotGiven::Full);
        }
        let reserved = self.shelf().reserve(bytes).ok_or(NotGiven::Full)?;
        let session = self.fetch(from, (ticket, bytes), part).await.ok_or(NotGiven::Busy)?;
        // Whoever asks the other one once that has heard of it must find it here.
        reserved.keep(ticket, session, left_at, now + left)?;
        match self.say_commit(from, ticket).await {
            Some(Err(why)) => {
                self.shelf().forget_moved(ticket);
                Err(why)
            }
            // If it is not known whether it was heard, whoever asks the other one is told, and once that
            // has ended, whoever asks all.
            Some(Ok(())) | None => Ok(()),
        }
    }
}
