//! What is listed, what is found, and in which order.

use std::time::Duration;

use serde_json::json;
use wspulse::Frame;
use wspulse::testing::TestServer;

use crate::stage::{WINDOW, answer, column, get, join, json, open};

#[tokio::test(start_paused = true)]
async fn the_page_and_its_files_have_one_path() {
    let test = open();
    let kind = async |wanted: &str| {
        let response = answer(&test, get(wanted)).await;
        assert_eq!(response.status(), 200, "{wanted}");
        response.headers()["content-type"].to_str().unwrap().to_owned()
    };
    assert_eq!(kind("").await, "text/html; charset=utf-8");
    assert_eq!(kind("style.css").await, "text/css; charset=utf-8");
    for script in ["app.js", "charts.js", "lists.js", "live.js", "detail.js", "dom.js"] {
        assert_eq!(kind(script).await, "text/javascript; charset=utf-8");
    }
    assert_eq!(answer(&test, get("unknown.js")).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_listed_with_what_it_has() {
    let test = open();
    let ann = join(&test, "1", "ann", "lobby").await;
    ann.send_json("said", "hello");
    ann.expect("said").await;
    let list = json(&test, "connections").await;
    let row = &list["rows"][0];
    assert_eq!((&list["total"], &list["found"]), (&json!(1), &json!(1)));
    for (name, value) in [
        ("id", json!("1")),
        ("user", json!("ann")),
        ("room", json!("lobby")),
        ("state", json!("connected")),
        ("address", json!("192.0.2.7:50000")),
        ("waiting", json!(0)),
        ("sent", json!(1)),
        ("received", json!(1)),
        ("dropped", json!(0)),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_found_by_id_person_room_and_address_whatever_the_case() {
    let test = open();
    let _clients = [
        join(&test, "one", "Ann", "Lobby").await,
        join(&test, "two", "Bob", "tea").await,
        test.client("three").from("198.51.100.9:4").connect("/ws?id=three&room=tea").await,
    ];
    for (search, ids) in [
        ("ONE", vec!["one"]),
        ("bob", vec!["two"]),
        ("lob", vec!["one"]),
        ("TEA", vec!["three", "two"]),
        ("198.51", vec!["three"]),
        ("nobody", vec![]),
        ("", vec!["one", "three", "two"]),
    ] {
        let list = json(&test, &format!("connections&search={search}")).await;
        assert_eq!(column(&list, "id"), ids, "{search}");
        assert_eq!(list["total"], 3);
    }
    let of_room = json(&test, "connections&room=tea").await;
    assert_eq!(column(&of_room, "id"), ["three", "two"]);
    let of_user = json(&test, "connections&user=Ann").await;
    assert_eq!(column(&of_user, "id"), ["one"]);
    let of_both = json(&test, "connections&user=Ann&room=tea").await;
    assert_eq!(column(&of_both, "id"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_somebody_who_is_away_is_told_and_sorted_by() {
    let test = open();
    let _ann = join(&test, "ann", "", "lobby").await;
    let bob = join(&test, "bob", "", "lobby").await;
    bob.link().cut();
    test.callbacks().expect_transport_drop("bob").await;
    for _ in 0..3 {
        test.server().broadcast("lobby", Frame::new("news")).unwrap();
    }
    let list = json(&test, "connections&sort=most").await;
    assert_eq!(column(&list, "id"), ["bob", "ann"]);
    assert_eq!(column(&list, "waiting"), ["3", "0"]);
    let suspended = json(&test, "connections&state=suspended").await;
    assert_eq!(column(&suspended, "id"), ["bob"]);
    let connected = json(&test, "connections&state=connected").await;
    assert_eq!(column(&connected, "id"), ["ann"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_list_comes_page_by_page() {
    let test = open();
    let mut clients = Vec::new();
    for number in 0..120 {
        clients.push(join(&test, &format!("c{number:03}"), "", "lobby").await);
    }
    let mut ids = Vec::new();
    for from in ["0", "50", "100"] {
        let list = json(&test, &format!("connections&sort=name&from={from}")).await;
        assert_eq!(list["from"].to_string(), from);
        ids.extend(column(&list, "id"));
    }
    let all: Vec<_> = (0..120).map(|number| format!("c{number:03}")).collect();
    assert_eq!(ids, all);
    // Where the list has become shorter, its last page.
    let beyond = json(&test, "connections&sort=name&from=5000").await;
    assert_eq!((&beyond["from"], column(&beyond, "id").len()), (&json!(100), 20));
}

#[tokio::test(start_paused = true)]
async fn rooms_and_people_are_listed() {
    let test = open();
    let _clients = [
        join(&test, "1", "ann", "lobby").await,
        join(&test, "2", "ann", "tea").await,
        join(&test, "3", "bob", "tea").await,
    ];
    test.pass(Duration::from_millis(100)).await;
    let rooms = json(&test, "rooms&sort=most").await;
    assert_eq!(
        (column(&rooms, "id"), column(&rooms, "members")),
        (vec!["tea".to_owned(), "lobby".into()], vec!["2".to_owned(), "1".into()])
    );
    assert_eq!(rooms["rows"][0]["people"], json!({ "here": 2, "away": 0 }));
    assert_eq!(column(&json(&test, "rooms&search=LOB").await, "id"), ["lobby"]);
    let users = json(&test, "users").await;
    assert_eq!(column(&users, "id"), ["ann", "bob"]);
    assert_eq!(column(&users, "connections"), ["2", "1"]);
    assert_eq!(users["rows"][0]["is_online"], true);
}

#[tokio::test(start_paused = true)]
async fn who_has_gone_is_listed_with_the_cause() {
    let test = open();
    let ann = join(&test, "ann", "", "lobby").await;
    test.server().kick_with_reason("ann", "spam").unwrap();
    ann.expect_close().await;
    let bob = join(&test, "bob", "", "lobby").await;
    bob.link().cut();
    test.callbacks().expect_transport_drop("bob").await;
    test.pass(WINDOW).await;
    let gone = json(&test, "departures").await;
    assert_eq!(column(&gone, "id"), ["bob", "bob", "ann"]);
    assert_eq!(column(&gone, "reason"), ["grace_expired", "suspended", "kick"]);
    assert_eq!(gone["rows"][2]["cause"], "kicked: spam");
    assert_eq!(column(&json(&test, "departures&search=ann").await, "id"), ["ann"]);
}

#[tokio::test(start_paused = true)]
async fn one_connection_is_shown_with_its_rooms_and_what_has_happened_to_it() {
    let test: TestServer = open();
    let mut ann = join(&test, "ann", "", "lobby").await;
    test.server().connection("ann").unwrap().join("tea").unwrap();
    ann.link().cut();
    test.callbacks().expect_transport_drop("ann").await;
    ann.reconnect().await;
    let shown = json(&test, "connection&id=ann").await;
    assert_eq!(shown["rooms"], json!(["lobby", "tea"]));
    assert_eq!(shown["state"], "connected");
    assert_eq!(shown["departures"][0]["is_suspended"], true);
    assert_eq!(answer(&test, get("connection&id=nobody")).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_home_room_is_listed_with_the_rooms_that_it_has_joined() {
    let test = open();
    let _ann = join(&test, "ann", "", "lobby").await;
    let ann = test.server().connection("ann").unwrap();
    ann.join("tea").unwrap();
    let _bob = test.client("bob").connect("/ws?id=bob").await;
    test.server().connection("bob").unwrap().join("tea").unwrap();
    let list = json(&test, "connections&sort=name").await;
    assert_eq!(column(&list, "room"), ["lobby", ""]);
    assert_eq!(
        (&list["rows"][0]["joined"], &list["rows"][1]["joined"]),
        (&json!([]), &json!(["tea"]))
    );
}

/// As many as a page must be usable with: it asks for a list every two seconds. What a list costs
/// is how many it looks at, `total`, and the bytes of its answer.
#[tokio::test(start_paused = true)]
#[ignore = "takes seconds: `.ci/run browser` runs it"]
async fn a_list_of_ten_thousand_connections_looks_at_each_once_and_answers_with_a_page() {
    let test = open();
    let mut clients = Vec::new();
    for number in 0..10_000 {
        let path = format!("/ws?id=c{number:05}&user=u{}&room=r{}", number % 5000, number % 1000);
        clients.push(test.client("").connect(&path).await);
    }
    for (wanted, looked_at, found, first) in [
        ("connections&sort=name", 10_000, 10_000, "c00000"),
        ("connections&sort=name&from=9950", 10_000, 10_000, "c09950"),
        ("connections&search=C0999&sort=name", 10_000, 10, "c09990"),
        ("connections&room=r7&sort=name", 10, 10, "c00007"),
        ("connections&user=u7&sort=name", 2, 2, "c00007"),
        ("rooms&sort=name", 1000, 1000, "r0"),
        ("users&search=u4999", 5000, 1, "u4999"),
    ] {
        let response = answer(&test, get(wanted)).await;
        let list: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(list["total"], looked_at, "{wanted}");
        assert_eq!((&list["found"], &list["rows"][0]["id"]), (&json!(found), &json!(first)));
        assert_eq!(list["rows"].as_array().unwrap().len(), 50.min(found), "{wanted}");
        assert!(response.body().len() < 20_000, "{wanted}: {} bytes", response.body().len());
    }
}
