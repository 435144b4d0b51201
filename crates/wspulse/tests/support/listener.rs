//! Serving in tests: a listener in memory, for virtual time, and one on a socket.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::io::{DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wspulse::ConfigError;
use wspulse::serve::{Listener, Serve};

type Arrival = io::Result<(DuplexStream, Option<SocketAddr>)>;

/// Accepts what it is given, in memory.
pub(crate) struct MemoryListener {
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

impl Listener for MemoryListener {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> Arrival {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            None => std::future::pending().await,
        }
    }
}

/// The clients' side of a [`MemoryListener`].
pub(crate) struct Dialler {
    arrivals: mpsc::UnboundedSender<Arrival>,
}

impl Dialler {
    /// Connects from no address in particular.
    pub(crate) fn dial(&self) -> DuplexStream {
        self.dial_with_capacity(64 * 1024)
    }

    /// Connects over a stream that holds so many bytes each way.
    pub(crate) fn dial_with_capacity(&self, bytes: usize) -> DuplexStream {
        self.connect(bytes, None)
    }

    /// Connects from an address.
    pub(crate) fn dial_from(&self, address: &str) -> DuplexStream {
        self.connect(64 * 1024, Some(address.parse().expect("an address and a port")))
    }

    /// Has the next accept fail.
    pub(crate) fn fail(&self, error: io::Error) {
        self.arrivals.send(Err(error)).expect("it serves");
    }

    fn connect(&self, bytes: usize, address: Option<SocketAddr>) -> DuplexStream {
        let (ours, theirs) = duplex(bytes);
        self.arrivals.send(Ok((theirs, address))).expect("it serves");
        ours
    }
}

/// Serves in memory, with these options.
pub(crate) fn serve_in_memory(
    app: Router,
    configure: impl FnOnce(Serve<MemoryListener, Router>) -> Serve<MemoryListener, Router>,
) -> (Dialler, JoinHandle<Result<(), ConfigError>>) {
    let (dialler, listener) = memory_listener();
    let serve = configure(wspulse::serve(listener, app));
    (dialler, tokio::spawn(serve.into_future()))
}

/// A listener in memory, and who dials it.
pub(crate) fn memory_listener() -> (Dialler, MemoryListener) {
    let (arrivals, receiver) = mpsc::unbounded_channel();
    (Dialler { arrivals }, MemoryListener { arrivals: receiver })
}

/// Serves over a socket on a free port, with these options, until the test ends.
pub(crate) async fn serve_over_tcp(
    app: Router,
    configure: impl FnOnce(Serve<TcpListener, Router>) -> Serve<TcpListener, Router>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(configure(wspulse::serve(listener, app)).into_future());
    address
}
