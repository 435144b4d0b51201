use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};
use serde_json::json;
use wspulse::CloseCode;
use wspulse::testing::{LiveClient, TestServer};
use wspulse_prometheus::PrometheusCollector;

use super::{Keys, app, builder, inspector};

const PASSWORD: &str = "of these tests";

/// The application, in memory, with what Prometheus asks beside.
fn application() -> TestServer {
    let keys = Arc::new(Keys::new(b"of these tests", PASSWORD.to_owned()).expect("a secret"));
    let metrics = PrometheusCollector::builder().build().expect("the options are valid");
    let builder = builder(keys.clone(), metrics.clone()).expect("the routes are valid");
    let with_http = |server: wspulse::Server| {
        let inspector = inspector(server.clone(), keys.clone()).expect("the options are valid");
        app(server, inspector, keys).route_service("/metrics", metrics.handler())
    };
    TestServer::with_app(builder, with_http).expect("the options are valid")
}

fn login(user: &str, password: &str) -> Request<String> {
    let login = json!({ "user": user, "password": password }).to_string();
    let request = Request::post("/login").header("content-type", "application/json");
    request.body(login).expect("a request")
}

async fn cookie_of(test: &TestServer, user: &str, password: &str) -> String {
    let answer = test.http(login(user, password)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie is text");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    cookie.split(';').next().expect("a cookie has a value").to_owned()
}

async fn enter(test: &TestServer, user: &str) -> LiveClient {
    let cookie = cookie_of(test, user, "").await;
    test.client(user).header("cookie", &cookie).connect("/ws?tab=1").await
}

async fn status_of(test: &TestServer, path: &str, cookie: &str) -> StatusCode {
    let request = Request::get(path).header("cookie", cookie).body("").expect("a request");
    test.http(request).await.status()
}

#[tokio::test(start_paused = true)]
async fn what_is_said_in_a_room_is_heard_by_those_who_have_entered_it() {
    let test = application();
    let (ann, bob, eve) =
        (enter(&test, "ann").await, enter(&test, "bob").await, enter(&test, "eve").await);
    for client in [&ann, &bob] {
        client.send_json("enter", json!("tea"));
    }

    ann.send_json("say", json!({ "room": "tea", "text": "hello" }));
    ann.expect("said").await;
    bob.send_json("say", json!({ "room": "tea", "text": "hi" }));

    ann.expect_json("said", json!({ "from": "bob", "room": "tea", "text": "hi" })).await;
    eve.refute("said").await;
}

#[tokio::test(start_paused = true)]
async fn nobody_speaks_in_a_room_without_having_entered_it() {
    let test = application();
    let ann = enter(&test, "ann").await;
    let say = wspulse::Frame::new("say").with_id("1");

    ann.send(&say.json(&json!({ "room": "tea", "text": "hello" })).expect("JSON"));

    let told = json!({ "code": "not_in_room", "text": "enter the room first" });
    ann.expect_json("error", told).await;
}

#[tokio::test(start_paused = true)]
async fn who_has_not_logged_in_is_refused() {
    let test = application();

    let answer = test.client("eve").refused("/ws?tab=1").await;

    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_after_a_cut_has_missed_nothing() {
    let test = application();
    let mut ann = enter(&test, "ann").await;
    let bob = enter(&test, "bob").await;

    ann.link().cut();
    test.callbacks().expect_transport_drop("ann/1").await;
    bob.send_json("say", json!({ "room": "lobby", "text": "where are you?" }));
    bob.expect("said").await;
    ann.reconnect().await;

    let missed = json!({ "from": "bob", "room": "lobby", "text": "where are you?" });
    ann.expect_json("said", missed).await;
}

#[tokio::test(start_paused = true)]
async fn a_deploy_sends_clients_away_and_tells_the_load_balancer() {
    let test = application();
    let ann = enter(&test, "ann").await;
    assert_eq!(status_of(&test, "/ready", "").await, StatusCode::OK);

    test.server().drain(Duration::from_secs(1)).await;

    let close = ann.expect_close().await.expect("a close frame with a code");
    assert_eq!(close.code(), CloseCode::SERVICE_RESTART);
    assert_eq!(status_of(&test, "/ready", "").await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn the_inspector_is_for_the_admin_alone() {
    let test = application();
    let forged = test.http(login("admin", "guessed")).await;
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);

    let (ann, admin) =
        (cookie_of(&test, "ann", "").await, cookie_of(&test, "admin", PASSWORD).await);

    assert_eq!(status_of(&test, "/inspector", "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_of(&test, "/inspector", &ann).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_of(&test, "/inspector", &admin).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_scraper_is_told_who_is_there() {
    let test = application();
    let _ann = enter(&test, "ann").await;

    let request = Request::get("/metrics").body("").expect("a request");
    let page = test.http(request).await.into_body();

    let page = str::from_utf8(&page).expect("text");
    assert!(page.contains("wspulse_connections_active 1"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_by_its_owner_and_nobody_else() {
    let test = application();
    let cookie = cookie_of(&test, "ann", "").await;
    let renew = |cookie: &str| {
        Request::post("/renew").header("cookie", cookie).body("").expect("a request")
    };

    assert_eq!(test.http(renew(&cookie)).await.status(), StatusCode::OK);
    assert_eq!(test.http(renew("token=guessed")).await.status(), StatusCode::UNAUTHORIZED);
}
