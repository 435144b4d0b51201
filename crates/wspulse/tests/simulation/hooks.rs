//! The metrics hooks, added up and traced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wspulse::metrics::{
    CallbackPanicked, ConnectionClosed, ConnectionOpened, DrainStarted, FrameDropped,
    FramesConflated, MessageBroadcast, MessageReceived, MessageUndecodable, MessagesDiscarded,
    MessagesSent, PongTimeout, ReplyUnmatched, RequestFinished, RequestOutcome, RoomCreated,
    RoomDestroyed, SessionResumed, UpgradeRefused,
};
use wspulse::{DropReason, MetricsCollector};

use super::trace::{Trace, Who};
use super::truth::Truth;

/// What the hooks were told, in sums.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) rooms: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) undecodable: AtomicU64,
    pub(crate) discarded: AtomicU64,
    pub(crate) offered: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) conflated: AtomicU64,
    /// Replies that came to somebody, or to nobody.
    pub(crate) replies: AtomicU64,
}

pub(crate) fn add(total: &AtomicU64, number: usize) {
    total.fetch_add(number as u64, Ordering::Relaxed);
}

pub(crate) fn value(total: &AtomicU64) -> u64 {
    total.load(Ordering::Relaxed)
}

/// A collector whose sums and trace outlive the server.
pub(crate) struct Counting {
    pub(crate) totals: Arc<Totals>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) truth: Arc<Truth>,
}

impl Counting {
    fn note(&self, hook: &'static str, subject: &str) {
        self.trace.note(Who::Hook, hook, subject.parse().expect("ids and rooms are numbers"));
    }
}

impl MetricsCollector for Counting {
    fn room_created(&self, event: &RoomCreated<'_>) {
        self.note("room created", event.room);
        add(&self.totals.rooms, 1);
    }

    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        self.note("connection opened", event.id);
        add(&self.totals.opened, 1);
        self.truth.changed();
    }

    fn session_resumed(&self, event: &SessionResumed<'_>) {
        self.note("session resumed", event.id);
        self.truth.changed();
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        let &ConnectionClosed { id, reason, .. } = event;
        self.note(reason.as_str(), id);
        add(&self.totals.closed, 1);
        self.truth.connection_closed(id, reason);
    }

    fn room_destroyed(&self, event: &RoomDestroyed<'_>) {
        self.note("room destroyed", event.room);
        self.totals.rooms.fetch_sub(1, Ordering::Relaxed);
        self.truth.room_destroyed(event.room);
    }

    fn message_received(&self, event: &MessageReceived<'_>) {
        self.note("message received", event.room);
        add(&self.totals.received, 1);
    }

    fn message_undecodable(&self, event: &MessageUndecodable<'_>) {
        self.note("message undecodable", event.id);
        add(&self.totals.undecodable, 1);
    }

    fn messages_discarded(&self, event: &MessagesDiscarded<'_>) {
        let &MessagesDiscarded { id, messages, .. } = event;
        self.note("messages discarded", id);
        add(&self.totals.discarded, messages);
    }

    fn message_broadcast(&self, event: &MessageBroadcast<'_>) {
        self.trace.note(Who::Hook, "message broadcast", event.fan_out);
        if self.truth.room_told(event.room, event.fan_out) {
            add(&self.totals.offered, event.fan_out);
        }
    }

    fn messages_sent(&self, event: &MessagesSent<'_>) {
        self.note("message sent", event.id);
        add(&self.totals.sent, event.messages);
    }

    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        let &FrameDropped { id, reason, .. } = event;
        self.note(reason.as_str(), id);
        match reason {
            DropReason::Rejected => add(&self.totals.rejected, 1),
            DropReason::NoRoom | DropReason::Undeliverable => {
                add(&self.totals.dropped, 1);
                self.truth.frame_lacks(id);
            }
            DropReason::Evicted
            | DropReason::Ended
            | DropReason::Volatile
            | DropReason::SlowConsumer => {
                add(&self.totals.dropped, 1);
            }
            _ => panic!("a reason that this test does not know: {reason}"),
        }
    }

    fn frames_conflated(&self, event: &FramesConflated<'_>) {
        self.note("conflated", event.id);
        add(&self.totals.conflated, event.frames);
    }

    fn request_finished(&self, event: &RequestFinished<'_>) {
        let &RequestFinished { id, outcome, .. } = event;
        self.note(outcome.as_str(), id);
        match outcome {
            RequestOutcome::Replied => add(&self.totals.replies, 1),
            RequestOutcome::TimedOut
            | RequestOutcome::Closed
            | RequestOutcome::Overloaded
            | RequestOutcome::Abandoned => {}
            RequestOutcome::Refused | _ => panic!("no client brings it about: {outcome}"),
        }
    }

    fn reply_unmatched(&self, event: &ReplyUnmatched<'_>) {
        self.note("reply unmatched", event.id);
        add(&self.totals.replies, 1);
    }

    fn drain_started(&self, event: &DrainStarted) {
        self.trace.note(Who::Hook, "drain started", event.connections);
        self.truth.drain_started(event.connections, event.window);
    }

    fn pong_timeout(&self, event: &PongTimeout<'_>) {
        self.note("pong timeout", event.id);
    }

    fn upgrade_refused(&self, event: &UpgradeRefused) {
        self.trace.note(Who::Hook, "upgrade refused", event.status.into());
    }

    fn callback_panicked(&self, event: &CallbackPanicked<'_>) {
        let &CallbackPanicked { id, callback, .. } = event;
        self.note(callback.as_str(), id);
    }
}
