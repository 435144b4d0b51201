//! Serving in tests, with options.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wspulse::ConfigError;
use wspulse::serve::Serve;
use wspulse::testing::{Dialler, MemoryListener, memory_listener};

/// Serves in memory, with these options.
pub(crate) fn serve_in_memory(
    app: Router,
    configure: impl FnOnce(Serve<MemoryListener, Router>) -> Serve<MemoryListener, Router>,
) -> (Dialler, JoinHandle<Result<(), ConfigError>>) {
    let (dialler, listener) = memory_listener();
    let serve = configure(wspulse::serve(listener, app));
    (dialler, tokio::spawn(serve.into_future()))
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
