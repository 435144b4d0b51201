//! A room server on hyper alone: an accept loop of one's own, and no framework.
//!
//! ```text
//! cargo run -p example-hyper [-- 127.0.0.1:3000]
//! ```
//!
//! `wspulse::serve` has such a loop, with more deadlines and bounds; take this where you have a loop
//! already.

use std::convert::Infallible;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use wspulse::http::Response;
use wspulse::{Admission, ConfigError, PeerAddr, Rejection, Server, origin};

/// Everybody is in one room, and hears what is said there.
fn room_server() -> Result<Server, ConfigError> {
    Server::builder_sync(|request| {
        let user = request.query("user").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").user(&*user))
    })
    .on_message(|conn, frame| {
        // An event of ours and no id: as it came, it could pass for one of the server's own frames.
        let _ = conn.room().broadcast(frame.with_event("said").with_id(""));
    })
    .check_origin(origin::same_origin())
    .max_message_size(16 * 1024)
    .max_connections_per_addr(100)
    .build()
}

async fn route(server: Server, request: Request<Incoming>) -> Response {
    match (request.method(), request.uri().path()) {
        (_, "/ws") => server.serve(request).await,
        (&Method::GET, "/") => {
            let mut page = Response::new(Bytes::from_static(include_bytes!("index.html")).into());
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            page.headers_mut().insert(CONTENT_TYPE, html);
            page
        }
        _ => {
            let mut missing = Response::default();
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    }
}

/// Runs until it is dropped.
async fn accept(listener: TcpListener, server: Server) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(talk(stream, PeerAddr(peer), server.clone()));
            }
            // Out of file descriptors, or the peer has gone already: neither is a reason to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// HTTP on one connection, until it is a WebSocket, and the room server's.
async fn talk(stream: TcpStream, peer: PeerAddr, server: Server) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer); // for `max_connections_per_addr`, and for you
        let server = server.clone();
        async move { Ok::<_, Infallible>(route(server, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10)) // for those who never finish their request
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades(); // without this, no WebSocket comes up
    let _ = connection.await; // a peer that breaks HTTP, or goes
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let server = room_server()?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("open http://{}/", listener.local_addr()?);
    tokio::select! {
        () = accept(listener, server.clone()) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    server.close().await; // clients are told; callbacks finish
    Ok(())
}

#[cfg(test)]
mod tests;
