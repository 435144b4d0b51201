use std::sync::Arc;

use http::{Request, StatusCode};
use serde_json::json;
use wspulse::testing::{LiveClient, TestServer};
use wspulse::{CallbackKind, CloseCode, Disconnect};

use super::{Keys, NOTICE, TOKEN_LIFE, app, builder};

const SECRET: &[u8] = b"of these tests";

fn keys(secret: &[u8]) -> Keys {
    Keys::new(secret).expect("long enough")
}

fn chat() -> TestServer {
    let keys = Arc::new(keys(SECRET));
    let builder = builder(keys.clone()).expect("the routes are valid");
    TestServer::with_app(builder, |server| app(server, keys)).expect("the options are valid")
}

/// Logs somebody in, as a page does, and returns the cookie.
async fn cookie_of(test: &TestServer, user: &str) -> String {
    let login = Request::post("/login").body(user.to_owned()).expect("a request");
    cookie_in(&test.http(login).await)
}

fn cookie_in<T>(answer: &http::Response<T>) -> String {
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie is text");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    cookie.split(';').next().expect("a cookie has a value").to_owned()
}

async fn enter(test: &TestServer, user: &str) -> LiveClient {
    let cookie = cookie_of(test, user).await;
    // Browsers send all the cookies of a site.
    let cookies = format!("theme=dark; {cookie}");
    test.client(user).header("cookie", &cookies).connect("/ws?tab=1").await
}

#[tokio::test(start_paused = true)]
async fn who_has_logged_in_is_heard_under_that_name() {
    let test = chat();
    let ann = enter(&test, "ann").await;
    let bob = enter(&test, "bob").await;

    ann.send_json("say", json!({ "text": "hello" }));

    bob.expect_json("said", json!({ "from": "ann", "text": "hello" })).await;
}

#[tokio::test(start_paused = true)]
async fn a_program_brings_its_token_in_a_header() {
    let test = chat();
    let token = keys(SECRET).issue("robot").expect("a token");

    let robot = test.client("robot").header("authorization", &format!("Bearer {token}"));
    let robot = robot.connect("/ws?tab=1").await;
    robot.send_json("say", json!({ "text": "beep" }));

    robot.expect_json("said", json!({ "from": "robot", "text": "beep" })).await;
}

#[tokio::test(start_paused = true)]
async fn no_token_and_one_of_another_secret_are_refused() {
    let test = chat();
    let forged = keys(b"guessed").issue("ann").expect("a token");

    let answer = test.client("eve").refused("/ws?tab=1").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let eve = test.client("eve").header("authorization", &format!("Bearer {forged}"));
    assert_eq!(eve.refused("/ws?tab=1").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_somebody_else_cannot_use_the_cookie() {
    let test = chat();
    let cookie = cookie_of(&test, "ann").await;

    let page =
        test.client("eve").header("cookie", &cookie).header("origin", "https://evil.example");

    assert_eq!(page.refused("/ws?tab=1").await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_its_token() {
    let test = chat();
    let ann = enter(&test, "ann").await;

    test.pass(TOKEN_LIFE - NOTICE).await;
    ann.expect("token.wanted").await;
    test.pass(NOTICE).await;
    let close = ann.expect_close().await.expect("a close frame with a code");

    assert_eq!(close.code(), CloseCode::EXPIRED);
    let end = test.callbacks().expect_disconnect("ann/1").await;
    assert!(matches!(end, Disconnect::Expired), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_keeps_its_connection() {
    let test = chat();
    let ann = enter(&test, "ann").await;
    test.pass(TOKEN_LIFE - NOTICE).await;
    ann.expect("token.wanted").await;

    let renew = Request::post("/renew").header("cookie", cookie_of(&test, "ann").await);
    cookie_in(&test.http(renew.body("").expect("a request")).await);
    test.pass(TOKEN_LIFE - NOTICE).await;

    test.callbacks().refute(CallbackKind::Disconnect, "ann/1").await;
    ann.expect("token.wanted").await;
}

#[tokio::test(start_paused = true)]
async fn nobody_renews_without_a_token() {
    let test = chat();

    let renew = Request::post("/renew").body("").expect("a request");

    assert_eq!(test.http(renew).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn what_fits_no_handler_is_answered_with_the_reason() {
    let test = chat();
    let ann = enter(&test, "ann").await;

    ann.send(&wspulse::Frame::new("say").with_id("1"));
    let error = ann.expect("error").await;
    assert_eq!(error.to_json::<serde_json::Value>().expect("JSON")["code"], "bad_payload");
    ann.send(&wspulse::Frame::new("say").with_id("2").json(&json!({ "text": " " })).expect("JSON"));
    ann.expect_json("error", json!({ "code": "empty", "text": "say something" })).await;
}
