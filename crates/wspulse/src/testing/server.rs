//! A server under test, in memory or on a free port.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tower_service::Service;

use super::callbacks::CallbackLog;
use super::dial::{Dial, exchange, whole};
use super::inbox::Inbox;
use super::link::Link;
use super::listener::{Dialler, memory_listener};
use super::pipe::LinkStream;
use super::recorder::Recorder;
use super::trace::Trace;
use crate::app::builder::ServerBuilder;
use crate::app::server::Server;
use crate::entry::serve::{Listener, Serve, serve};
use crate::settings::error::ConfigError;

/// How much longer than the clock's a time may take before the clock is taken for a real one.
const REAL: Duration = Duration::from_millis(900);

/// A server under test, with the application around it, served in memory or on a free port until it
/// and its links are dropped. Clients go the whole way in: HTTP, the application's routes, the connect function.
///
/// ```
/// use std::time::Duration;
/// use axum::Router;
/// use wspulse::testing::TestServer;
/// use wspulse::{Admission, Rejection, Server};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Server::builder_sync(|request| {
///     let user = request.query("user").ok_or_else(Rejection::unauthorized)?;
///     Ok(Admission::room("lobby").id(user))
/// })
/// .on_message(|conn, frame| drop(conn.room().broadcast(frame.with_event("said"))))
/// .resume_window(Duration::from_secs(30));
/// let test = TestServer::with_app(builder, |server| Router::new().route_service("/ws", server))?;
///
/// let mut ann = test.client("ann").connect("/ws?user=ann").await;
/// let bob = test.client("bob").connect("/ws?user=bob").await;
/// ann.link().cut();
/// test.callbacks().expect_transport_drop("ann").await;
/// bob.send_json("say", "where is she?");
/// ann.reconnect().await;
/// ann.expect_json("said", "where is she?").await;
/// test.metrics().expect("session_resumed lobby ann").await;
/// # Ok(())
/// # }
/// ```
///
/// An assertion waits until what it is about has come, at the longest for the
/// [patience](Self::patience). One that fails prints the [`Trace`].
#[derive(Debug)]
pub struct TestServer {
    server: Server,
    trace: Trace,
    callbacks: CallbackLog,
    metrics: Recorder,
    wires: Wires,
    serving: Serving,
}

/// Nothing is accepted any more once the last is dropped.
type Serving = Arc<AbortOnDropHandle<Result<(), ConfigError>>>;

/// Where the far ends of links go.
#[derive(Clone)]
enum Wires {
    Memory(Dialler<LinkStream>),
    Tcp { address: SocketAddr, relays: Arc<Mutex<JoinSet<()>>> },
}

impl TestServer {
    /// Serves in memory, at every path.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] of [`ServerBuilder::build`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn new(builder: ServerBuilder) -> Result<Self, ConfigError> {
        Self::with_app(builder, |server| server)
    }

    /// Serves an application around the server in memory: an axum `Router`, or any other tower
    /// service, as [`wspulse::serve`](crate::serve()) takes it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] of [`ServerBuilder::build`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn with_app<S, B>(
        builder: ServerBuilder,
        app: impl FnOnce(Server) -> S,
    ) -> Result<Self, ConfigError>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (dialler, listener) = memory_listener();
        Self::serving(builder, app, listener, Wires::Memory(dialler))
    }

    /// Serves an application on a free port of `127.0.0.1`. The kit's clients come over TCP, and
    /// their links fail as those in memory do; others find it at [`address`](Self::address). Time
    /// must be real: a paused clock does not wait for sockets.
    ///
    /// # Errors
    ///
    /// That of the socket, or [`ConfigError`] of [`ServerBuilder::build`], as `InvalidInput`.
    pub async fn on_free_port<S, B>(
        builder: ServerBuilder,
        app: impl FnOnce(Server) -> S,
    ) -> io::Result<Self>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let wires = Wires::Tcp { address: listener.local_addr()?, relays: Arc::default() };
        Self::serving(builder, app, listener, wires)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    /// Serves an application in memory whose server is built already. The callbacks and the metrics
    /// of that are not watched: assertions on them wait in vain.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn around<S, B>(server: Server, app: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let trace = Trace::new();
        let (callbacks, metrics) =
            (CallbackLog::new(trace.clone()), Recorder::new(trace.clone(), None));
        let (dialler, listener) = memory_listener();
        let serving = serve(listener, app).max_pending_per_addr(usize::MAX);
        let serving = Arc::new(AbortOnDropHandle::new(tokio::spawn(serving.into_future())));
        let wires = Wires::Memory(dialler);
        Self { server, trace, callbacks, metrics, wires, serving }
    }

    fn serving<S, B, L: Listener>(
        mut builder: ServerBuilder,
        app: impl FnOnce(Server) -> S,
        listener: L,
        wires: Wires,
    ) -> Result<Self, ConfigError>
    where
        Serve<L, S>: IntoFuture<Output = Result<(), ConfigError>, IntoFuture: Send + 'static>,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let trace = Trace::new();
        let callbacks = CallbackLog::new(trace.clone());
        callbacks.watch(&mut builder);
        let metrics = Recorder::new(trace.clone(), builder.metrics_mut().take());
        *builder.metrics_mut() = Some(Arc::new(metrics.clone()));
        let server = builder.build()?;
        // All clients of a test are one neighbour, who may be as many as he likes.
        let serving = serve(listener, app(server.clone())).max_pending_per_addr(usize::MAX);
        let serving = Arc::new(AbortOnDropHandle::new(tokio::spawn(serving.into_future())));
        Ok(Self { server, trace, callbacks, metrics, wires, serving })
    }

    /// How long each assertion waits for what it is about. 5 s by default, by the test's clock.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        self.trace.set_patience(patience);
        self
    }

    /// A client of this name, which is what the trace calls it, over a link of its own.
    pub fn client(&self, name: &str) -> Dial {
        Dial::new(self.inbox(name), self.link(name))
    }

    /// A link to the server for any other client: pass [`Link::dial`] to it, as to the `connector`
    /// of `wspulse-client`.
    pub fn link(&self, name: &str) -> Link {
        let (wires, serving) = (self.wires.clone(), Arc::clone(&self.serving));
        Link::new(name.to_owned(), self.trace.clone(), move |stream, address| {
            let _is_served = &serving;
            wires.take(stream, address)
        })
    }

    /// Assertions on what any other client has heard: call [`Inbox::hear`] for each frame.
    pub fn inbox(&self, name: &str) -> Inbox {
        Inbox::new(name.to_owned(), self.trace.clone())
    }

    /// Sends a request to the application, such as a login, and waits for the whole answer.
    ///
    /// # Panics
    ///
    /// If none comes within the [patience](Self::patience).
    pub async fn http(&self, request: Request<impl Into<Bytes>>) -> Response<Bytes> {
        let name = format!("{} {}", request.method(), request.uri());
        let (mut parts, body) = request.into_parts();
        parts.headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        let link = self.link(&name);
        let answer = async {
            let request = Request::from_parts(parts, Full::new(body.into()));
            let (answer, _serving) = exchange(&link, request).await?;
            whole(answer).await
        };
        let answered = timeout(self.trace.patience(), answer).await;
        let answer = answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.trace));
        self.trace.note("http", format_args!("{name}: {}", answer.status()));
        answer
    }

    /// Lets this time pass on the test's clock: whatever is due meanwhile happens, in its order. With
    /// a paused clock it takes no time.
    ///
    /// # Panics
    ///
    /// If the clock is not paused and this is a second or more: that would be a sleep.
    pub async fn pass(&self, time: Duration) {
        self.trace.note("clock", format_args!("{time:?} pass"));
        let began_at = std::time::Instant::now();
        tokio::time::sleep(time).await;
        let is_real = time > REAL && began_at.elapsed() > time.mul_f64(0.9);
        assert!(
            !is_real,
            "{time:?} of real time have passed: use #[tokio::test(start_paused = true)]"
        );
    }

    /// The server.
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Assertions on its callbacks.
    pub const fn callbacks(&self) -> &CallbackLog {
        &self.callbacks
    }

    /// Assertions on its metrics.
    pub const fn metrics(&self) -> &Recorder {
        &self.metrics
    }

    /// What has happened so far.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Its address, if it is on a port.
    pub const fn address(&self) -> Option<SocketAddr> {
        match &self.wires {
            Wires::Memory(_) => None,
            Wires::Tcp { address, .. } => Some(*address),
        }
    }
}

impl Wires {
    fn take(&self, stream: LinkStream, address: Option<SocketAddr>) -> io::Result<()> {
        match self {
            Self::Memory(dialler) => dialler.connect(stream, address),
            Self::Tcp { address, relays } => {
                relays.lock().spawn(relay(stream, *address));
                Ok(())
            }
        }
    }
}

/// Joins the far end of a link with a socket.
async fn relay(mut link: LinkStream, address: SocketAddr) {
    let Ok(mut socket) = TcpStream::connect(address).await else { return };
    let _ = socket.set_nodelay(true);
    let copied = copy_bidirectional(&mut link, &mut socket).await;
    if copied.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
        // The server sees a reset as well.
        let _ = socket.set_zero_linger();
    }
}

impl fmt::Debug for Wires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(_) => f.write_str("Memory"),
            Self::Tcp { address, .. } => f.debug_tuple("Tcp").field(address).finish(),
        }
    }
}
