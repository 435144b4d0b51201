//! A deploy that nobody waits for: the successor listens already when the predecessor is told to go.
//!
//! ```text
//! cargo run -p example-deploy [-- 127.0.0.1:3000 [seconds]]
//! examples/deploy/run    # one process after the other; Enter deploys
//! ```
//!
//! Both processes listen on one address (`SO_REUSEPORT`). On SIGTERM the predecessor takes nobody any
//! more, so that all who come are the successor's, and then sends away those it has, one after the
//! other over so many seconds. Behind a load balancer it goes on listening meanwhile, as in
//! docs/deploys.md.

use std::error::Error;
use std::net::SocketAddr;
use std::process;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use tokio::net::{TcpListener, TcpSocket};
use wspulse::router::{Json, Router as Events};
use wspulse::{Admission, Delivery, Rejection, Server, origin};

const BACKLOG: u32 = 1_024; // who has connected and is not accepted yet

fn room_server() -> Result<Server, Box<dyn Error>> {
    let events = Events::builder().on("which", || async { Json(process::id()) }).build()?;
    let builder = Server::builder_sync(|request| {
        let tab = request.query("tab").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").id(tab))
    });
    Ok(builder
        .router(events)
        .check_origin(origin::same_origin())
        .delivery(Delivery::ExactlyOnce) // clients know then what was handled and what was not
        .resume_window(Duration::from_secs(30))
        // The successor is there: nobody has to wait for it. Each comes back after this time, or up
        // to twice as much.
        .drain_retry(Duration::from_millis(250))
        .build()?)
}

fn app(server: Server) -> Router {
    let script = ([(CONTENT_TYPE, "text/javascript")], include_str!("../../chat/client.js"));
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/client.js", get(script)) // `@wspulse/client`, built
        .route_service("/ws", server)
}

/// Listens where another process may listen as well.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    #[cfg(unix)] // elsewhere, start the successor behind a proxy
    socket.set_reuseport(true)?;
    #[cfg(unix)] // and after a process whose connections are still ending
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What a service manager sends, or Ctrl-C.
async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init(); // `run` reads the other one
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let window = Duration::from_secs(arguments.next().as_deref().unwrap_or("5").parse()?);
    let server = room_server()?;
    let listener = listen(address.parse()?)?;
    println!("{} is ready, open http://{}/", process::id(), listener.local_addr()?);

    // Ends once it listens no more, and what was asked before is answered. WebSockets go on.
    let stopped = stop_signal();
    wspulse::serve(listener, app(server.clone())).with_graceful_shutdown(stopped).await?;
    println!("{} sends {} away", process::id(), server.connection_count());
    server.drain(window).await;
    println!("{} is done", process::id());
    Ok(())
}
