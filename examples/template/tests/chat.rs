//! Tests of a chat, to begin with: the page docs/testing.md goes through them.

use std::time::Duration;

use http::{Request, StatusCode};
use my_chat::{app, builder};
use serde_json::json;
use wspulse::testing::{Fault, LiveClient, TestServer, Way, play};
use wspulse::{CallbackKind, Disconnect, Server};
use wspulse_client::Client;

/// Your application, in memory.
fn chat() -> TestServer {
    TestServer::with_app(builder(), app).expect("the options are valid")
}

/// Somebody who has logged in, in a room.
async fn enter(test: &TestServer, user: &str, room: &str) -> LiveClient {
    let login = Request::post("/login").body(user.to_owned()).expect("a request");
    let answer = test.http(login).await;
    let token = str::from_utf8(answer.body()).expect("a token");
    test.client(user).connect(&format!("/ws?token={token}&room={room}")).await
}

#[tokio::test(start_paused = true)]
async fn what_is_said_in_a_room_is_heard_there_and_nowhere_else() {
    let test = chat();
    let ann = enter(&test, "ann", "tea").await;
    let bob = enter(&test, "bob", "tea").await;
    let eve = enter(&test, "eve", "coffee").await;

    ann.send_json("say", json!({ "text": "hello" }));

    bob.expect_json("said", json!({ "from": "ann", "text": "hello" })).await;
    eve.refute("said").await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_refused() {
    let test = chat();

    let answer = test.client("eve").refused("/ws?token=stolen").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);

    let page = test.client("eve").header("origin", "https://evil.example");
    let answer = page.refused("/ws?token=token-of-ann").await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_after_a_cut_has_missed_nothing() {
    let test = chat();
    let mut ann = enter(&test, "ann", "tea").await;
    let bob = enter(&test, "bob", "tea").await;

    ann.link().cut();
    test.callbacks().expect_transport_drop("ann").await;
    bob.send_json("say", json!({ "text": "where are you?" }));
    bob.expect("said").await;
    ann.reconnect().await;

    ann.expect_json("said", json!({ "from": "bob", "text": "where are you?" })).await;
    test.metrics().expect("session_resumed tea ann").await;
}

#[tokio::test(start_paused = true)]
async fn who_stays_away_for_longer_than_the_window_has_left() {
    let test = chat();
    let ann = enter(&test, "ann", "tea").await;

    ann.link().fail(Fault::Down);
    test.pass(Duration::from_secs(29)).await;
    test.callbacks().refute(CallbackKind::Disconnect, "ann").await;
    test.pass(Duration::from_secs(1)).await;

    let end = test.callbacks().expect_disconnect("ann").await;
    assert!(matches!(end, Disconnect::GraceExpired(_)), "{end}");
    assert_eq!(test.server().room_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_in_a_tunnel_arrives_behind_it() {
    let test = chat();
    let ann = enter(&test, "ann", "tea").await;

    ann.link().fail(Fault::Silence);
    ann.send_json("say", json!({ "text": "can you hear me?" }));
    ann.refute("said").await;
    ann.link().restore();

    ann.expect("said").await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_cut_in_the_middle_is_told_again() {
    let test = chat();
    let mut ann = enter(&test, "ann", "tea").await;
    let bob = enter(&test, "bob", "tea").await;

    ann.link().fail_mid_frame(Way::Down, Fault::Reset);
    bob.send_json("say", json!({ "text": "a long story" }));
    ann.expect_lost().await;
    ann.reconnect().await;

    ann.expect_json("said", json!({ "from": "bob", "text": "a long story" })).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_tells_everybody_to_come_back() {
    let test = chat();
    let ann = enter(&test, "ann", "tea").await;

    test.server().close().await;

    let close = ann.expect_close().await.expect("a code");
    assert_eq!(close.code().as_u16(), 1001);
}

#[test]
fn nothing_is_lost_whatever_the_link_does() {
    play(50, |mut dice| async move {
        let test = chat();
        let mut ann = enter(&test, "ann", "tea").await;
        let bob = enter(&test, "bob", "tea").await;
        for number in 0..10 {
            bob.send_json("say", json!({ "text": number.to_string() }));
            dice.disturb(ann.link()).await;
            ann.reconnect().await;
        }
        for number in 0..10 {
            ann.expect_json("said", json!({ "from": "bob", "text": number.to_string() })).await;
        }
    });
}

#[test]
fn with_the_client_of_this_project_nothing_comes_twice_either() {
    play(20, |mut dice| async move {
        let test = chat();
        let bob = enter(&test, "bob", "tea").await;
        let (link, heard) = (test.link("ann"), test.inbox("ann"));
        let (dialled, inbox) = (link.clone(), heard.clone());
        let (ann, _messages) = Client::builder("ws://localhost/ws?token=token-of-ann&room=tea")
            .connector(move |_| std::future::ready(dialled.dial()))
            .on_message(move |frame| inbox.hear(frame))
            .backoff(Duration::from_millis(100), Duration::from_secs(1))
            .connect()
            .expect("a valid target");
        ann.connected().await.expect("it is let in");

        for number in 0..10 {
            bob.send_json("say", json!({ "text": number.to_string() }));
            dice.disturb(&link).await;
            let said = json!({ "from": "bob", "text": number.to_string() });
            heard.expect_json("said", said).await;
        }
        heard.refute("said").await;
    });
}

#[tokio::test]
async fn over_tcp_it_is_the_same() {
    let test = TestServer::on_free_port(builder(), app).await.expect("a free port");
    let ann = enter(&test, "ann", "tea").await;
    println!("others connect to ws://{}/ws", test.address().expect("it has one"));

    ann.send_json("say", json!({ "text": "hello" }));

    ann.expect("said").await;
}

#[tokio::test(start_paused = true)]
async fn a_part_is_tested_without_the_rest() {
    let test = TestServer::new(builder().max_connections(1)).expect("the options are valid");
    let _ann = test.client("ann").connect("/?token=token-of-ann").await;

    let answer = test.client("bob").refused("/?token=token-of-bob").await;

    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let _: &Server = test.server();
}
