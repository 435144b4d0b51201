//! What the server counts, for a metrics backend to record.

mod limit;

use std::fmt;
use std::time::Duration;

use wspulse_core::DisconnectReason;

pub use limit::Limit;

/// Receives the server's events. Every hook does nothing unless it is overridden, so an
/// implementation names only what it records, and new hooks break nobody.
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
/// use wspulse::{DropReason, MetricsCollector};
///
/// #[derive(Clone, Default)]
/// struct Drops(Arc<AtomicU64>);
///
/// impl MetricsCollector for Drops {
///     fn frame_dropped(&self, _room: &str, _id: &str, _reason: DropReason) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// let drops = Drops::default(); // keep a clone, and give one to `ServerBuilder::metrics`
/// # let _ = drops;
/// ```
#[expect(unused_variables, reason = "the default of every hook is to do nothing")]
pub trait MetricsCollector: Send + Sync + 'static {
    /// A room has its first member.
    fn room_created(&self, room: &str) {}
    /// A connection was registered; not called when a session resumes.
    fn connection_opened(&self, room: &str, id: &str) {}
    /// A session waits for its client: its transport was lost, and it has a resume window.
    fn session_suspended(&self, room: &str, id: &str) {}
    /// A session has got a new transport.
    fn session_resumed(&self, room: &str, id: &str) {}
    /// A connection has ended. `duration` counts from its registration, suspended times included.
    fn connection_closed(
        &self,
        room: &str,
        id: &str,
        duration: Duration,
        reason: DisconnectReason,
    ) {
    }
    /// A room has lost its last member; suspended members keep a room.
    fn room_destroyed(&self, room: &str) {}
    /// A whole message of so many payload bytes has arrived; it is not decoded yet.
    fn message_received(&self, room: &str, payload_bytes: usize) {}
    /// A message was dropped because the codec could not decode it.
    fn message_undecodable(&self, room: &str, id: &str, payload_bytes: usize) {}
    /// So many decoded messages did not reach their handler, because the connection was ended
    /// before their turn.
    fn messages_discarded(&self, room: &str, id: &str, messages: usize) {}
    /// A frame of so many encoded bytes was offered to `fan_out` members, those included who had
    /// to drop one for it.
    fn message_broadcast(&self, room: &str, payload_bytes: usize, fan_out: usize) {}
    /// A socket has taken a frame of so many encoded bytes.
    fn message_sent(&self, room: &str, id: &str, payload_bytes: usize) {}
    /// Right after `message_sent`: how many frames wait, out of how many that may.
    fn send_buffer_utilization(&self, room: &str, id: &str, used: usize, capacity: usize) {}
    /// A frame will never be sent.
    fn frame_dropped(&self, room: &str, id: &str, reason: DropReason) {}
    /// A peer was silent for the pong timeout.
    fn pong_timeout(&self, room: &str, id: &str) {}
    /// A client was refused with this HTTP status; 500 if the connect function, the origin check or
    /// the search for its address panicked.
    fn upgrade_refused(&self, status: u16) {}
    /// A limit was reached. What it costs whom is said at [`Limit`]'s variants and at their options.
    fn limit_reached(&self, limit: Limit) {}
    /// A callback panicked, whether the connection survived it or not.
    fn callback_panicked(&self, room: &str, id: &str, callback: CallbackKind) {}
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
    /// this one.
    Evicted,
    /// All send buffers together were full, and not even without this connection's older frames
    /// was there room: the frame never waited.
    NoRoom,
    /// The connection ended before the frame could be written.
    Ended,
    /// Five transports, one after the other, were lost in the middle of the frame.
    Undeliverable,
}

impl DropReason {
    /// The label for metrics: `rejected`, `evicted`, `no_room`, `ended` or `undeliverable`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Evicted => "evicted",
            Self::NoRoom => "no_room",
            Self::Ended => "ended",
            Self::Undeliverable => "undeliverable",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which callback is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallbackKind {
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
    /// `on_disconnect`.
    Disconnect,
}

impl CallbackKind {
    /// The callback's name on the builder.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "on_connect",
            Self::Message => "on_message",
            Self::Undecodable => "on_undecodable",
            Self::TransportDrop => "on_transport_drop",
            Self::TransportRestore => "on_transport_restore",
            Self::Disconnect => "on_disconnect",
        }
    }
}

impl fmt::Display for CallbackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
