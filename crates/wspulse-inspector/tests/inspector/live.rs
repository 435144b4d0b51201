//! What goes to open pages by itself, and that nothing does where there are none.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use wspulse::testing::{LiveClient, request_parts};
use wspulse::{Compression, Frame};
use wspulse_inspector::Inspector;

use crate::stage::{chat, join, open, page, stage, stage_of};

async fn tick(page: &LiveClient) -> Value {
    page.expect("tick").await.to_json().expect("JSON")
}

/// The messages of the next part of a tail.
async fn tail(page: &LiveClient) -> Vec<Value> {
    let told: Value = page.expect("tail").await.to_json().expect("JSON");
    told["messages"].as_array().expect("messages").clone()
}

#[tokio::test(start_paused = true)]
async fn an_open_page_is_told_each_second_what_the_server_has_and_has_done() {
    let test = open();
    let ann = join(&test, "ann", "ann", "lobby").await;
    let page = page(&test).await;
    let before = tick(&page).await;
    assert_eq!(
        (&before["connections"], &before["rooms"], &before["users"]),
        (&json!(1), &json!(1), &json!(1))
    );
    for _ in 0..3 {
        ann.send_json("said", "hello");
        ann.expect("said").await;
    }
    let after = tick(&page).await;
    let grown = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    assert_eq!((grown("received"), grown("sent"), grown("broadcasts")), (3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_tick_tells_what_compression_makes_of_messages() {
    let builder = chat().compression(Compression::shared());
    let test = stage_of(builder, Inspector::open_to_everyone);
    let page = page(&test).await;
    assert_eq!(tick(&page).await["sent_compressed"], json!({ "plain": 0, "wire": 0 }));
    let mut request = request_parts("/ws?id=ann&room=lobby");
    let offer = "permessage-deflate".parse().expect("a value");
    request.headers.insert("sec-websocket-extensions", offer);
    let accepted = test.server().handshake(request).unwrap().connect().await.expect("admitted");
    let (mut stream, theirs) = tokio::io::duplex(10_000);
    accepted.attach(theirs, &[]);
    let news = Frame::new("news").json(&vec![7; 300]).expect("JSON");
    test.server().broadcast("lobby", news).unwrap();
    // Header and payload, in one write.
    let wire = stream.read(&mut [0; 10_000]).await.expect("a message") - 2;
    let told = tick(&page).await;
    let plain = r#"{"event":"news","payload":[]}"#.len() + 300 + 299;
    assert_eq!(told["sent_compressed"], json!({ "plain": plain, "wire": wire }));
    assert_eq!(told["received_compressed"], json!({ "plain": 0, "wire": 0 }));
}

#[tokio::test(start_paused = true)]
async fn a_tick_times_broadcasts_and_counts_drops_by_reason() {
    let test = open();
    let ann = join(&test, "ann", "", "lobby").await;
    let page = page(&test).await;
    tick(&page).await;
    test.server().broadcast("lobby", Frame::new("news")).unwrap();
    ann.expect("news").await;
    let bob = join(&test, "bob", "", "tea").await;
    bob.link().cut();
    test.callbacks().expect_transport_drop("bob").await;
    for _ in 0..300 {
        test.server().broadcast("tea", Frame::new("news")).unwrap();
    }
    let told = tick(&page).await;
    let timed: u64 =
        told["latencies"].as_array().unwrap().iter().map(|one| one[1].as_u64().unwrap()).sum();
    assert!(timed > 0, "{told}");
    assert_eq!(told["dropped"]["evicted"], 300 - 256);
    assert_eq!(told["suspended"], 1);
    assert_eq!(told["waiting_frames"], 256);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_counted_once_the_last_page_is_gone() {
    let test = open();
    let ann = join(&test, "ann", "", "lobby").await;
    let (first, second) =
        (page(&test).await, test.client("other").connect("/some/where?live").await);
    tick(&first).await;
    first.close().await;
    ann.send_json("said", 1);
    ann.expect("said").await;
    tick(&second).await;
    second.close().await;
    test.pass(Duration::from_secs(2)).await;
    ann.send_json("said", 2);
    ann.expect("said").await;
    assert_eq!(test.server().watch().totals().received, 1);
}

#[tokio::test(start_paused = true)]
async fn a_tail_tells_events_and_lengths_and_no_payloads() {
    let test = open();
    let ann = join(&test, "ann", "", "lobby").await;
    let page = page(&test).await;
    page.send_json("tail", json!({ "id": "ann" }));
    tick(&page).await;
    ann.send(&Frame::new("said").with_id("7").json("secret").unwrap());
    ann.expect("said").await;
    let [came, went] = &*tail(&page).await else { panic!("two messages") };
    assert_eq!((&came["way"], &went["way"]), (&json!("in"), &json!("out")));
    assert_eq!((&came["event"], &came["id"]), (&json!("said"), &json!("7")));
    assert_eq!(went["bytes"], r#"{"event":"said","payload":"secret"}"#.len());
    assert!(!format!("{came}{went}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn payloads_are_told_where_that_is_allowed_and_cut_where_they_are_long() {
    let test = stage(|server| Inspector::open_to_everyone(server).show_payloads(true));
    let ann = join(&test, "ann", "", "lobby").await;
    let page = page(&test).await;
    page.send_json("tail", json!({ "id": "ann" }));
    tick(&page).await;
    let connection = test.server().connection("ann").unwrap();
    connection.send(Frame::new("short").json("secret").unwrap()).unwrap();
    connection.send(Frame::new("long").json(&"x".repeat(5000)).unwrap()).unwrap();
    ann.expect("long").await;
    let [short, long] = &*tail(&page).await else { panic!("two messages") };
    assert_eq!(short["payload"], r#""secret""#);
    let shown = long["payload"].as_str().unwrap();
    assert_eq!(shown.chars().count(), 513);
    assert!(shown.ends_with("x…"));
}

#[tokio::test(start_paused = true)]
async fn a_tail_of_much_says_how_much_is_left_out() {
    let test = open();
    let ann = join(&test, "ann", "", "lobby").await;
    let page = page(&test).await;
    page.send_json("tail", json!({ "id": "ann" }));
    tick(&page).await;
    let connection = test.server().connection("ann").unwrap();
    let (mut told, mut left_out) = (0, 0);
    // The first is told at once, and then no more for a while.
    connection.send(Frame::new("n")).unwrap();
    ann.expect("n").await;
    for _ in 0..20 {
        for _ in 0..100 {
            connection.send(Frame::new("n")).unwrap();
        }
        for _ in 0..100 {
            ann.expect("n").await;
        }
    }
    while told + left_out < 2001 {
        for message in tail(&page).await {
            told += 1;
            left_out += message["left_out"].as_u64().unwrap();
        }
    }
    assert_eq!(told + left_out, 2001);
    assert!(left_out > 1000, "{left_out}");
}

#[tokio::test(start_paused = true)]
async fn a_tail_ends_with_its_connection_and_another_takes_its_place() {
    let test = open();
    let ann = join(&test, "ann", "", "lobby").await;
    let bob = join(&test, "bob", "", "tea").await;
    let page = page(&test).await;
    page.send_json("tail", json!({ "id": "nobody" }));
    page.expect_json("tail_over", "nobody").await;
    page.send_json("tail", json!({ "id": "ann" }));
    page.send_json("tail", json!({ "id": "bob" }));
    tick(&page).await;
    ann.send_json("said", 1);
    ann.expect("said").await;
    bob.send_json("said", 2);
    bob.expect("said").await;
    let told: Value = page.expect("tail").await.to_json().unwrap();
    assert_eq!(told["id"], "bob");
    test.server().kick("bob").unwrap();
    page.expect_json("tail_over", "bob").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_page_says_that_is_nonsense_does_nothing() {
    let test = open();
    let page = page(&test).await;
    page.send_json("tail", 7);
    page.send_json("dance", "now");
    page.send_json("no_tail", ());
    // A text message, masked with zeros.
    page.send_raw(&b"\x81\x88\0\0\0\0no frame"[..]);
    tick(&page).await;
}
