//! An HTTP server for strangers: whatever a client does before it has a WebSocket has a limit.
//!
//! [`serve`](crate::serve()) accepts connections and has a tower service, such as an axum `Router`
//! or a [`Server`](crate::Server), answer their requests. What it adds to a plain accept loop is
//! what keeps that alive where anybody may connect: deadlines for requests and responses, a bound
//! for each address on connections without a WebSocket, bounded heads, and an accept loop that
//! outlives errors.

mod accept;
mod http;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod listener;
mod options;
mod own_task;
mod pending;
mod socket;
#[cfg(feature = "rustls")]
pub mod tls;

use std::error::Error;
use std::fmt;
use std::future::{IntoFuture, pending};
use std::pin::Pin;
use std::time::Duration;

use ::http::{Request, Response};
use hyper::body::{Body, Incoming};
use tower_service::Service;

use crate::ground::BoxFuture;
use crate::settings::error::ConfigError;
use accept::AcceptLoop;
#[cfg(feature = "http2")]
pub use http2::Http2;
pub use listener::Listener;
use options::ServeOptions;
#[cfg(all(test, shuttle))]
pub(crate) use own_task::Place;

/// Serves HTTP/1 on a listener, safely where strangers connect: see [`Serve`] for the limits and
/// their defaults.
///
/// The service is any tower service of HTTP requests that can be cloned: an axum `Router`, or a
/// [`Server`](crate::Server) alone. Each request has the peer's address in its extensions, as
/// [`PeerAddr`](crate::PeerAddr).
///
/// ```no_run
/// # async fn run(server: wspulse::Server) -> Result<(), Box<dyn std::error::Error>> {
/// let app = axum::Router::new().route_service("/ws", server.clone());
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:3000").await?;
/// wspulse::serve(listener, app)
///     .with_graceful_shutdown(async move {
///         let _ = tokio::signal::ctrl_c().await;
///         server.close().await;
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
pub fn serve<L, S, B>(listener: L, service: S) -> Serve<L, S>
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    Serve {
        listener,
        service,
        options: ServeOptions::default(),
        shutdown: Box::pin(pending::<()>()),
    }
}

/// What [`serve`](crate::serve()) will do once it is awaited, and its options.
///
/// It accepts on a task of the runtime, whichever thread it is awaited on.
///
/// Awaiting it serves until the [shutdown](Self::with_graceful_shutdown) that it was given; without
/// one, for ever: errors in accepting are logged, waited out and outlived, whether it is a single
/// connection that failed or all file descriptors that are in use.
///
/// Its times count while the server runs: of one in which its process was stopped, or its machine
/// was suspended, a few seconds count at the most.
///
/// # Errors
///
/// Awaiting it returns [`ConfigError`], naming the option, its value and the rule, for the first
/// option that is out of its range, before anything is accepted.
///
/// # Cancel safety
///
/// Dropping the future closes the listener and every connection that has no WebSocket yet. Those
/// that have one belong to their [`Server`](crate::Server).
#[must_use = "nothing is served until it is awaited"]
pub struct Serve<L, S> {
    listener: L,
    service: S,
    options: ServeOptions,
    shutdown: BoxFuture<()>,
}

impl<L, S> Serve<L, S> {
    /// How long the head of a request may take: the first from the moment of the accept on, each
    /// further one of a connection that is kept alive from the end of the response before it. A
    /// client that has not sent all of it by then, however it spreads its bytes, is cut off; so an
    /// idle connection is closed after this time. Default 10 s, at most 5 min.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.options.handshake_timeout = timeout;
        self
    }

    /// How long a connection may last after the head of a request without either a WebSocket or
    /// the head of another one: it bounds the service's own time, a request body that drips, and a
    /// client that does not read its response. Default 60 s, at most 24 h; `None` for no limit,
    /// which downloads, server-sent events and long polling may need.
    ///
    /// Give the connect function no longer than this:
    /// [`connect_timeout`](crate::ServerBuilder::connect_timeout).
    pub const fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.request_timeout = timeout;
        self
    }

    /// How many connections without a WebSocket one IP address may have: those that wait for a
    /// request, are being answered or are kept alive. What comes beyond is closed right after the
    /// accept, with a warning in the log every 10 s at most. IPv6 addresses that share their first
    /// 64 bits count as one. Default 128, with [`http2`](Self::http2) no less than one connection may
    /// have streams, which is 256 by default; at least 1.
    ///
    /// Behind a proxy every client has the proxy's address: raise this to what the proxy may open
    /// at once, and let the proxy limit each client.
    pub const fn max_pending_per_addr(mut self, connections: usize) -> Self {
        self.options.pending_per_addr_max = Some(connections);
        self
    }

    /// How many bytes the head of a request may have, request line included. It is also the most
    /// that is buffered of one, but for 8 KiB that always are. Above it the answer is 431, and the
    /// connection is closed. Default 16 KiB, at least 1 KiB, at most 1 MiB, as that of
    /// [`ServerBuilder`](crate::ServerBuilder::max_request_header_bytes).
    pub const fn max_request_header_bytes(mut self, bytes: usize) -> Self {
        self.options.request_header_bytes_max = bytes;
        self
    }

    /// How many header fields a request may have. Above it the answer is 431, and the connection
    /// is closed. Default 100, at least 5, at most 1,024, as that of
    /// [`ServerBuilder`](crate::ServerBuilder::max_request_headers).
    pub const fn max_request_headers(mut self, headers: usize) -> Self {
        self.options.request_headers_max = headers;
        self
    }

    /// Whether small writes go out at once (`TCP_NODELAY`). Default: yes. It matters to plain HTTP
    /// responses; connections that have become WebSockets have it in any case.
    pub const fn tcp_nodelay(mut self, nodelay: bool) -> Self {
        self.options.socket.nodelay = nodelay;
        self
    }

    /// Has the system probe connections that were silent for so long (`SO_KEEPALIVE`); on Linux it
    /// gives them up when three probes, a third of this time apart, stay unanswered. Default:
    /// `None`, off, since WebSockets have their own [heartbeat](crate::ServerBuilder::heartbeat).
    /// At least 1 s, at most 9 h, which is about the most that Linux takes.
    pub const fn tcp_keepalive(mut self, idle: Option<Duration>) -> Self {
        self.options.socket.keepalive = idle;
        self
    }

    /// How long the system waits for what it has sent to be acknowledged before it gives the
    /// connection up (`TCP_USER_TIMEOUT`, RFC 5482). Default: `None`, the system's own, which on
    /// Linux is about 15 min. At least 1 s, at most 24 h. Only Linux and Android know it; elsewhere
    /// it does nothing.
    ///
    /// A peer that vanishes is noticed by the heartbeat all the same. This also frees what the
    /// kernel holds for it, and should not be shorter than the pong timeout.
    pub const fn tcp_user_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.options.socket.user_timeout = timeout;
        self
    }

    /// Whether lines of the log hold the peer's address: those at DEBUG of connections that failed, and
    /// the warning of [`max_pending_per_addr`](Self::max_pending_per_addr). Default: no, since
    /// addresses are personal data.
    pub const fn log_peer_addrs(mut self, logs: bool) -> Self {
        self.options.logs_peer_addrs = logs;
        self
    }

    /// Speaks HTTP/2 as well, within these bounds (feature `http2`): with clients that begin with its
    /// preface (RFC 9113 §3.4), be it that they know or that TLS has told them. Browsers then open
    /// WebSockets in the connection that they have (RFC 8441). Default: HTTP/1.1 alone.
    ///
    /// What is said here of a connection without a WebSocket then holds for each stream without one:
    /// it has the [`request_timeout`](Self::request_timeout), and takes one of
    /// [`max_pending_per_addr`](Self::max_pending_per_addr); without a place its stream is refused
    /// (`REFUSED_STREAM`), so that its client may repeat it. A connection without any stream takes one as
    /// well, and has the [`handshake_timeout`](Self::handshake_timeout) to open the next.
    ///
    /// All requests of a connection are answered on one task: one that blocks its thread holds up the
    /// others.
    #[cfg(feature = "http2")]
    pub fn http2(mut self, http2: Http2) -> Self
    where
        L: Listener,
    {
        self.listener.offer_http2();
        self.options.http2 = Some(http2);
        self
    }

    /// Stops once this future is ready: closes the listener, lets the requests that are being
    /// answered come to their end, up to the [drain timeout](Self::drain_timeout), and returns.
    /// WebSockets are not waited for: [`Server::close`](crate::Server::close) does that, and is
    /// best awaited within this future.
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.shutdown = Box::pin(signal);
        self
    }

    /// How long a shutdown waits for requests that are being answered before it cuts them off.
    /// Default 10 s, at most 1 h.
    pub const fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.options.drain_timeout = timeout;
        self
    }
}

impl<L, S, B> IntoFuture for Serve<L, S>
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<(), ConfigError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<(), ConfigError>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { listener, service, options, shutdown } = self;
        Box::pin(async move {
            options.check()?;
            AcceptLoop::new(listener, service, &options).run(shutdown).await;
            Ok(())
        })
    }
}

impl<L, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("options", &self.options).finish_non_exhaustive()
    }
}
