//! What the task of a connection shares with the rest of the server.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use wspulse_core::codec::Codec;
use wspulse_core::outbound::{FRAME_LOSSES_MAX, Remainder};
use wspulse_core::{Disconnect, Escaped};

use crate::app::server::Server;
use crate::membership::mailbox::{Mailbox, Offered, Outcome};
use crate::membership::{Group, HomeSlot};
use crate::observe::metrics::{
    DropReason, FrameDropped, FramesConflated, FramesLost, Limit, LimitReached,
};
use crate::settings::connect::Data;
use crate::settings::error::BufferLimit;

/// Whether a connection has a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It has one, or its first is just coming up.
    Connected,
    /// It lost one and waits for the next.
    Suspended,
    /// It has ended.
    Closed,
}

/// What a connection's task and the handles share.
pub(crate) struct ConnectionShared {
    pub(crate) server: Server,
    pub(crate) id: Arc<str>,
    /// Its home room, if it has one: that of its admission.
    pub(crate) home: Option<Arc<Group>>,
    /// Whose it is, if the application has said so.
    pub(crate) user: Option<Arc<Group>>,
    pub(crate) data: Data,
    pub(crate) connected_at: SystemTime,
    pub(crate) opened_at: Instant,
    pub(crate) mailbox: Mailbox,
    /// Notified once the connection has ended.
    pub(crate) ended: Notify,
    /// Its place among the server's live tasks.
    pub(crate) task_key: u32,
    pub(crate) home_slot: HomeSlot,
}

impl ConnectionShared {
    /// The name of its home room; empty without one.
    pub(crate) fn room(&self) -> &str {
        self.home.as_ref().map_or("", |home| home.name())
    }

    pub(crate) fn room_name(&self) -> Arc<str> {
        self.home.as_ref().map_or_else(Arc::default, |home| Arc::clone(home.name()))
    }

    #[inline]
    pub(crate) fn codec(&self) -> &dyn Codec {
        self.server.codecs().of(self.mailbox.codec())
    }

    /// Tells this connection from others, as long as it lives.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// How long the connection has existed here, suspended times included.
    pub(crate) fn age(&self) -> Duration {
        self.opened_at.elapsed()
    }

    /// As [`age`](Self::age), with that at servers from which it has come.
    pub(crate) fn age_anywhere(&self) -> Duration {
        self.mailbox.age_elsewhere().saturating_add(self.age())
    }

    pub(crate) fn count_dropped(&self, frames: usize, reason: DropReason) {
        let dropped = FrameDropped { room: self.room(), id: &self.id, reason };
        for _ in 0..frames {
            self.server.metrics().record(|hooks| hooks.frame_dropped(&dropped));
        }
    }

    /// Counts frames that newer ones with their keys have replaced.
    pub(crate) fn count_conflated(&self, frames: usize) {
        if frames > 0 {
            let conflated = FramesConflated { room: self.room(), id: &self.id, frames };
            self.server.metrics().record(|hooks| hooks.frames_conflated(&conflated));
        }
    }

    /// Counts what a broadcast has cost.
    pub(crate) fn count_overflow(self: &Arc<Self>, offered: Offered) {
        self.count_conflated(offered.conflated);
        self.count_dropped(offered.evicted, DropReason::Evicted);
        match offered.outcome {
            Outcome::Queued => {}
            Outcome::QueuedAtServerLimit => self.report_limit(Limit::QueuedBytes),
            Outcome::Refused(limit) => {
                self.count_refused(limit, DropReason::NoRoom);
                self.end_if_promised(1);
            }
            Outcome::TooSlow(limit) => {
                self.count_refused(limit, DropReason::SlowConsumer);
                self.end_as_slow();
            }
            Outcome::Faded => self.count_dropped(1, DropReason::Volatile),
        }
    }

    /// Ends a connection whose send buffer was full when a frame came that does not allow it.
    pub(crate) fn end_as_slow(self: &Arc<Self>) {
        let close = self.server.options().overflow.close.clone();
        self.server.end(self, Disconnect::SlowConsumer(close));
    }

    /// Ends a session that has lost frames which it was promised.
    fn end_if_promised(self: &Arc<Self>, frames: usize) {
        if self.server.options().delivery.is_promised() {
            self.end_for_gap(frames);
        }
    }

    /// Ends a session whose client does not get so many frames, from the first that is lost on.
    pub(crate) fn end_for_gap(self: &Arc<Self>, frames: usize) {
        if self.server.end(self, Disconnect::FramesLost) {
            let lost = FramesLost { room: self.room(), id: &self.id, frames };
            self.server.metrics().record(|hooks| hooks.frames_lost(&lost));
        }
    }

    pub(crate) fn count_refused(&self, limit: BufferLimit, reason: DropReason) {
        self.count_dropped(1, reason);
        match limit {
            BufferLimit::Frames { .. } => {}
            BufferLimit::Bytes { .. } => self.report_limit(Limit::SendBufferBytes),
            BufferLimit::ServerBytes { .. } => self.report_limit(Limit::QueuedBytes),
        }
    }

    /// The transport is gone. A frame that was half written starts over, or is dropped if that has
    /// happened too often.
    pub(crate) fn rewind(self: &Arc<Self>) -> Option<Remainder> {
        let (remainder, behind) = self.mailbox.rewind(self.server.queued_bytes())?;
        if remainder.is_dropped() {
            tracing::debug!(
                id = Escaped::new(&self.id).as_str(),
                room = Escaped::new(self.room()).as_str(),
                bytes = remainder.wire_bytes(),
                transports = FRAME_LOSSES_MAX,
                "frame dropped: each of these transports was lost in the middle of it"
            );
            self.count_dropped(1, DropReason::Undeliverable);
            self.count_dropped(behind, DropReason::Ended);
            self.end_if_promised(1 + behind);
        }
        Some(remainder)
    }

    /// Drops the frames that still wait: the connection has ended, or its task is gone.
    pub(crate) fn discard_backlog(&self) {
        self.mailbox.close_requests();
        let dropped = self.mailbox.discard(self.server.queued_bytes());
        self.count_dropped(dropped, DropReason::Ended);
    }

    /// Counts a limit that this connection has reached, and says so to whoever looks for it.
    pub(crate) fn report_limit(&self, limit: Limit) {
        let (id, room) = (&*self.id, self.room());
        tracing::debug!(
            id = Escaped::new(id).as_str(),
            room = Escaped::new(room).as_str(),
            option = limit.as_str(),
            "limit reached"
        );
        self.server.metrics().record(|hooks| hooks.limit_reached(&LimitReached { limit }));
    }
}
