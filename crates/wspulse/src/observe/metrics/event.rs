//! What a hook is told: one struct for each, so that more can be told later.

use std::time::Duration;

use wspulse_core::DisconnectReason;

use super::{CallbackKind, DropReason, GroupKind, Limit, RequestOutcome};

/// Declares the structs, each with a function that makes one.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)? { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[non_exhaustive]
        pub struct $name $(<$life>)? {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// Makes one, for the tests of a collector: it takes the fields in their order.
            #[must_use]
            pub const fn new($($field: $type),*) -> Self {
                Self { $($field),* }
            }
        }
    )*};
}

events! {
    /// A room has its first member.
    RoomCreated<'a> {
        /// The room's name.
        room: &'a str,
    }
    /// A connection was registered.
    ConnectionOpened<'a> {
        /// Its room.
        room: &'a str,
        /// Its id.
        id: &'a str,
    }
    /// A session has lost its transport and waits for its client.
    SessionSuspended<'a> {
        /// Its room.
        room: &'a str,
        /// Its id.
        id: &'a str,
    }
    /// A session has got a new transport.
    SessionResumed<'a> {
        /// Its room.
        room: &'a str,
        /// Its id.
        id: &'a str,
        /// Whether it was waiting for its client; else the new transport took the place of one
        /// that seemed to live.
        was_suspended: bool,
    }
    /// A connection has ended.
    ConnectionClosed<'a> {
        /// Its room.
        room: &'a str,
        /// Its id.
        id: &'a str,
        /// How long it was registered, suspended times included.
        duration: Duration,
        /// Why it ended.
        reason: DisconnectReason,
        /// Whether it was waiting for its client.
        was_suspended: bool,
    }
    /// A room has lost its last member.
    RoomDestroyed<'a> {
        /// The room's name.
        room: &'a str,
    }
    /// A whole message has arrived.
    MessageReceived<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// The payload of all its fragments, in bytes.
        payload_bytes: usize,
    }
    /// The codec could not decode a message.
    MessageUndecodable<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// Its payload, in bytes.
        payload_bytes: usize,
    }
    /// Decoded messages did not reach their handler.
    MessagesDiscarded<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// How many.
        messages: usize,
    }
    /// A frame was broadcast.
    MessageBroadcast<'a> {
        /// Who it was for. What goes to several rooms at once is told once for each.
        group: GroupKind,
        /// The room; empty for other groups than rooms.
        room: &'a str,
        /// The encoded frame, in bytes. Where members have different codecs, all its encodings
        /// together, each counted once.
        payload_bytes: usize,
        /// How many members it was offered to, those included who had to drop one for it.
        fan_out: usize,
    }
    /// What is new about who is in a room was told.
    PresenceTold<'a> {
        /// The room.
        room: &'a str,
        /// Of how many people something was new: here, away, gone, or with other metadata.
        changes: usize,
        /// How many members got everybody who is there instead, as they have come or come back.
        newcomers: usize,
        /// How many members were told either; 0 where only `on_presence` hears of it.
        members: usize,
    }
    /// A socket has taken frames.
    MessagesSent<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// How many it has taken by one write: 1 or more.
        messages: usize,
        /// All of them encoded, in bytes.
        payload_bytes: usize,
        /// How many frames still wait in the connection's send buffer.
        waiting: usize,
        /// How many frames may wait there: `send_buffer_size`.
        capacity: usize,
    }
    /// A socket has taken frames compressed.
    MessagesCompressed<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// How many, of those that it has taken by one write: 1 or more.
        messages: usize,
        /// All of them encoded, in bytes: what they would have taken as they are.
        payload_bytes: usize,
        /// In bytes, what they have taken.
        compressed_bytes: usize,
    }
    /// A message has come compressed.
    MessageInflated<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// Its payload once it was inflated, in bytes.
        payload_bytes: usize,
        /// Its payload as it came, in bytes.
        compressed_bytes: usize,
    }
    /// A frame will never be sent.
    FrameDropped<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// Why.
        reason: DropReason,
    }
    /// Newer frames have taken the place of frames that waited.
    FramesConflated<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// How many are gone: 1 or more.
        frames: usize,
    }
    /// A client has acknowledged frames.
    FramesAcknowledged<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// How many: 1 or more.
        frames: usize,
        /// The time from the first write of the oldest of them to the acknowledgement. It contains
        /// what the server waits before it asks, up to a second, and suspensions. It may be too long
        /// by the time between two questions, where only a part of what was asked about is
        /// acknowledged, and is never too short. `None` where no write was timed, as of a frame that
        /// was finished while its transport was parted with.
        age: Option<Duration>,
    }
    /// A session has ended, as frames were lost that its client was promised.
    FramesLost<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// How many the client does not get, from the first that is lost on, of those that were
        /// accepted by then. Of a client that says to have more than were sent, those that waited.
        frames: usize,
    }
    /// Frames of another server of the cluster are lost.
    FramesMissed<'a> {
        /// What kind of group lacks them.
        group: GroupKind,
        /// The room, if it is one.
        room: &'a str,
        /// How many they are, if that is known.
        frames: Option<u64>,
    }
    /// A request to a client was answered, or will not be.
    RequestFinished<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
        /// How.
        outcome: RequestOutcome,
        /// The time since it was put into the send buffer, suspensions included.
        duration: Duration,
    }
    /// A client has answered what nobody waits for.
    ReplyUnmatched<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
    }
    /// A peer was silent for the pong timeout.
    PongTimeout<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id.
        id: &'a str,
    }
    /// The server is drained.
    DrainStarted {
        /// How many connections are connected, and closed one after the other.
        connections: usize,
        /// Over which time.
        window: Duration,
    }
    /// A client was refused.
    UpgradeRefused {
        /// The HTTP status that it was told; 500 if the connect function, the origin check or the
        /// search for its address panicked.
        status: u16,
    }
    /// A limit was reached.
    LimitReached {
        /// Which.
        limit: Limit,
    }
    /// A callback panicked.
    CallbackPanicked<'a> {
        /// The room of the connection.
        room: &'a str,
        /// The connection's id; empty for `on_presence`.
        id: &'a str,
        /// Which callback.
        callback: CallbackKind,
    }
    /// A callback held its thread for more than 100 ms.
    CallbackBlocked<'a> {
        /// The room of the connection; empty for the connect function, which is yet to say it.
        room: &'a str,
        /// The connection's id; empty for the connect function.
        id: &'a str,
        /// Which callback.
        callback: CallbackKind,
        /// The event name of its frame, as the client wrote it: never a label. Empty for callbacks
        /// that are given no frame.
        event: &'a str,
        /// How long the thread was held, by the clock on the wall.
        held: Duration,
        /// In how many calls of `on_message` it was held; 1 says that it was this one. Where many
        /// messages come at once, not each of them is measured by itself.
        calls: usize,
    }
}
