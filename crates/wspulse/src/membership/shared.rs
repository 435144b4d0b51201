//! What the task of a connection shares with the rest of the server.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use wspulse_core::Escaped;
use wspulse_core::codec::Codec;
use wspulse_core::outbound::{FRAME_LOSSES_MAX, Remainder};

use crate::app::server::Server;
use crate::membership::mailbox::Mailbox;
use crate::membership::{Group, HomeSlot};
use crate::observe::metrics::{DropReason, Limit, LimitReached};
use crate::settings::connect::Data;

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

    /// How long the connection has existed, suspended times included.
    pub(crate) fn age(&self) -> Duration {
        self.opened_at.elapsed()
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
