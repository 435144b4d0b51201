//! The server: a handle that everything else is reached from.

mod drain;
mod fan_out;
mod inside;
mod lifecycle;
mod offered;
mod readings;
pub(crate) mod spans;
mod tasks;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod watch;

use std::fmt;
use std::sync::{Arc, Weak};

use bytestring::ByteString;
use http::StatusCode;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use wspulse_core::session::SessionConfig;
use wspulse_core::{CloseCode, CloseFrame, Disconnect, Outgoing};

use crate::app::builder::{ServerBuilder, boxed_connect};
use crate::app::cluster::{self, Attachment};
use crate::app::connection::Connection;
use crate::app::handler::{Callbacks, ConnectFn, ConnectFuture, ConnectOutcome};
use crate::app::handoff::{Overlaps, Shelf};
use crate::app::request::RequestCounter;
use crate::app::room::{Room, User};
use crate::ground::panics;
use crate::ground::ping_schedule::PingSchedule;
use crate::ground::queued_bytes::QueuedBytes;
use crate::ground::runtimes::Runtimes;
use crate::ground::shutdown::DrainDeadline;
use crate::ground::sync::{self, Mutex};
use crate::ground::throttle::Throttle;
use crate::membership::Kind;
use crate::membership::ping_groups::PingGroups;
use crate::membership::registry::Registry;
use crate::membership::turns::Turns;
use crate::observe::departures::Departures;
use crate::observe::meter::Meter;
use crate::observe::metrics::{Gauges, ServerBuilt};
use crate::settings::connect::{Admission, ConnectRequest, Rejection};
use crate::settings::error::{ConfigError, KickError, SendError};
use crate::settings::options::Options;
use crate::settings::token::TokenKey;
use crate::task::driver::watch::Blocking;
pub use fan_out::FanOut;
pub(crate) use fan_out::{ToGroup, TooLarge};
pub(crate) use lifecycle::Made;
pub use watch::Watch;

/// A room server: a cheap handle, to be cloned to wherever connections are served or used.
///
/// It is a tower service of HTTP requests, so it can be routed to directly; see the
/// [crate's documentation](crate) for the ways in.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    made_at: Instant,
    ping_groups: PingGroups,
    connect: ConnectFn,
    callbacks: Callbacks,
    options: Options,
    session_config: Arc<SessionConfig>,
    registry: Registry,
    meter: Meter,
    departures: Departures,
    /// If they are bounded.
    queued_bytes: Option<QueuedBytes>,
    drain_deadline: DrainDeadline,
    /// Every task that this server spawned.
    tasks: TaskTracker,
    runtimes: Runtimes,
    token_key: TokenKey,
    unknown_addresses: Mutex<Throttle>,
    turns: Turns,
    other_rooms: Mutex<Throttle>,
    too_many_rooms: Mutex<Throttle>,
    presence_failures: Mutex<Throttle>,
    blocking: Blocking,
    requests: RequestCounter,
    /// Sessions on their way to other servers.
    shelf: Shelf,
    /// Who has heard elsewhere what comes here.
    overlaps: Overlaps,
    /// Gives broadcasts to all connections one order.
    everybody: Mutex<()>,
    gaps: Mutex<Throttle>,
    /// If it is one of many.
    attachment: Option<Attachment>,
}

impl Server {
    /// Starts building a server whose connect function is async: it decides who may connect, to
    /// which room and under which id.
    ///
    /// ```
    /// use wspulse::{Admission, Server};
    ///
    /// let server = Server::builder(|request| async move {
    ///     let user = request.query("user").ok_or(wspulse::Rejection::unauthorized())?;
    ///     Ok(Admission::room("lobby").id(user))
    /// })
    /// .build()?;
    /// # Ok::<(), wspulse::ConfigError>(())
    /// ```
    pub fn builder<F, Fut>(connect: F) -> ServerBuilder
    where
        F: Fn(ConnectRequest) -> Fut + Send + Sync + 'static,
        Fut: ConnectFuture,
    {
        ServerBuilder::new(boxed_connect(connect))
    }

    /// Starts building a server whose connect function is a plain one.
    pub fn builder_sync<F>(connect: F) -> ServerBuilder
    where
        F: Fn(ConnectRequest) -> Result<Admission, Rejection> + Send + Sync + 'static,
    {
        ServerBuilder::new(Box::new(move |request| ConnectOutcome::Answered(connect(request))))
    }

    /// Starts building a server that has no connect function, for an application that authenticates
    /// its clients by itself and lets them in with [`upgrade`](Self::upgrade) or
    /// [`Handshake::admit`](crate::http::Handshake::admit).
    ///
    /// Whoever comes by another way, such as to the server mounted as a service, is answered 404.
    ///
    /// ```
    /// use wspulse::{Admission, Server, http::Response};
    ///
    /// async fn join(server: &Server, request: axum::extract::Request) -> Response {
    ///     let user = "ann"; // whom your session layer says it is
    ///     server.upgrade(request, Admission::room("lobby").id(user)).await
    /// }
    ///
    /// let server = Server::builder_without_connect().build()?;
    /// # Ok::<(), wspulse::ConfigError>(())
    /// ```
    pub fn builder_without_connect() -> ServerBuilder {
        Self::builder_sync(|_| {
            let line = "this server lets nobody in by itself";
            Err(Rejection::with_status(StatusCode::NOT_FOUND, line))
        })
    }

    pub(crate) fn new(
        connect: ConnectFn,
        callbacks: Callbacks,
        mut options: Options,
    ) -> Result<Self, ConfigError> {
        options.check()?;
        panics::install_hook();
        if options.check_origin.is_none() {
            tracing::warn!("every origin may connect; see ServerBuilder::check_origin");
        }
        let meter = Meter::new(options.metrics.take());
        let expiry_notice = callbacks.expiring.as_ref().map(|_| options.auth.expiry_notice);
        let session_config = Arc::new(options.session_config(expiry_notice));
        if options.cluster.is_some() && !sync::has_runtime() {
            let rule = "the server must be built inside of a tokio runtime";
            return Err(ConfigError::new("cluster", format_args!("outside of one"), rule));
        }
        let engine = options.cluster.take();
        let has_logs = options.rooms.logged.is_some();
        let speaker =
            engine.as_deref().map(|engine| Attachment::speaker(engine, &options.codecs, has_logs));
        let node = speaker.as_ref().map(|speaker| speaker.node());
        let registry = Registry::new(
            &options.admission,
            (&options.rooms, options.resume_window),
            speaker.clone(),
        );
        let queued_bytes = options.session_limits.queued_bytes();
        let ping_groups = PingGroups::new(PingSchedule::new(Instant::now(), &options.heartbeat));
        let requests = RequestCounter::new(options.requests.answers_failures);
        let server = Self {
            inner: Arc::new_cyclic(|weak| Inner {
                made_at: Instant::now(),
                ping_groups,
                connect,
                callbacks,
                options,
                session_config,
                registry,
                meter,
                departures: Departures::default(),
                drain_deadline: DrainDeadline::default(),
                queued_bytes,
                tasks: TaskTracker::new(),
                runtimes: Runtimes::new(),
                token_key: TokenKey::random(node),
                unknown_addresses: Mutex::default(),
                turns: Turns::default(),
                other_rooms: Mutex::default(),
                too_many_rooms: Mutex::default(),
                presence_failures: Mutex::default(),
                blocking: Blocking::default(),
                requests,
                shelf: Shelf::default(),
                overlaps: Overlaps::default(),
                everybody: Mutex::default(),
                gaps: Mutex::default(),
                attachment: engine.zip(speaker).map(|(engine, speaker)| {
                    let find = cluster::finder(Weak::clone(weak), |inner| Self { inner });
                    Attachment::new(engine, speaker, find, has_logs)
                }),
            }),
        };
        if let Some(attachment) = &server.inner.attachment {
            server.spawn(Arc::clone(attachment.node()).run());
        }
        server.metrics().record(|hooks| {
            hooks.server_built(&ServerBuilt::new(&Gauges::new(&server.inner)));
        });
        Ok(server)
    }

    /// Queues a frame for the connection with this id, as [`Connection::send`] does.
    ///
    /// # Errors
    ///
    /// [`SendError::NotFound`] if there is none, also after [`close`](Self::close); else see
    /// [`Connection::send`].
    pub fn send(&self, id: &str, frame: impl Into<Outgoing>) -> Result<(), SendError> {
        if let Some(connection) = self.connection(id) {
            return connection.send(frame);
        }
        let frame = frame.into().into_frame();
        Err(SendError::NotFound { frame: Box::new(frame), id: id.to_owned() })
    }

    /// Ends the connection with this id, past any resume window, with close code 1000 and the
    /// reason `kicked`. It is gone when this returns: its id and its place in the room are free.
    ///
    /// # Errors
    ///
    /// [`KickError::NotFound`] if there is none; [`KickError::ServerClosed`] after
    /// [`close`](Self::close).
    pub fn kick(&self, id: &str) -> Result<(), KickError> {
        self.kick_with_reason(id, "kicked")
    }

    /// Kicks with a reason text of your own for the peer, of which up to 123 bytes are sent, and
    /// close code 1000.
    ///
    /// # Errors
    ///
    /// See [`kick`](Self::kick).
    pub fn kick_with_reason(
        &self,
        id: &str,
        reason: impl Into<ByteString>,
    ) -> Result<(), KickError> {
        self.kick_with(id, CloseCode::NORMAL, reason)
    }

    /// Kicks with a close code and reason of your own, by which the client can tell why: 4000 to
    /// 4999 are for applications (RFC 6455 §7.4.2). Up to 123 bytes of the reason are sent.
    ///
    /// # Errors
    ///
    /// See [`kick`](Self::kick).
    pub fn kick_with(
        &self,
        id: &str,
        code: CloseCode,
        reason: impl Into<ByteString>,
    ) -> Result<(), KickError> {
        let registry = &self.inner.registry;
        let connection = registry.find(id);
        let kicked = Disconnect::Kicked(CloseFrame::new(code, reason));
        if connection.is_some_and(|connection| self.end(&connection, kicked)) {
            Ok(())
        } else if registry.is_open() {
            Err(KickError::NotFound { id: id.to_owned() })
        } else {
            Err(KickError::ServerClosed)
        }
    }

    /// The connection with this id, connected or suspended.
    pub fn connection(&self, id: &str) -> Option<Connection> {
        self.inner.registry.find(id).map(Connection::new)
    }

    /// A room's members at this instant, suspended ones included, in no particular order; none if
    /// the room does not exist.
    pub fn connections(&self, room: &str) -> Vec<Connection> {
        self.group(Kind::Room, room)
            .map_or_else(Vec::new, |group| Connection::all(group.snapshot()))
    }

    /// All connections at this instant, suspended ones included, in no particular order.
    pub fn all_connections(&self) -> Vec<Connection> {
        self.inner.registry.all().into_iter().map(Connection::new).collect()
    }

    /// The number of connections, suspended ones included.
    pub fn connection_count(&self) -> usize {
        self.inner.registry.connection_count()
    }

    /// The number of rooms; a room exists while it has members. It looks at each room: for a gauge
    /// now and then, not for a hot path.
    pub fn room_count(&self) -> usize {
        self.inner.registry.room_count()
    }

    /// All rooms that have members at this instant, in no particular order. It looks at each.
    pub fn rooms(&self) -> Vec<Room> {
        let groups = self.inner.registry.groups().occupied(Kind::Room);
        groups.into_iter().map(|group| Room::of(self.clone(), group)).collect()
    }

    /// A handle to the user of this id, whether it has connections or not.
    pub fn user(&self, id: impl AsRef<str>) -> User {
        User::new(self.clone(), id.as_ref().into())
    }

    /// All users who have connections at this instant, in no particular order. It looks at each.
    pub fn users(&self) -> Vec<User> {
        let groups = self.inner.registry.groups().occupied(Kind::User);
        groups.iter().map(|group| User::new(self.clone(), Arc::clone(group.name()))).collect()
    }

    /// The number of users who have connections. It looks at each.
    pub fn user_count(&self) -> usize {
        self.inner.registry.groups().count(Kind::User)
    }

    /// A handle to the room of this name, whether it has members or not.
    pub fn room(&self, id: impl AsRef<str>) -> Room {
        Room::new(self.clone(), id.as_ref().into())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("connections", &self.connection_count())
            .field("rooms", &self.room_count())
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
