//! The limits that a peer, or all of them together, can reach.

use std::fmt;

/// A limit of the server that was reached, named after the option that sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`inbound_rate`](crate::ServerBuilder::inbound_rate): a peer sent more, and is not read for a
    /// while or loses its transport.
    InboundRate,
    /// [`max_message_fragments`](crate::ServerBuilder::max_message_fragments): a message had more,
    /// and its peer loses the transport.
    MessageFragments,
    /// [`message_timeout`](crate::ServerBuilder::message_timeout): a message was incomplete for
    /// longer, and its peer loses the transport.
    MessageTimeout,
    /// [`send_buffer_bytes`](crate::ServerBuilder::send_buffer_bytes): a direct send was refused.
    /// Frames that were dropped instead are counted by `frame_dropped`.
    SendBufferBytes,
    /// [`max_queued_bytes`](crate::ServerBuilder::max_queued_bytes): a frame was refused, or others
    /// or itself were dropped for it.
    QueuedBytes,
    /// [`max_suspended`](crate::ServerBuilder::max_suspended): one more would be suspended, and ends
    /// instead.
    Suspended,
    /// [`max_rooms_per_connection`](crate::ServerBuilder::max_rooms_per_connection): a connection was
    /// to join one more.
    RoomsPerConnection,
    /// [`max_requests`](crate::ServerBuilder::max_requests): a client was to be asked once more while
    /// as many requests wait.
    Requests,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 8] = [
        Self::InboundRate,
        Self::MessageFragments,
        Self::MessageTimeout,
        Self::SendBufferBytes,
        Self::QueuedBytes,
        Self::Suspended,
        Self::RoomsPerConnection,
        Self::Requests,
    ];

    /// The option's name on the builder, as a label for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InboundRate => "inbound_rate",
            Self::MessageFragments => "max_message_fragments",
            Self::MessageTimeout => "message_timeout",
            Self::SendBufferBytes => "send_buffer_bytes",
            Self::QueuedBytes => "max_queued_bytes",
            Self::Suspended => "max_suspended",
            Self::RoomsPerConnection => "max_rooms_per_connection",
            Self::Requests => "max_requests",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
