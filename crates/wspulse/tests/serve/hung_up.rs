//! A client that has hung up before a busy server has read its handshake. It may be there already, by its
//! next attempt.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use axum::Router;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpListener;
use wspulse::testing::{Dialler, TestClient, memory_listener, request_head};
use wspulse::{Delivery, DuplicatePolicy, Server};
use wspulse_core::protocol::ResumeOffer;

use crate::support::clients::echoes;
use crate::support::clock::{WINDOW, settle};
use crate::support::house::echo;
use crate::support::speaker::{JSON, Speaker, frame};

const ANN: &str = "/ws?id=ann";

async fn come(address: SocketAddr, target: &str) -> TestClient<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let mut client = TestClient::new(stream);
    client.write_raw(request_head(target).as_bytes()).await.expect("it is read");
    let head = client.read_response_head().await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

/// Asks to come in and hangs up, while the server, which has this thread, reads nothing.
fn come_and_hang_up(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("room in the queue");
    stream.write_all(request_head(ANN).as_bytes()).expect("room in the socket");
}

async fn goes_on_beside_one_that_has_hung_up(address: SocketAddr) {
    let mut ann = come(address, ANN).await;
    echoes(&mut ann, 1).await;
    come_and_hang_up(address);
    // Whoever comes behind it is let in, so it was read.
    let mut bob = come(address, "/ws?id=bob").await;
    echoes(&mut bob, 1).await;
    echoes(&mut ann, 2).await;
}

fn servers() -> [Server; 2] {
    [DuplicatePolicy::Replace, DuplicatePolicy::Resume].map(|policy| {
        let builder = echo().resume_window(WINDOW).duplicates(policy);
        builder.build().expect("valid options")
    })
}

#[tokio::test]
async fn a_client_that_has_hung_up_replaces_nobody() {
    for server in servers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let serving = tokio::spawn(wspulse::serve(listener, server).into_future());
        goes_on_beside_one_that_has_hung_up(address).await;
        serving.abort();
    }
}

#[tokio::test]
async fn a_client_that_has_hung_up_replaces_nobody_under_axums_server() {
    for server in servers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let app = Router::new().route_service("/ws", server);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        goes_on_beside_one_that_has_hung_up(address).await;
        serving.abort();
    }
}

/// Asks to come in with these offers, in memory.
async fn ask(dialler: &Dialler, offers: &str) -> DuplexStream {
    let (mut near, far) = duplex(1_024);
    dialler.connect(far, None).expect("it listens");
    let head = request_head(ANN);
    let head = head.trim_end();
    let head = format!("{head}\r\nSec-WebSocket-Protocol: {offers}\r\n\r\n");
    near.write_all(head.as_bytes()).await.expect("room for it");
    near
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_hung_up_takes_no_session_away_by_its_token() {
    let builder = echo().delivery(Delivery::ExactlyOnce).resume_window(WINDOW);
    let server = builder.build().expect("valid options");
    let (dialler, listener) = memory_listener();
    let serving = tokio::spawn(wspulse::serve(listener, server).into_future());
    let mut client = TestClient::new(ask(&dialler, JSON).await);
    client.read_response_head().await.expect("an answer");
    let mut ann = Speaker { client };
    // What she has heard last is good until she has spoken.
    let token = ann.hello().await.token;
    let resume = ResumeOffer { token, count: 0 };
    drop(ask(&dialler, &format!("{JSON}, {resume}")).await);
    settle().await;
    ann.say("still here").await;
    assert_eq!(ann.hear().await, frame("still here"));
    serving.abort();
}
