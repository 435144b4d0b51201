//! What the server counts, for a metrics backend to record.

mod cluster;
mod event;
mod gauges;
mod limit;
mod request;

use std::fmt;

pub use cluster::ClusterReadings;
pub use event::{
    CallbackBlocked, CallbackPanicked, ConnectionClosed, ConnectionOpened, DrainStarted,
    FrameDropped, FramesAcknowledged, FramesConflated, FramesLost, FramesMissed, LimitReached,
    MessageBroadcast, MessageInflated, MessageReceived, MessageUndecodable, MessagesCompressed,
    MessagesDiscarded, MessagesSent, PongTimeout, PresenceTold, ReplyUnmatched, RequestFinished,
    RoomCreated, RoomDestroyed, SessionResumed, SessionSuspended, UpgradeRefused,
};
pub(crate) use gauges::Measured;
pub use gauges::{Gauges, Readings, ServerBuilt};
pub use limit::Limit;
pub use request::RequestOutcome;

pub use super::tally::{CompressedTotals, FanOutLatency, Totals};

/// Receives the server's events. Every hook does nothing unless it is overridden, so an
/// implementation names only what it records; new hooks, and new fields of their structs, break
/// nobody.
///
/// Hooks run on the server's tasks and on the callers of its operations, from many threads, outside
/// all of the server's locks. They must not block. A hook that panics is logged and ignored.
///
/// The order of a room's and a connection's life is kept: `room_created`, `connection_opened`,
/// `connection_closed`, `room_destroyed`.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use wspulse::MetricsCollector;
/// use wspulse::metrics::FrameDropped;
///
/// #[derive(Clone, Default)]
/// struct Drops(Arc<AtomicU64>);
///
/// impl MetricsCollector for Drops {
///     fn frame_dropped(&self, _dropped: &FrameDropped<'_>) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// let drops = Drops::default(); // keep a clone, and give one to `ServerBuilder::metrics`
/// # let _ = drops;
/// ```
#[expect(unused_variables, reason = "the default of every hook is to do nothing")]
pub trait MetricsCollector: Send + Sync + 'static {
    /// A server was built with this collector, which may ask it from now on what it has: called
    /// once for each.
    fn server_built(&self, built: &ServerBuilt<'_>) {}
    /// A room has its first member.
    fn room_created(&self, created: &RoomCreated<'_>) {}
    /// A connection was registered; not called when a session resumes.
    fn connection_opened(&self, opened: &ConnectionOpened<'_>) {}
    /// A session waits for its client: its transport was lost, and it has a resume window.
    fn session_suspended(&self, suspended: &SessionSuspended<'_>) {}
    /// A session has got a new transport.
    fn session_resumed(&self, resumed: &SessionResumed<'_>) {}
    /// A connection has ended.
    fn connection_closed(&self, closed: &ConnectionClosed<'_>) {}
    /// A room has lost its last member; suspended members keep a room.
    fn room_destroyed(&self, destroyed: &RoomDestroyed<'_>) {}
    /// A whole message has arrived; it is not decoded yet.
    fn message_received(&self, received: &MessageReceived<'_>) {}
    /// A message was dropped because the codec could not decode it.
    fn message_undecodable(&self, undecodable: &MessageUndecodable<'_>) {}
    /// Messages did not reach their handler, because the connection was ended or the callback of one
    /// before them panicked; or they came again after that, and had been taken before.
    fn messages_discarded(&self, discarded: &MessagesDiscarded<'_>) {}
    /// A frame was offered to the members of a room.
    fn message_broadcast(&self, broadcast: &MessageBroadcast<'_>) {}
    /// What is new about who is in a room was told, to the members or to `on_presence`: one call
    /// for all that was gathered.
    fn presence_told(&self, told: &PresenceTold<'_>) {}
    /// A socket has taken frames: one call for each write, however many frames it takes.
    fn messages_sent(&self, sent: &MessagesSent<'_>) {}
    /// Of the frames that a socket has taken, some were compressed: one call for each write that has such,
    /// after `messages_sent`, which counts them as well. Never without `ServerBuilder::compression`.
    fn messages_compressed(&self, compressed: &MessagesCompressed<'_>) {}
    /// A message has come compressed, and is inflated: before `message_received`, which counts it as well if
    /// it is a frame within the inbound rate. Never without `ServerBuilder::compression`.
    fn message_inflated(&self, inflated: &MessageInflated<'_>) {}
    /// A frame will never be sent.
    fn frame_dropped(&self, dropped: &FrameDropped<'_>) {}
    /// Frames will never be sent, as newer ones with the same key have taken their place. They are
    /// not counted as dropped.
    fn frames_conflated(&self, conflated: &FramesConflated<'_>) {}
    /// A client has acknowledged frames: one call for each acknowledgement, however many frames it is
    /// for. Only with a [promise of delivery](crate::ServerBuilder::delivery).
    fn frames_acknowledged(&self, acknowledged: &FramesAcknowledged<'_>) {}
    /// A session has ended with [`Disconnect::FramesLost`](crate::Disconnect::FramesLost): its client
    /// does not get frames that it was promised. Without a promise nobody knows what was lost with a
    /// transport, and this is never called.
    fn frames_lost(&self, lost: &FramesLost<'_>) {}
    /// Frames of another server of the [cluster](crate::cluster) are lost for all who are here in a group.
    fn frames_missed(&self, missed: &FramesMissed<'_>) {}
    /// A [request](crate::Connection::request) to a client has its reply, or will have none: once for
    /// each that was sent.
    fn request_finished(&self, finished: &RequestFinished<'_>) {}
    /// A client has answered a request for which nobody waits any more: too late, twice, or one that
    /// was never made. The reply is dropped. Only those are, whose id the server has made itself.
    fn reply_unmatched(&self, unmatched: &ReplyUnmatched<'_>) {}
    /// A peer was silent for the pong timeout.
    fn pong_timeout(&self, timeout: &PongTimeout<'_>) {}
    /// The server is [drained](crate::Server::drain) from now on, until it has closed.
    fn drain_started(&self, started: &DrainStarted) {}
    /// A client was refused.
    fn upgrade_refused(&self, refused: &UpgradeRefused) {}
    /// A limit was reached. What it costs whom is said at [`Limit`]'s variants and at their options.
    fn limit_reached(&self, reached: &LimitReached) {}
    /// A callback panicked, whether the connection survived it or not.
    fn callback_panicked(&self, panicked: &CallbackPanicked<'_>) {}
    /// A callback held its thread for more than 100 ms: other connections, of which the thread has
    /// many, waited. An overloaded machine makes a callback look so, and so does a stopped one.
    fn callback_blocked(&self, blocked: &CallbackBlocked<'_>) {}
}

/// Records nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopCollector;

impl MetricsCollector for NoopCollector {}

/// Why a frame will never be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The send buffer was full, and the frame went back to its sender.
    Rejected,
    /// The send buffer was full, or all of them together were, and the frame was the oldest in
    /// this one, or volatile.
    Evicted,
    /// The frame was broadcast and never waited: all send buffers together were full, and not even
    /// without this connection's older frames was there room, or this one was full and the frame was
    /// not to make others drop.
    NoRoom,
    /// The connection ended before the frame could be written.
    Ended,
    /// Five transports, one after the other, were lost in the middle of the frame.
    Undeliverable,
    /// The frame was volatile, and its client was suspended or its send buffer full.
    Volatile,
    /// The send buffer was full, and the connection was ended for that.
    SlowConsumer,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Rejected,
        Self::Evicted,
        Self::NoRoom,
        Self::Ended,
        Self::Undeliverable,
        Self::Volatile,
        Self::SlowConsumer,
    ];

    /// The label for metrics: `rejected`, `evicted`, `no_room`, `ended`, `undeliverable`, `volatile`
    /// or `slow_consumer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Evicted => "evicted",
            Self::NoRoom => "no_room",
            Self::Ended => "ended",
            Self::Undeliverable => "undeliverable",
            Self::Volatile => "volatile",
            Self::SlowConsumer => "slow_consumer",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a broadcast was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupKind {
    /// The members of a room.
    Room,
    /// The connections of a user.
    User,
    /// All connections.
    Everybody,
}

impl GroupKind {
    /// The label for metrics: `room`, `user` or `everybody`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::User => "user",
            Self::Everybody => "everybody",
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which callback is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallbackKind {
    /// The connect function.
    ConnectFunction,
    /// `on_connect`.
    Connect,
    /// `on_message`, or the codec on its behalf.
    Message,
    /// `on_undecodable`.
    Undecodable,
    /// `on_transport_drop`.
    TransportDrop,
    /// `on_transport_restore`.
    TransportRestore,
    /// `on_join`.
    Join,
    /// `on_leave`.
    Leave,
    /// `on_expiring`.
    Expiring,
    /// `on_presence`, which is a room's and no connection's.
    Presence,
    /// `on_disconnect`.
    Disconnect,
}

impl CallbackKind {
    /// The callback's name on the builder; the connect function, which has none there, is `connect`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFunction => "connect",
            Self::Connect => "on_connect",
            Self::Message => "on_message",
            Self::Undecodable => "on_undecodable",
            Self::TransportDrop => "on_transport_drop",
            Self::TransportRestore => "on_transport_restore",
            Self::Join => "on_join",
            Self::Leave => "on_leave",
            Self::Expiring => "on_expiring",
            Self::Presence => "on_presence",
            Self::Disconnect => "on_disconnect",
        }
    }
}

impl fmt::Display for CallbackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
