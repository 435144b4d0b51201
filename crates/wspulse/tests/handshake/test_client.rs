//! The client for the tests of applications: what it says in its handshake, what it is told, and
//! that nobody waits for it.

use std::net::SocketAddr;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use tokio::time::{Duration, Instant};
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Admission, PeerAddr, Rejection, Server};

#[tokio::test(start_paused = true)]
async fn a_server_does_not_wait_for_a_client_that_has_seen_its_close() {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby"))).build().unwrap();
    let mut client = TestClient::connect(&server, "/ws").await.unwrap();
    let begun = Instant::now();
    let ((), closed) = tokio::join!(server.close(), client.closed());
    assert_eq!(closed.unwrap().unwrap().code().as_u16(), 1001);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_header_and_an_address_reach_the_connect_function() {
    let server = Server::builder_sync(|request| {
        let token = request.header("authorization").ok_or_else(Rejection::unauthorized)?;
        let address = request.peer_addr().ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room("lobby").id(format!("{token} {address}")))
    })
    .build()
    .unwrap();
    let mut parts = request_parts("/ws");
    parts.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer ann"));
    parts.extensions.insert(PeerAddr(SocketAddr::from(([192, 0, 2, 1], 7))));
    let _client = TestClient::connect_with(&server, parts).await.unwrap();
    assert!(server.connection("Bearer ann 192.0.2.1:7").is_some());
}

#[tokio::test]
async fn a_refusal_tells_its_status_and_its_text() {
    let refuse = || Rejection::with_status(StatusCode::CONFLICT, "busy");
    let server = Server::builder_sync(move |_| Err(refuse())).build().unwrap();
    let refused = TestClient::connect(&server, "/ws").await.unwrap_err();
    assert_eq!((refused.status(), refused.body()), (StatusCode::CONFLICT, "busy\n".into()));
}
