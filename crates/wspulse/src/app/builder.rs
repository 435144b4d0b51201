//! The server's options, their defaults and their bounds.

mod admission;
mod announcements;
mod auth;
mod cluster;
mod codecs;
mod overflow;
mod requests;
mod rooms;
mod session_limits;
mod spans;
#[cfg(feature = "testing")]
mod watching;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use wspulse_core::codec::DecodeError;
use wspulse_core::{CloseCode, Disconnect, Frame, HeartbeatConfig, TransportLost};

use crate::app::connection::Connection;
use crate::app::handler::{CallbackOutput, Callbacks, ConnectFn, ConnectOutcome, outcome};
use crate::app::restored::Restored;
use crate::app::room::Room;
use crate::app::server::Server;
use crate::observe::metrics::MetricsCollector;
use crate::router::Router;
use crate::settings::connect::{Admission, ConnectRequest, Rejection};
use crate::settings::error::ConfigError;
use crate::settings::options::{DuplicatePolicy, Options, RoomChange};

/// Builds a [`Server`]. The last value given for an option is the one that counts; values are
/// checked by [`build`](Self::build).
///
/// ```
/// use std::time::Duration;
/// use wspulse::{Admission, Rejection, Server, origin};
///
/// let server = Server::builder_sync(|request| {
///     let user = request.query("user").ok_or_else(Rejection::unauthorized)?;
///     Ok(Admission::room("lobby").id(user))
/// })
/// .on_connect(|conn| println!("{} is here", conn.id()))
/// .on_message(|conn, frame| async move {
///     let said = frame.with_event("said").with_id("");
///     let _ = conn.room().broadcast_except(&conn, said);
/// })
/// .on_disconnect(|conn, end| println!("{} has left: {end}", conn.id()))
/// .check_origin(origin::allow_list(["https://chat.example"]))
/// .max_message_size(64 * 1024)
/// .resume_window(Duration::from_secs(30))
/// .build()?;
/// # Ok::<(), wspulse::ConfigError>(())
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct ServerBuilder {
    connect: ConnectFn,
    callbacks: Callbacks,
    options: Options,
}

impl ServerBuilder {
    pub(crate) fn new(connect: ConnectFn) -> Self {
        Self { connect, callbacks: Callbacks::default(), options: Options::default() }
    }

    /// Called once a connection has come up, before anything else of that connection.
    ///
    /// All callbacks may be async functions or plain ones. Those of one connection never overlap
    /// and come in the order `on_connect`, `on_message`…, (`on_transport_drop`,
    /// `on_transport_restore`, `on_message`…)…, `on_disconnect`, with `on_join` and `on_leave` anywhere
    /// between the first and the last. The next connection with the same
    /// id waits with its `on_connect` for the last one's `on_disconnect` to return. Callbacks of
    /// different connections run side by side. A slow one delays its own connection's callbacks and
    /// nothing else; a panic in one is caught, logged and counted.
    pub fn on_connect<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.connect = Some(Box::new(move |conn| outcome(callback(conn))));
        self
    }

    /// Called for each frame, in the order of arrival. A panic in it ends the transport.
    ///
    /// Without it, messages are read and counted but not decoded.
    pub fn on_message<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection, Frame) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.message = Some(Box::new(move |conn, frame| outcome(callback(conn, frame))));
        self
    }

    /// Called for each message that the codec cannot decode, in its place among the frames, such as
    /// to tell the client. A panic in it ends the transport. It needs [`on_message`](Self::on_message)
    /// or a [`router`](Self::router) as well: without one nothing is decoded, and
    /// [`build`](Self::build) refuses it.
    ///
    /// Such a message is counted and logged in any case: the first one of each transport at WARN,
    /// the others at DEBUG. The error's text may hold what the client sent.
    ///
    /// ```
    /// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
    /// builder.on_undecodable(|conn, _error| {
    ///     let _ = conn.send(wspulse::Frame::new("error").with_payload("\"not a frame\""));
    /// })
    /// # }
    /// ```
    pub fn on_undecodable<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection, DecodeError) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.undecodable =
            Some(Box::new(move |conn, error| outcome(callback(conn, error))));
        self
    }

    /// Has a [`Router`] dispatch each frame by its event. It is the message callback, in place of
    /// what [`on_message`](Self::on_message) sets.
    pub fn router(self, router: Router) -> Self {
        self.on_message(move |conn, frame| router.dispatch(conn, frame))
    }

    /// Called when a connection has become a member of a room: of those of its
    /// [`Admission`](crate::Admission), its home room included, once `on_connect` has returned, and
    /// of each that it [joins](Connection::join) later. It comes in the connection's one order of
    /// callbacks, so the connection may have left the room again meanwhile.
    ///
    /// For each room this and [`on_leave`](Self::on_leave) take turns. A room that was joined and left
    /// again, or left and joined again, before a callback that ran then has returned is not told of.
    ///
    /// ```
    /// # fn configure(builder: wspulse::ServerBuilder) -> wspulse::ServerBuilder {
    /// builder.on_join(|conn, room| {
    ///     let name = format!("{:?}", conn.id());
    ///     let _ = room.broadcast(wspulse::Frame::new("joined").with_payload(name));
    /// })
    /// # }
    /// ```
    pub fn on_join<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection, Room) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.join = Some(Box::new(move |conn, room| outcome(callback(conn, room))));
        self
    }

    /// Called when a connection is in a room no more: it has [left](Connection::leave) it, or has
    /// ended. At an end it is called for each room that the connection was in, before
    /// [`on_disconnect`](Self::on_disconnect). It makes a pair with [`on_join`](Self::on_join), but
    /// for a callback that a closing server has given up: then `on_disconnect` alone follows.
    pub fn on_leave<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection, Room) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.leave = Some(Box::new(move |conn, room| outcome(callback(conn, room))));
        self
    }

    /// Called once when a connection has ended, with the reason, after every other callback of that
    /// connection. The connection is in no room and found by no id any more.
    ///
    /// If the runtime that the connection lives on ends, it is called on another one that this
    /// server has connections on, if one is left. If none is, it is not called: close the server
    /// before its last runtime ends.
    pub fn on_disconnect<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection, Disconnect) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.disconnect = Some(Box::new(move |conn, end| outcome(callback(conn, end))));
        self
    }

    /// Called when a connection has lost its transport and waits for the next one; only with a
    /// [resume window](Self::resume_window).
    ///
    /// Losses and resumptions that come while an earlier callback still runs, with no message in
    /// between, are told as one.
    pub fn on_transport_drop<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection, TransportLost) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.transport_drop =
            Some(Box::new(move |conn, cause| outcome(callback(conn, cause))));
        self
    }

    /// Called when a suspended connection has got a new transport, before any message that comes
    /// over it, with [what the client brings along and what it has missed](Restored). What was
    /// buffered goes out before what this callback sends; while that fills the send buffer, a direct
    /// send fails as it does to any connected client.
    pub fn on_transport_restore<F, R, Kind>(mut self, callback: F) -> Self
    where
        F: Fn(Connection, Restored) -> R + Send + Sync + 'static,
        R: CallbackOutput<Kind>,
    {
        self.callbacks.transport_restore =
            Some(Box::new(move |conn, restored| outcome(callback(conn, restored))));
        self
    }

    /// How long a connection that lost its transport waits for its client to come back with the
    /// same id. Default: zero, which ends it at once. No upper bound. Time in which the server
    /// itself stood still, as its process was stopped, does not count, but for one ping interval
    /// or five seconds at the most; clients have five seconds at the least when it goes on.
    pub const fn resume_window(mut self, window: Duration) -> Self {
        self.options.resume_window = window;
        self
    }

    /// How often to ping (default 10 s, at most 5 min) and how long to keep a peer from which no
    /// byte comes (default 30 s, at most 10 min). The first must be the shorter one. Pings go out up
    /// to a thirtieth of their interval late, so that many go out together, which costs least; those
    /// of a storm of clients are spread over that time. Time in which the server stood still, as its
    /// process was stopped, does not count against a peer, but for one `ping_interval` at the most.
    pub const fn heartbeat(mut self, ping_interval: Duration, pong_timeout: Duration) -> Self {
        self.options.heartbeat = HeartbeatConfig { ping_interval, pong_timeout };
        self
    }

    /// How long a socket may take for one frame, and a client to answer a close. Default 10 s, at
    /// most 30 s. A frame that takes longer has this time again as long as the socket takes
    /// [enough of it](Self::min_write_rate).
    pub const fn write_wait(mut self, wait: Duration) -> Self {
        self.options.write_wait = wait;
        self
    }

    /// How many bytes a second a socket must take of a frame for which it needs longer than
    /// [`write_wait`](Self::write_wait). Each byte buys the time that it may take at this rate, up
    /// to one `write_wait` from then. A slower socket is a lost transport. Default 4,096, which is
    /// less than what GPRS gives; at least 1.
    ///
    /// What counts is what the system's buffer for the socket takes, which it does in pieces of up
    /// to a third of that buffer.
    ///
    /// A stream that holds bytes back, as one for TLS does, has the time to pass them on at this
    /// rate, beside `write_wait`: at most that for 256 KiB, which is 64 s by default. A client that
    /// reads nothing keeps such a stream for so long, unless [`heartbeat`](Self::heartbeat) gives it
    /// up earlier. The time to flush what was accepted before a close is not made longer.
    pub const fn min_write_rate(mut self, bytes_per_second: u32) -> Self {
        self.options.write_rate_min = bytes_per_second;
        self
    }

    /// The largest message that is received, in bytes. Default 512, at most 64 MiB. A larger one
    /// loses the transport, with close code 1009.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.options.message_bytes_max = bytes;
        self
    }

    /// How many frames may wait in a connection's send buffer, connected or suspended. Default
    /// 256, at most 4,096. At the bound a direct send to a connected client fails; broadcasts, and
    /// all that goes to a suspended client, drop the oldest frame.
    pub const fn send_buffer_size(mut self, frames: usize) -> Self {
        self.options.send_buffer_frames = frames;
        self
    }

    /// How many bytes one read takes at the most, and up to how many one write gathers: as many
    /// waiting frames as fit, and at least one. Default 64 KiB each, 1 byte to 16 MiB.
    ///
    /// No connection holds a buffer of its own: reads share one per thread, writes are gathered
    /// from the frames that wait. Smaller values share a busy thread out more finely.
    pub const fn upgrader_buffer_size(mut self, read_bytes: usize, write_bytes: usize) -> Self {
        self.options.read_bytes_max = read_bytes;
        self.options.write_bytes_max = write_bytes;
        self
    }

    /// Whether a request may come from the web page that it comes from; a `false` answers 403.
    /// Ready-made checks are in [`origin`](crate::origin). Default: every origin, with a warning in
    /// the log, since any web page may then connect with its visitor's cookies.
    pub fn check_origin<F>(mut self, check: F) -> Self
    where
        F: Fn(&ConnectRequest) -> bool + Send + Sync + 'static,
    {
        self.options.check_origin = Some(Box::new(check));
        self
    }

    /// Where to find the peer's address in a request, such as in an extension that the framework
    /// sets or in a proxy's header. Default, and where this finds nothing: the
    /// [`PeerAddr`](crate::PeerAddr) that the HTTP server has left in it; without one it is unknown
    /// until the connection is up, then the socket's.
    ///
    /// Clients can send any header: read one only if a proxy that sets it is the only way in.
    pub fn peer_addr<F>(mut self, find: F) -> Self
    where
        F: Fn(&ConnectRequest) -> Option<SocketAddr> + Send + Sync + 'static,
    {
        self.options.peer_addr = Some(Box::new(find));
        self
    }

    /// Where to count. Default: nowhere.
    pub fn metrics(mut self, collector: impl MetricsCollector) -> Self {
        self.options.metrics = Some(Arc::new(collector));
        self
    }

    /// What happens to a second connection with one id, in a cluster wherever the first one is
    /// ([`id_scope`](Self::id_scope)). Default: [`DuplicatePolicy::Replace`].
    pub const fn duplicates(mut self, policy: DuplicatePolicy) -> Self {
        self.options.returns.duplicates = policy;
        self
    }

    /// The close code for a client whose connection, or whose transport, was replaced by a newer one
    /// with its id, by which it can tell that from a close. Default 1000, as in the Go library; else
    /// 4000 to 4999 but not 4410. With another one, clients would come back and replace each other
    /// for ever. The reason is `duplicate connection id` in any case.
    ///
    /// A transport that is [overtaken](DuplicatePolicy) by a newer handshake of its own client is
    /// closed with 1001 as before.
    pub const fn duplicate_close_code(mut self, code: CloseCode) -> Self {
        self.options.returns.duplicate_close = code;
        self
    }

    /// What happens to a client that comes back to its session with another room. Default:
    /// [`RoomChange::Keep`]. A client that would not get its session in its own room either, as with
    /// [`DuplicatePolicy::Replace`] and a session that is connected, begins a new one wherever it
    /// says.
    pub const fn room_changes(mut self, policy: RoomChange) -> Self {
        self.options.returns.room_changes = policy;
        self
    }

    /// How long the connect function may take before the request is answered 503. Default 10 s, at
    /// most 5 min. It is then dropped where it waits; one that blocks its thread instead cannot be
    /// interrupted. Of a time in which the server's process was stopped, or its machine was
    /// suspended, a few seconds count at the most.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// How long [`Server::close`] waits for frames to be written and for callbacks to return before
    /// it gives them up. Default 10 s, at most 1 h. Each `on_disconnect` may take as long once more,
    /// from its start. Of a time in which the server's process was stopped, or its machine was
    /// suspended, a few seconds count at the most.
    pub const fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.options.drain_timeout = timeout;
        self
    }

    /// How long the clients of a [draining](Server::drain) server are asked to wait before they come
    /// back: at least this and at most twice as long, each another time. Default 1 s; at least 1 ms,
    /// at most 30 s. Where nobody takes the clients over but this server's successor, let it be the
    /// time that a restart takes.
    pub const fn drain_retry(mut self, retry: Duration) -> Self {
        self.options.drain_retry = retry;
        self
    }

    /// Checks the options and makes the server.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the option, its value and the rule, for the first value that is out
    /// of its range, for an `on_undecodable` without a message callback, and for a
    /// [`cluster`](Self::cluster) outside of a tokio runtime.
    pub fn build(self) -> Result<Server, ConfigError> {
        self.callbacks.check()?;
        Server::new(self.connect, self.callbacks, self.options)
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Boxes a connect function that is async.
pub(crate) fn boxed_connect<F, Fut>(connect: F) -> ConnectFn
where
    F: Fn(ConnectRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Admission, Rejection>> + Send + 'static,
{
    Box::new(move |request| ConnectOutcome::Pending(Box::pin(connect(request))))
}
