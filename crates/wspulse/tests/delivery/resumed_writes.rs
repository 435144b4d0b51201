//! What a client gets that comes back is one write: what is said of its session, and what it missed.

use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::request_parts;
use wspulse::{Delivery, DuplicatePolicy, Server};
use wspulse_core::protocol::ResumeOffer;

use crate::support::clock::settle;
use crate::support::speaker::{ANN, JSON, Speaker, configured, event};
use crate::support::stage::Stage;
use crate::support::taker::Taker;

/// Comes back with these offers, and counts the writes until all is written.
async fn writes_of_a_return(server: &Server, offers: &[&str]) -> usize {
    let taker = Taker::default();
    let mut parts = request_parts(ANN);
    if !offers.is_empty() {
        parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers.join(", ").parse().unwrap());
    }
    let accepted = server.handshake(parts).unwrap().connect().await.unwrap();
    accepted.attach(taker.clone(), &[]);
    settle().await;
    assert_eq!(server.connection("ann").unwrap().outbound_stats().sent, 3, "all is written");
    taker.writes()
}

fn send_three(server: &Server) {
    for name in ["a", "b", "c"] {
        server.send("ann", event(name)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_and_what_waited_for_a_suspended_client_are_one_write() {
    let stage = Stage::new(configured);
    let (ann, hello) = Speaker::begin(&stage.server, ANN).await;
    drop(ann);
    settle().await;
    send_three(&stage.server);
    let resume = ResumeOffer { token: hello.token, count: 0 }.to_string();
    assert_eq!(writes_of_a_return(&stage.server, &[JSON, &resume]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_hello_and_what_a_silent_transport_has_taken_are_one_write() {
    let stage = Stage::new(configured);
    let (_silent, hello) = Speaker::begin(&stage.server, ANN).await;
    send_three(&stage.server);
    settle().await;
    let resume = ResumeOffer { token: hello.token, count: 0 }.to_string();
    assert_eq!(writes_of_a_return(&stage.server, &[JSON, &resume]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_and_what_a_silent_transport_has_taken_are_one_write() {
    let stage = Stage::new(|builder| {
        let builder = configured(builder).delivery(Delivery::AtLeastOnce);
        builder.duplicates(DuplicatePolicy::Resume).announce_sessions(true)
    });
    let _silent = Speaker::dial(&stage.server, ANN, &[]).await;
    send_three(&stage.server);
    settle().await;
    assert_eq!(writes_of_a_return(&stage.server, &[]).await, 1);
}
