//! Nobody sees or does anything whom the guard does not let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Request};
use wspulse::testing::TestServer;
use wspulse::{Rejection, Server};
use wspulse_inspector::{Access, Builder, Inspector};

use crate::stage::{answer, get, json, page, post, stage};

/// Lets in who has the right word, to look or to do everything.
fn guarded(server: Server) -> Builder {
    Inspector::guarded_by(server, |request| async move {
        match request.headers.get("authorization").and_then(|word| word.to_str().ok()) {
            Some("admin") => Ok(Access::Full),
            Some("staff") => Ok(Access::ReadOnly),
            _ => {
                let challenge = HeaderValue::from_static("Basic realm=\"inspector\"");
                Err(Rejection::unauthorized().header(WWW_AUTHENTICATE, challenge))
            }
        }
    })
}

fn with_word<B>(mut request: Request<B>, word: &'static str) -> Request<B> {
    request.headers_mut().insert("authorization", HeaderValue::from_static(word));
    request
}

const WANTED: [&str; 12] = [
    "",
    "app.js",
    "style.css",
    "session",
    "connections",
    "rooms",
    "users",
    "departures",
    "connection&id=ann",
    "kick&id=ann",
    "unknown",
    "live",
];

#[tokio::test(start_paused = true)]
async fn the_guard_is_asked_about_every_request() {
    let test = stage(guarded);
    for wanted in WANTED {
        for request in [get(wanted), post(wanted), with_word(get(wanted), "guest")] {
            let response = answer(&test, request).await;
            assert_eq!(response.status(), 401, "{wanted}");
            assert_eq!(response.headers()[WWW_AUTHENTICATE], "Basic realm=\"inspector\"");
        }
        let status = answer(&test, with_word(get(wanted), "admin")).await.status();
        assert_ne!(status, 401, "{wanted}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_guard_is_asked_about_the_websocket() {
    let test = stage(guarded);
    let refused = test.client("page").refused("/some/where?live").await;
    assert_eq!(refused.status(), 401);
    let page =
        test.client("page").header("authorization", "staff").connect("/some/where?live").await;
    page.expect("tick").await;
}

#[tokio::test(start_paused = true)]
async fn the_guard_is_asked_again_about_a_websocket_after_five_minutes() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let test = stage(move |server| {
        Inspector::guarded_by(server, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok(Access::ReadOnly))
        })
    });
    let mut page = page(&test).await;
    test.pass(Duration::from_mins(5) + Duration::from_secs(2)).await;
    let code = page.expect_close().await.expect("a code").code().as_u16();
    assert_eq!((code, asked.load(Ordering::Relaxed)), (4401, 1));
    page.reconnect().await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn who_may_only_look_can_do_nothing_and_has_no_buttons() {
    let test = stage(guarded);
    let _ann = crate::stage::join(&test, "ann", "", "lobby").await;
    for wanted in ["kick&id=ann", "cut&id=ann", "drain&seconds=0"] {
        let response = answer(&test, with_word(post(wanted), "staff")).await;
        assert_eq!(response.status(), 403, "{wanted}");
    }
    assert!(test.server().connection("ann").is_some());
    assert!(!test.server().is_draining());
    let session = answer(&test, with_word(get("session"), "staff")).await;
    assert_eq!(session.body(), br#"{"may_act":false}"#);
    let session = answer(&test, with_word(get("session"), "admin")).await;
    assert_eq!(session.body(), br#"{"may_act":true}"#);
}

#[tokio::test(start_paused = true)]
async fn on_an_inspector_that_is_read_only_nobody_does_anything() {
    let test = stage(|server| Inspector::open_to_everyone(server).read_only());
    let _ann = crate::stage::join(&test, "ann", "", "lobby").await;
    assert_eq!(answer(&test, post("kick&id=ann")).await.status(), 403);
    assert_eq!(json(&test, "session").await["may_act"], false);
    assert!(test.server().connection("ann").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_another_origin_gets_no_websocket() {
    let test = crate::stage::open();
    let refused = test
        .client("page")
        .header("origin", "https://evil.example")
        .refused("/some/where?live")
        .await;
    assert_eq!(refused.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_pages_than_may_be() {
    let test: TestServer = stage(|server| Inspector::open_to_everyone(server).max_pages(1));
    let _first = page(&test).await;
    assert_eq!(test.client("second").refused("/some/where?live").await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn every_answer_forbids_to_load_from_elsewhere_to_frame_and_to_keep() {
    let test = stage(guarded);
    for wanted in ["", "app.js", "connections", "unknown"] {
        for request in [get(wanted), with_word(get(wanted), "admin")] {
            let response = answer(&test, request).await;
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            let policy = header("content-security-policy");
            for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
                assert!(policy.contains(part), "{policy}");
            }
            assert!(!policy.contains("http"), "{policy}");
            assert_eq!(header("cache-control"), "no-store");
            assert_eq!(header("x-content-type-options"), "nosniff");
        }
    }
}

#[test]
fn the_page_names_no_other_server() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/page")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let named: Vec<_> = text
            .lines()
            .filter(|line| line.contains("://") && !line.contains("http://www.w3.org/2000/svg"))
            .collect();
        assert!(named.is_empty(), "{}: {named:?}", path.display());
    }
}
