//! The buttons do what they say, and for nobody but the page.

use std::time::Duration;

use http::HeaderValue;
use wspulse::ConnectionState;

use crate::stage::{answer, get, join, open, post};

#[tokio::test(start_paused = true)]
async fn a_kick_ends_the_session() {
    let test = open();
    let ann = join(&test, "ann", "", "lobby").await;
    let response = answer(&test, post("kick&id=ann")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(ann.expect_close().await.unwrap().reason(), "kicked");
    assert!(test.server().connection("ann").is_none());
    assert_eq!(answer(&test, post("kick&id=ann")).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_cut_suspends_the_session_and_its_client_comes_back_to_it() {
    let test = open();
    let mut ann = join(&test, "ann", "", "lobby").await;
    let connection = test.server().connection("ann").unwrap();
    assert_eq!(answer(&test, post("cut&id=ann")).await.status(), 200);
    ann.expect_lost().await;
    assert_eq!(connection.state(), ConnectionState::Suspended);
    ann.reconnect().await;
    assert_eq!(test.server().connection("ann").unwrap(), connection);
    assert_eq!(answer(&test, post("cut&id=nobody")).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_drain_sends_all_away_within_its_window() {
    let test = open();
    let ann = join(&test, "ann", "", "lobby").await;
    for wrong in ["drain", "drain&seconds=", "drain&seconds=-1", "drain&seconds=3601"] {
        assert_eq!(answer(&test, post(wrong)).await.status(), 400, "{wrong}");
    }
    assert!(!test.server().is_draining());
    assert_eq!(answer(&test, post("drain&seconds=5")).await.status(), 202);
    assert_eq!(ann.expect_close().await.unwrap().code().as_u16(), 1012);
    test.pass(Duration::from_secs(5)).await;
    assert_eq!(test.server().connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_page_of_another_origin_can_send_does_nothing() {
    let test = open();
    let _ann = join(&test, "ann", "", "lobby").await;
    // A form, or a simple request: no header of its own.
    let mut form = post("kick&id=ann");
    form.headers_mut().remove("x-wspulse-inspector");
    // Whatever it has: the browser says where it comes from.
    let mut elsewhere = post("kick&id=ann");
    let site = HeaderValue::from_static("cross-site");
    elsewhere.headers_mut().insert("sec-fetch-site", site);
    // Over plain HTTP a browser may say only this.
    let mut origin = post("kick&id=ann");
    origin.headers_mut().insert("host", HeaderValue::from_static("chat.example"));
    let elsewhere_too = HeaderValue::from_static("http://evil.example");
    origin.headers_mut().insert("origin", elsewhere_too);
    for request in [form, elsewhere, origin] {
        assert_eq!(answer(&test, request).await.status(), 403);
    }
    // An image.
    assert_eq!(answer(&test, get("kick&id=ann")).await.status(), 404);
    // Whether it may have a header of its own, nobody says.
    let mut preflight = post("kick&id=ann");
    *preflight.method_mut() = http::Method::OPTIONS;
    let response = answer(&test, preflight).await;
    assert_eq!(response.status(), 405);
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    assert!(test.server().connection("ann").is_some());
}

#[tokio::test(start_paused = true)]
async fn the_page_that_says_its_own_origin_may_press_buttons() {
    let test = open();
    let _ann = join(&test, "ann", "", "lobby").await;
    let mut request = post("cut&id=ann");
    request.headers_mut().insert("host", HeaderValue::from_static("chat.example:3000"));
    let origin = HeaderValue::from_static("http://Chat.example:3000");
    request.headers_mut().insert("origin", origin);
    assert_eq!(answer(&test, request).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_action_is_not_found() {
    let test = open();
    for wrong in ["", "dance", "connections"] {
        assert_eq!(answer(&test, post(wrong)).await.status(), 404, "{wrong}");
    }
    assert_eq!(answer(&test, post("kick")).await.status(), 400);
}
