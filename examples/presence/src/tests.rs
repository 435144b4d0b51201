use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use wspulse::testing::{Fault, LiveClient, TestServer};

use super::{app, builder};

fn house() -> TestServer {
    let builder = builder().expect("the routes are valid");
    TestServer::with_app(builder, app).expect("the options are valid")
}

async fn enter(test: &TestServer, user: &str, tab: &str) -> LiveClient {
    let target = format!("/ws?user={user}&tab={tab}&room=tea");
    test.client(&format!("{user}/{tab}")).connect(&target).await
}

/// What is told next, without its number.
async fn told(client: &LiveClient) -> Value {
    let mut told: Value = client.expect("presence").await.to_json().expect("JSON");
    let members = told.as_object_mut().expect("an object");
    members.remove("seq").and(members.remove("room")).expect("both are there");
    told
}

fn changes(people: Value) -> Value {
    json!({ "changes": people })
}

async fn who(test: &TestServer) -> Value {
    let answer = test.http(Request::get("/who/tea").body("").expect("a request")).await;
    serde_json::from_slice(answer.body()).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_link_is_away_and_then_here_again() {
    let test = house();
    let ann = enter(&test, "ann", "1").await;
    assert_eq!(told(&ann).await, json!({ "people": [{ "user": "ann", "state": "here" }] }));
    let mut bob = enter(&test, "bob", "1").await;
    assert_eq!(told(&ann).await, changes(json!([{ "user": "bob", "state": "here" }])));

    bob.link().cut();
    assert_eq!(told(&ann).await, changes(json!([{ "user": "bob", "state": "away" }])));
    bob.reconnect().await;
    assert_eq!(told(&ann).await, changes(json!([{ "user": "bob", "state": "here" }])));
}

#[tokio::test(start_paused = true)]
async fn who_stays_away_for_too_long_is_gone() {
    let test = house();
    let ann = enter(&test, "ann", "1").await;
    let bob = enter(&test, "bob", "1").await;
    bob.link().fail(Fault::Down);
    test.pass(Duration::from_secs(1)).await;
    let away = json!([{ "user": "ann", "state": "here" }, { "user": "bob", "state": "away" }]);
    assert_eq!(who(&test).await, away);

    test.pass(Duration::from_secs(15)).await;

    assert_eq!(who(&test).await, json!([{ "user": "ann", "state": "here" }]));
    drop(ann);
}

#[tokio::test(start_paused = true)]
async fn who_closes_the_last_of_two_tabs_is_gone_at_once() {
    let test = house();
    let ann = enter(&test, "ann", "1").await;
    told(&ann).await;
    let (first, second) = (enter(&test, "bob", "1").await, enter(&test, "bob", "2").await);
    assert_eq!(told(&ann).await, changes(json!([{ "user": "bob", "state": "here" }])));

    first.close().await;
    ann.refute("presence").await;
    second.close().await;

    assert_eq!(told(&ann).await, changes(json!([{ "user": "bob", "state": "gone" }])));
}

#[tokio::test(start_paused = true)]
async fn who_types_is_seen_typing() {
    let test = house();
    let ann = enter(&test, "ann", "1").await;
    told(&ann).await;

    ann.send_json("typing", true);
    let typing = json!([{ "user": "ann", "state": "here", "meta": "typing" }]);
    assert_eq!(told(&ann).await, changes(typing));
    ann.send_json("typing", false);
    assert_eq!(told(&ann).await, changes(json!([{ "user": "ann", "state": "here" }])));
}

#[tokio::test(start_paused = true)]
async fn who_asks_gets_the_whole_list_again() {
    let test = house();
    let ann = enter(&test, "ann", "1").await;
    told(&ann).await;

    ann.send(&wspulse::Frame::new("who"));

    assert_eq!(told(&ann).await, json!({ "people": [{ "user": "ann", "state": "here" }] }));
}
