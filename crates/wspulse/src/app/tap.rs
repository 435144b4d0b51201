//! Looking at what passes a connection.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use wspulse_core::Frame;
use wspulse_core::codec::{DecodeError, InboundMessage};

use crate::app::connection::Connection;
use crate::membership::tap::{Noted, Passed, Seen, Sees, TapQueue};

/// Sees what passes a connection, across all its transports. Made by [`Connection::tap`], and by
/// [`Connection::tap_sent`] for one direction.
pub struct Tap {
    connection: Connection,
    queue: Arc<TapQueue>,
}

/// A message that has passed a connection.
#[derive(Clone)]
pub struct Tapped {
    connection: Connection,
    at: SystemTime,
    left_out: u64,
    message: Passed,
}

/// Which way a message has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    FromClient,
    /// From the server to the client.
    ToClient,
}

impl Connection {
    /// Looks at what passes from now on: each message when it has come from the client, before it is
    /// decoded, and each frame when a socket has taken it. What is written again to another transport
    /// passes again. Pings, Pongs and the control messages of `wspulse.1` are not shown, nor what
    /// comes for the second time after a resume.
    ///
    /// Up to `capacity` messages wait for who looks, at least one; of more, the oldest are left out,
    /// and counted. So the connection never waits for who looks. While anybody looks, this one
    /// connection is served a little slower, and all messages that come to its server take a few
    /// instructions more.
    ///
    /// ```
    /// # async fn tail(connection: &wspulse::Connection) {
    /// let mut tap = connection.tap(256);
    /// while let Some(message) = tap.next().await {
    ///     let frame = message.decode();
    ///     let event = frame.as_ref().map_or("(no frame)", |frame| frame.event());
    ///     println!("{:?} {event}, {} bytes", message.direction(), message.bytes());
    /// }
    /// # }
    /// ```
    pub fn tap(&self, capacity: usize) -> Tap {
        self.server().requests().begin_tap();
        self.tap_of(capacity, Sees::Both)
    }

    /// As [`tap`](Self::tap), for what goes to the client alone: messages that come cost nothing more.
    pub fn tap_sent(&self, capacity: usize) -> Tap {
        self.tap_of(capacity, Sees::Outbound)
    }

    fn tap_of(&self, capacity: usize, sees: Sees) -> Tap {
        let queue = Arc::new(TapQueue::new(capacity, sees));
        self.shared().mailbox.add_tap(&queue);
        Tap { connection: self.clone(), queue }
    }
}

impl Tap {
    /// Waits for the next message; `None` once the connection has ended and all was seen.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Tapped> {
        loop {
            match self.queue.take() {
                Seen::Message(noted) => return Some(self.tapped(noted)),
                Seen::Over => return None,
                Seen::Nothing => self.queue.news().await,
            }
        }
    }

    /// The next message, if there is one by now.
    pub fn try_next(&mut self) -> Option<Tapped> {
        match self.queue.take() {
            Seen::Message(noted) => Some(self.tapped(noted)),
            Seen::Over | Seen::Nothing => None,
        }
    }

    /// The connection that it looks at.
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    fn tapped(&self, Noted { at, left_out, message }: Noted) -> Tapped {
        Tapped { connection: self.connection.clone(), at, left_out, message }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.connection.shared().mailbox.remove_tap(&self.queue);
        match self.queue.sees {
            Sees::Both => self.connection.server().requests().end_tap(),
            Sees::Outbound => {}
        }
    }
}

impl Tapped {
    /// Which way it has gone.
    pub const fn direction(&self) -> Direction {
        match self.message {
            Passed::Inbound(..) => Direction::FromClient,
            Passed::Outbound(_) => Direction::ToClient,
        }
    }

    /// When it passed.
    pub const fn at(&self) -> SystemTime {
        self.at
    }

    /// How many messages were left out between the one before it and this one.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The message's length in bytes, without the WebSocket header.
    pub fn bytes(&self) -> usize {
        match &self.message {
            Passed::Inbound(_, payload) => payload.len(),
            Passed::Outbound(frame) => frame.payload_bytes(),
        }
    }

    /// Decodes it, by the connection's codec.
    ///
    /// # Errors
    ///
    /// The codec's, for a message that is no frame.
    pub fn decode(&self) -> Result<Frame, DecodeError> {
        let message = match &self.message {
            Passed::Inbound(kind, payload) => InboundMessage::owned(*kind, payload.clone()),
            Passed::Outbound(frame) => InboundMessage::lent(frame.kind(), frame.payload()),
        };
        self.connection.codec().decode(message)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tapped")
            .field("direction", &self.direction())
            .field("bytes", &self.bytes())
            .field("left_out", &self.left_out)
            .finish_non_exhaustive()
    }
}
