//! A server behind nginx or `HAProxy`: it knows its clients' addresses, and they miss nothing when the
//! proxy is restarted.
//!
//! ```text
//! examples/proxies/run nginx      # or haproxy; Enter restarts the proxy
//! ```
//!
//! `nginx.conf` and `haproxy.cfg` beside are whole configurations to start from.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use wspulse::router::{Json, Router as Events, RouterError};
use wspulse::{Admission, Connection, Delivery, Frame, Rejection, Server, ServerBuilder, origin};

const ROOM: &str = "numbers";

fn builder() -> Result<ServerBuilder, RouterError> {
    Ok(Server::builder_sync(|request| {
        let tab = request.query("tab").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room(ROOM).id(tab))
    })
    .router(Events::builder().on("address", address).build()?)
    // All connections are the proxy's. It says whose they are, and overwrites what a client says of
    // itself: so nobody may reach this server around it.
    .peer_addr(|request| {
        let address: IpAddr = request.header("x-real-ip")?.parse().ok()?;
        Some(SocketAddr::new(address, 0))
    })
    .max_connections_per_addr(20)
    // The proxy passes the page's host on, or this would refuse the page.
    .check_origin(origin::same_origin())
    // Longer than a proxy needs to start, and shorter pings than its `timeout tunnel`, which is 75 s.
    .resume_window(Duration::from_secs(60))
    .heartbeat(Duration::from_secs(10), Duration::from_secs(30))
    .delivery(Delivery::ExactlyOnce))
}

/// From where a client comes, as the server sees it.
fn address(conn: Connection) -> Json<Option<IpAddr>> {
    Json(conn.peer_addr().map(|address| address.ip()))
}

/// Says a number a second. A page that has all of them has missed nothing.
async fn count(server: Server) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    for number in 1_u64.. {
        seconds.tick().await;
        if let Ok(frame) = Frame::new("number").json(&number) {
            let _ = server.broadcast(ROOM, frame);
        }
    }
}

fn app(server: Server) -> Router {
    let script = ([(CONTENT_TYPE, "text/javascript")], include_str!("../../chat/client.js"));
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/client.js", get(script)) // `@wspulse/client`, built
        .route_service("/ws", server)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let server = builder()?.build()?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?); // for the script
    tokio::spawn(count(server.clone()));
    wspulse::serve(listener, app(server))
        .max_pending_per_addr(usize::MAX) // the proxy is one address, and has a bound of its own
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
