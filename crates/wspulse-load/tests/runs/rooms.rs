//! Who gets a copy.

use tokio::net::TcpListener;
use wspulse::{Admission, Server};

use crate::support::{assert_count, load, rooms};

#[tokio::test(flavor = "multi_thread")]
async fn each_member_of_a_room_counts_a_copy() {
    let url = rooms().await;

    let outcome = load(&url, "rooms = 2\nsenders = 1").await.expect("a run");

    // Two senders, ten messages each, three members in a room.
    assert_count(&outcome, "sent", 20);
    assert_count(&outcome, "expected", 60);
    assert_count(&outcome, "received", 60);
    assert_count(&outcome, "lost", 0);
    assert_count(&outcome, "stray", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_come_to_whom_they_are_not_meant_for_are_stray() {
    let url = rooms().await;

    let outcome = load(&url, "senders = 1\nfan-out = \"others\"").await.expect("a run");

    assert_count(&outcome, "received", 50);
    // The sender's own, which the server sends as well.
    assert_count(&outcome, "stray", 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_wspulse_gets_the_same_copies() {
    let url = rooms().await;

    let outcome = load(&url, "protocol = \"wspulse.1\"").await.expect("a run");

    assert_count(&outcome, "sent", 60);
    assert_count(&outcome, "received", 360);
    assert_count(&outcome, "unknown", 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_must_say_hello_first_is_ready_at_the_answer() {
    // Who says `enter` is in the room, and hears so.
    let server = Server::builder_sync(|request| {
        Ok(Admission::without_room().id(&*request.query("id").unwrap_or_default()))
    })
    .on_message(|conn, frame| async move {
        if frame.event() == "enter" {
            let _ = conn.join("hall");
            let _ = conn.send(frame.with_event("entered"));
        } else {
            let _ = conn.server().broadcast("hall", frame);
        }
    })
    .build()
    .expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/?id={{n}}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { wspulse::serve(listener, server).await });

    let file = "hello = ['{\"event\":\"enter\",\"payload\":{n}}']\nready = '\"entered\"'";
    let outcome = load(&url, file).await.expect("a run");

    assert_count(&outcome, "connected", 6);
    assert_count(&outcome, "lost", 0);
    assert_count(&outcome, "received", 360);
}
