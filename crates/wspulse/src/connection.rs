//! A handle to one connection, and what its task shares with the rest of the server.

mod rooms;

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use tokio::sync::Notify;
use tokio::time::Instant;
use wspulse_core::codec::Codec;
use wspulse_core::outbound::{FRAME_LOSSES_MAX, Remainder};
use wspulse_core::{
    CloseCode, CloseFrame, Disconnect, EncodedFrame, Escaped, Frame, OutboundStats,
};

use crate::connect::Data;
use crate::error::{BufferLimit, NotAcknowledged, SendError};
use crate::mailbox::{Mailbox, Offered, Outcome, Waiter};
use crate::metrics::{DropReason, FrameDropped, FramesLost, Limit, LimitReached};
use crate::request::Request;
use crate::room::{Group, HomeSlot, Room};
use crate::server::Server;

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

impl Connection {
    pub(crate) const fn new(shared: Arc<ConnectionShared>) -> Self {
        Self { shared }
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

    /// What became of the frames sent to it: `accepted = sent + dropped + pending`.
    pub fn outbound_stats(&self) -> OutboundStats {
        self.shared.mailbox.stats()
    }

    /// Queues a frame for this connection, without waiting. While it is suspended a full buffer
    /// drops its oldest frames, unless delivery is promised.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after its end; [`SendError::Encode`] if the codec cannot express the
    /// frame; [`SendError::Full`] if its send buffer is full, and it is connected or delivery is
    /// promised, or if all send buffers together are and its own oldest frames cannot make room.
    pub fn send(&self, frame: Frame) -> Result<(), SendError> {
        if self.state() == ConnectionState::Closed {
            return Err(SendError::Closed { frame });
        }
        let codecs = self.server().codecs();
        let encoded = match codecs.encode(self.shared.mailbox.codec(), &frame) {
            Ok(encoded) => encoded,
            Err(source) => return Err(SendError::Encode { frame, source }),
        };
        self.send_encoded(frame, encoded)
    }

    pub(crate) fn send_encoded(
        &self,
        frame: Frame,
        encoded: EncodedFrame,
    ) -> Result<(), SendError> {
        let (waiter, queued_bytes) = (Waiter::here(&self.shared), self.server().queued_bytes());
        let Ok(offered) = self.shared.mailbox.send(encoded, waiter, queued_bytes) else {
            return Err(SendError::Closed { frame });
        };
        self.shared.count_dropped(offered.evicted, DropReason::Evicted);
        match offered.outcome {
            Outcome::Queued => Ok(()),
            Outcome::QueuedAtServerLimit => {
                self.shared.report_limit(Limit::QueuedBytes);
                Ok(())
            }
            Outcome::Refused(limit) => {
                self.shared.count_refused(limit, DropReason::Rejected);
                Err(SendError::Full { frame, limit })
            }
        }
    }

    /// Waits until the client has acknowledged all that was sent to it before this call, broadcasts
    /// included. It survives suspensions: what is lost on the way is written again. Returns at once
    /// if nothing is outstanding.
    ///
    /// An acknowledgement says that the client's WebSocket endpoint has the frames, not that its
    /// application has seen them. It may take a second longer than the way there and back, as the
    /// server does not ask for each frame.
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

    pub(crate) fn count_dropped(&self, frames: usize, reason: DropReason) {
        let dropped = FrameDropped { room: self.room(), id: &self.id, reason };
        for _ in 0..frames {
            self.server.metrics().record(|hooks| hooks.frame_dropped(&dropped));
        }
    }

    /// Counts what a broadcast has cost for which there was no room.
    pub(crate) fn count_overflow(self: &Arc<Self>, offered: Offered) {
        self.count_dropped(offered.evicted, DropReason::Evicted);
        match offered.outcome {
            Outcome::Queued => {}
            Outcome::QueuedAtServerLimit => self.report_limit(Limit::QueuedBytes),
            Outcome::Refused(limit) => {
                self.count_refused(limit, DropReason::NoRoom);
                self.end_if_promised(1);
            }
        }
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

    fn count_refused(&self, limit: BufferLimit, reason: DropReason) {
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
