//! The options that bound what one session may cost.

use std::time::Duration;

use wspulse_core::InboundRate;
use wspulse_core::outbound::Window;

use super::ServerBuilder;
use crate::settings::options::Delivery;

impl ServerBuilder {
    /// How many rooms a connection may be in at once, its home room included. Default 128; at least
    /// 1, at most 4,096: its rooms are looked through one by one. Beyond it
    /// [`Connection::join`](crate::Connection::join) fails.
    pub const fn max_rooms_per_connection(mut self, rooms: usize) -> Self {
        self.options.rooms_max = rooms;
        self
    }

    /// How fast each connection may send: messages and bytes per second, each with a burst, counted
    /// over all its transports. Default: no limit. Messages per second and their burst are 1 to
    /// 1,000,000, bytes per second and their burst 1 to 1,000,000,000.
    ///
    /// Bytes count as they are on the wire, headers and control frames included, but those of a
    /// compressed message as they are once it is inflated; Pings count as messages as well. What happens over the rate is said by [`OverRate`](crate::OverRate):
    ///
    /// - `Pause`: the client is not read until it may send again, so TCP pushes back; nothing is
    ///   lost, and no pong or message timeout runs meanwhile. Reading goes on at most 50 times a
    ///   second. A client that always sends too much gets exactly the rate.
    /// - `Close`: its transport is lost with close code 1008 and the reason `rate limit`, what was
    ///   over the rate is not handed on, and the cause is
    ///   [`TransportLost::RateLimited`](crate::TransportLost::RateLimited). The client should
    ///   slow down before it comes back; it finds the tokens of its session as it left them. A
    ///   network delivers in clumps, so allow for a burst of a second or more. The burst of bytes
    ///   must hold a message of [`max_message_size`](Self::max_message_size) and 14 bytes for its
    ///   header; with `compression`, also 64 bytes and a 7th of the message, since one that cannot
    ///   be made smaller gets longer.
    pub const fn inbound_rate(mut self, rate: InboundRate) -> Self {
        self.options.session_limits.inbound_rate = Some(rate);
        self
    }

    /// How many WebSocket frames a received message may be in, empty ones included. Default 1,024,
    /// 1 to 1,048,576 (2^20). A message in more of them loses the transport, with close code 1008
    /// (policy violation: any number is valid WebSocket) and the reason `too many fragments`. A
    /// client should send messages whole: browsers do.
    pub const fn max_message_fragments(mut self, fragments: usize) -> Self {
        self.options.session_limits.message_fragments_max = fragments;
        self
    }

    /// How long a message may take from its first byte to its last; for a control frame between two
    /// messages it is the same. Default 1 min, at most 1 h. Beyond, the transport is lost with
    /// close code 1008 (policy violation: being slow is no protocol error) and the reason `message
    /// timeout`. Times in which the server did not read, by an [`inbound_rate`](Self::inbound_rate)
    /// or since callbacks are behind, do not count. A client on a slow line should send smaller
    /// messages.
    pub const fn message_timeout(mut self, timeout: Duration) -> Self {
        self.options.session_limits.message_timeout = timeout;
        self
    }

    /// How many bytes may wait in a connection's send buffer, connected or suspended, beside the
    /// frames of [`send_buffer_size`](Self::send_buffer_size): as they are on the wire, a frame
    /// counting whole until its last byte is taken. Default 16 MiB, 1 byte to 1 GiB. A single
    /// longer frame is still taken when nothing else waits. At the bound a direct send to a
    /// connected client fails with [`SendError::Full`](crate::SendError::Full); broadcasts, and all
    /// that goes to a suspended client, drop as many of the oldest frames as it takes. The client
    /// is not closed: it should read faster, or be sent less. Compressed forms, which do not count, take
    /// less than twice as much besides.
    pub const fn send_buffer_bytes(mut self, bytes: usize) -> Self {
        self.options.session_limits.send_buffer_bytes = bytes;
        self
    }

    /// How many bytes may wait in the send buffers of all connections together: at least 1.
    /// Default: no limit, which costs nothing; with one, all senders share a counter.
    ///
    /// Each connection's frames count whole, although the members of a room share a broadcast's
    /// bytes: it is what would be needed if every connection had its own copy, and what is used may
    /// be far less. Compressed forms do not count, as for [`send_buffer_bytes`](Self::send_buffer_bytes).
    ///
    /// At the limit a direct send to a connected client fails with
    /// [`SendError::Full`](crate::SendError::Full). A broadcast, and what goes to a suspended
    /// client, drops the receiver's own oldest frames until it fits. If it cannot fit, they stay:
    /// the direct send fails, and the broadcast is dropped for that member, with the metrics label
    /// `no_room`. Every drop is in the connection's
    /// [`outbound_stats`](crate::Connection::outbound_stats). Nobody is closed.
    pub const fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.options.session_limits.queued_bytes_max = Some(bytes);
        self
    }

    /// How many sessions may be suspended at once, all over the server: 1 or more. Default: no
    /// limit. At the limit a session that loses its transport ends at once, as without a
    /// [resume window](Self::resume_window), with
    /// [`Disconnect::SuspendedLimit`](crate::Disconnect::SuspendedLimit) and the metrics label
    /// `suspended_limit`. Its client finds a new session when it comes back.
    pub const fn max_suspended(mut self, sessions: usize) -> Self {
        self.options.session_limits.suspended_max = Some(sessions);
        self
    }

    /// What is promised of frames that were sent. Default: [`Delivery::AtMostOnce`], which needs
    /// and costs nothing. [`Delivery::AtLeastOnce`] needs a [resume window](Self::resume_window).
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.options.delivery.level = delivery;
        self
    }

    /// How much may be on its way to a client: written, kept, and not acknowledged. Beyond it frames
    /// wait in the send buffer. Default 4,096 frames (1 to 65,536) and 4 MiB on the wire (1 byte to
    /// 1 GiB; one longer frame is taken where nothing else is on its way). A client far away gets at
    /// most this much in the time that an acknowledgement takes. Only a
    /// [promise of delivery](Self::delivery) keeps anything.
    pub const fn delivery_window(mut self, frames: usize, bytes: usize) -> Self {
        self.options.delivery.window = Window { frames, bytes };
        self
    }
}
