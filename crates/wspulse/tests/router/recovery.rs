//! Panics, with and without the middleware that catches them.

use std::panic::{AssertUnwindSafe, panic_any};

use futures_util::FutureExt as _;
use wspulse::Frame;
use wspulse::router::{Context, Handler, HandlerError, Layer, Next, Recovery, Router};

use crate::support::dispatch::{Client, Journal};
use crate::support::logs::Logs;

fn panicking() {
    panic!("oh no");
}

/// Runs a handler under [`Recovery`] and returns the lines that were logged.
async fn recovered<Args>(handler: impl Handler<Args>) -> Vec<String> {
    let client = Client::alone().await;
    let router = Router::builder().layer(Recovery).on("a", handler).build().unwrap();
    let log = Logs::capture();
    client.dispatch(&router, Frame::new("a")).await;
    log.of("wspulse::router")
}

#[tokio::test]
async fn recovery_logs_a_panic_with_its_event_connection_and_place() {
    let log = &recovered(panicking).await[0];

    assert!(log.starts_with("ERROR router: recovered from a panic in a handler"), "{log}");
    assert!(log.contains(r#"event="a""#), "{log}");
    assert!(log.contains(r#"id="c""#), "{log}");
    assert!(log.contains(r#"panic="oh no""#), "{log}");
    assert!(log.contains("recovery.rs:"), "{log}");
}

#[tokio::test]
async fn recovery_logs_a_panic_once() {
    let log = recovered(panicking).await;

    assert_eq!(log.len(), 1);
}

#[tokio::test]
async fn recovery_catches_a_panic_that_comes_after_waiting() {
    let log = recovered(async || {
        tokio::task::yield_now().await;
        panicking();
    })
    .await;

    assert!(log[0].contains("oh no"), "{}", log[0]);
}

#[tokio::test]
async fn recovery_catches_a_panic_that_is_no_text() {
    fn wordless() {
        panic_any(7);
    }

    let log = recovered(wordless).await;

    assert!(log[0].contains("recovered"), "{}", log[0]);
}

#[tokio::test]
async fn recovery_catches_a_panic_in_middleware_further_in() {
    let client = Client::alone().await;
    let router = Router::builder()
        .layer(Recovery)
        .layer(async |_: Context, _: Next| panicking())
        .build()
        .unwrap();
    let log = Logs::capture();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(log.of("wspulse::router").len(), 1);
}

#[tokio::test]
async fn recovery_may_be_around_one_event_only() {
    let client = Client::alone().await;
    let router = Router::builder()
        .on_with("safe", [Layer::new(Recovery)], panicking)
        .on("a", panicking)
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("safe")).await;
    let elsewhere = client.dispatch(&router, Frame::new("a"));

    assert!(AssertUnwindSafe(elsewhere).catch_unwind().await.is_err());
}

#[tokio::test]
async fn after_a_recovered_panic_nothing_further_in_runs() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .layer(journal.around("outer"))
        .layer(Recovery)
        .layer(journal.around("inner"))
        .layer(async |_: Context, _: Next| panicking())
        .on("a", journal.handler("handler"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["outer before", "inner before", "outer after"]);
}

#[tokio::test]
async fn a_recovered_panic_is_an_error_to_what_is_further_out() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let told = journal.clone();
    let router = Router::builder()
        .layer(Recovery)
        .on("a", panicking)
        .on_error(move |_, _, error| {
            let HandlerError::Panicked(panic) = error else { panic!("{error}") };
            told.note(panic.message());
        })
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["oh no"]);
}

#[tokio::test]
async fn recovery_leaves_results_as_they_are() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let told = journal.clone();
    let router = Router::builder()
        .layer(Recovery)
        .on("a", || Err::<(), _>("no"))
        .on_error(move |_, _, error| told.note(error.to_string()))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["no"]);
}

#[tokio::test]
async fn without_recovery_a_panic_reaches_whoever_dispatched() {
    let client = Client::alone().await;
    let router = Router::builder().on("a", panicking).build().unwrap();

    let dispatched = AssertUnwindSafe(client.dispatch(&router, Frame::new("a")));

    assert!(dispatched.catch_unwind().await.is_err());
}
