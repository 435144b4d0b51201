//! A handle to one connection, and what its task shares with the rest of the server.

mod expiry;
mod readings;
mod rooms;
mod sending;

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytestring::ByteString;
use wspulse_core::codec::Codec;
use wspulse_core::{CloseCode, CloseFrame, Disconnect, Frame, OutboundStats};

use crate::app::request::Request;
use crate::app::room::Room;
use crate::app::server::Server;
use crate::membership::mailbox::Waiter;
use crate::membership::shared::{ConnectionShared, ConnectionState};
use crate::settings::error::NotAcknowledged;
pub use readings::ConnectionReadings;

/// A connection: one client's session in its rooms, across all its transports.
///
/// A handle is cheap to clone and stays valid after the connection has ended. It reaches its
/// [server](Self::server) and its [room](Self::room), so a callback needs nothing else.
///
/// ```
/// use wspulse::{Connection, Frame, SendError};
///
/// fn greet(conn: &Connection) -> Result<(), SendError> {
///     let others = conn.room().len() - 1;
///     conn.send(Frame::new("welcome").with_payload(others.to_string()))
/// }
/// ```
#[derive(Clone)]
pub struct Connection {
    shared: Arc<ConnectionShared>,
}

impl Connection {
    pub(crate) const fn new(shared: Arc<ConnectionShared>) -> Self {
        Self { shared }
    }

    pub(crate) fn all(shared: Vec<Arc<ConnectionShared>>) -> Vec<Self> {
        shared.into_iter().map(Self::new).collect()
    }

    pub(crate) const fn shared(&self) -> &Arc<ConnectionShared> {
        &self.shared
    }

    /// The connection's id.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The id of its home room, that of its [`Admission`](crate::Admission); empty without one.
    pub fn room_id(&self) -> &str {
        self.shared.room()
    }

    /// Its home room, to broadcast to or to list; without one, the room of the empty name.
    pub fn room(&self) -> Room {
        match &self.shared.home {
            Some(home) => Room::of(self.server().clone(), Arc::clone(home)),
            None => self.server().room(""),
        }
    }

    /// Its server.
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// What its frames are encoded and decoded with, for the session's whole life: the one that a
    /// client of `wspulse.1` [has asked for](crate::ServerBuilder::also_codec), else the server's
    /// default.
    pub fn codec(&self) -> &dyn Codec {
        self.shared.codec()
    }

    /// The data that [`Admission::data`](crate::Admission::data) attached, if it is a `T`.
    pub fn data<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.shared.data.get()?.downcast_ref()
    }

    /// Whether it is connected, suspended or closed, at this instant.
    pub fn state(&self) -> ConnectionState {
        self.shared.mailbox.state()
    }

    /// The address of its current or last peer, as far as it is known.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.mailbox.peer_addr()
    }

    /// When it connected first.
    pub fn connected_at(&self) -> SystemTime {
        self.shared.connected_at
    }

    /// What became of the frames sent to it: `accepted = sent + dropped + conflated +
    /// pending`.
    pub fn outbound_stats(&self) -> OutboundStats {
        self.shared.mailbox.stats()
    }

    /// Waits until the client has acknowledged all that was sent to it before this call, broadcasts
    /// included. It survives suspensions: what is lost on the way is written again. Returns at once
    /// if nothing is outstanding.
    ///
    /// An acknowledgement says that the client's WebSocket endpoint has the frames, not that its
    /// application has seen them. It may take a second longer than the way there and back, as the
    /// server does not ask for each frame. It does not wait for frames that newer ones with their
    /// [key](crate::Frame::conflate) have replaced, nor for [volatile](crate::Frame::volatile) ones that
    /// were dropped.
    ///
    /// ```
    /// # async fn alarm(conn: &wspulse::Connection, frame: wspulse::Frame) -> Result<(), Box<dyn std::error::Error>> {
    /// conn.send(frame)?;
    /// tokio::time::timeout(std::time::Duration::from_secs(10), conn.acknowledged()).await??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotAcknowledged`] if it cannot be known, or if the connection ends before. A callback of this
    /// very connection hears of [`NotAcknowledged::Overloaded`] if more waits behind it than
    /// [`read_ahead`](crate::ServerBuilder::read_ahead) allows.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: it only watches.
    pub async fn acknowledged(&self) -> Result<(), NotAcknowledged> {
        match self.shared.mailbox.await_acknowledgement(Waiter::here(&self.shared))? {
            None => Ok(()),
            Some(answer) => answer.await.unwrap_or(Err(NotAcknowledged::Closed)),
        }
    }

    /// Asks the client: sends the frame and waits for the reply, which is a frame with the same id and
    /// the event `reply`, or `error` ([`reply_events`](crate::ServerBuilder::reply_events)). A frame
    /// without an id is given one. The reply is not given to `on_message`. A resumed session goes on
    /// waiting.
    ///
    /// A callback may await its own client: the reply is read although messages wait behind the
    /// callback, up to [`read_ahead`](crate::ServerBuilder::read_ahead).
    ///
    /// ```
    /// # async fn ask(conn: &wspulse::Connection) -> Result<(), Box<dyn std::error::Error>> {
    /// let question = wspulse::Frame::new("position");
    /// let reply = conn.request(question).within(std::time::Duration::from_secs(5)).await?;
    /// let (x, y): (f64, f64) = reply.to_json()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn request(&self, frame: Frame) -> Request {
        Request::new(self.clone(), frame)
    }

    /// Ends the connection: from now on it is in no room and accepts no frame. What was accepted
    /// before is written, then a close frame with code 1000, as far as the client takes it within
    /// [`write_wait`](crate::ServerBuilder::write_wait). Does nothing if it has ended already.
    pub fn close(&self) {
        self.server().end(&self.shared, Disconnect::Closed);
    }

    /// Closes as [`close`](Self::close) does, with a close code and reason of your own, by which the
    /// client can tell why: 4000 to 4999 are for applications (RFC 6455 §7.4.2). Up to 123 bytes of
    /// the reason are sent; nothing is, and `on_disconnect` is told of the client's own close, if that
    /// has taken its leave.
    ///
    /// ```
    /// # fn close(conn: &wspulse::Connection) -> Result<(), wspulse::InvalidCloseCode> {
    /// conn.close_with(wspulse::CloseCode::new(4001)?, "signed in elsewhere");
    /// # Ok(())
    /// # }
    /// ```
    pub fn close_with(&self, code: CloseCode, reason: impl Into<ByteString>) {
        let frame = CloseFrame::new(code, reason);
        self.server().end(&self.shared, Disconnect::ClosedWith(frame));
    }

    /// Drops its transport without a word, as a network does that fails: the client is told nothing.
    /// With a [resume window](crate::ServerBuilder::resume_window) the session waits for it and keeps
    /// its rooms; else it ends. `on_transport_drop` or `on_disconnect` hears of
    /// [`TransportLost::Cut`](crate::TransportLost::Cut). Does nothing if there is no transport.
    ///
    /// For whoever looks after a server: to see that a client comes back, to have it come by another
    /// way, or to get rid of a transport that is stuck.
    pub fn cut(&self) {
        self.shared.mailbox.cut();
    }

    /// Waits until the connection has ended; a suspension is no end. Returns at once if it has.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: it only watches.
    pub async fn done(&self) {
        let ended = self.shared.ended.notified();
        if self.state() == ConnectionState::Closed {
            return;
        }
        ended.await;
    }
}

impl PartialEq for Connection {
    /// Whether both are handles to the same connection.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Connection {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("room", &self.room_id())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
