//! What runs for a frame, and in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use wspulse::Frame;
use wspulse::router::{Context, Extension, HandlerResult, Layer, Middleware, Next, Router};

use crate::support::dispatch::{Client, Journal};
use crate::support::logs::Logs;

#[tokio::test]
async fn a_frame_goes_to_the_handler_of_its_event() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .on("a", journal.handler("a"))
        .on("b", journal.handler("b"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("b")).await;

    assert_eq!(journal.entries(), ["b"]);
}

#[tokio::test]
async fn middleware_runs_around_the_handler_in_the_order_it_was_added() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .layer(journal.around("outer"))
        .layer(journal.around("inner"))
        .on("a", journal.handler("handler"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    let order = ["outer before", "inner before", "handler", "inner after", "outer after"];
    assert_eq!(journal.entries(), order);
}

#[tokio::test]
async fn middleware_added_after_an_event_applies_to_it_too() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .on("a", journal.handler("handler"))
        .layer(journal.around("late"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["late before", "handler", "late after"]);
}

#[tokio::test]
async fn middleware_of_one_event_runs_inside_that_of_all() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .on_with(
            "a",
            [Layer::new(journal.around("own")), Layer::new(journal.around("own too"))],
            journal.handler("a"),
        )
        .layer(journal.around("all"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    let order = [
        "all before",
        "own before",
        "own too before",
        "a",
        "own too after",
        "own after",
        "all after",
    ];
    assert_eq!(journal.entries(), order);
}

#[tokio::test]
async fn middleware_of_one_event_leaves_others_alone() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .on_with("a", [Layer::new(journal.around("own"))], journal.handler("a"))
        .on("b", journal.handler("b"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("b")).await;

    assert_eq!(journal.entries(), ["b"]);
}

#[tokio::test]
async fn a_chain_may_be_longer_than_62() {
    let client = Client::alone().await;
    let passed = Arc::new(AtomicUsize::new(0));
    let counter = Layer::new(Counter { passed: Arc::clone(&passed) });
    let router =
        Router::builder().on_with("a", std::iter::repeat_n(counter, 500), || {}).build().unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(passed.load(Ordering::Relaxed), 500);
}

#[tokio::test]
async fn a_frame_with_an_unknown_event_goes_through_middleware_to_the_fallback() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .layer(journal.around("all"))
        .on_with("a", [Layer::new(journal.around("own"))], journal.handler("a"))
        .fallback(journal.handler("fallback"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("b")).await;

    assert_eq!(journal.entries(), ["all before", "fallback", "all after"]);
}

#[tokio::test]
async fn a_frame_without_an_event_goes_to_the_fallback() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .on("a", journal.handler("a"))
        .fallback(journal.handler("fallback"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::default()).await;

    assert_eq!(journal.entries(), ["fallback"]);
}

#[tokio::test]
async fn events_match_exactly_and_in_their_case() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .on("chat", journal.handler("chat"))
        .on("*", journal.handler("*"))
        .fallback(journal.handler("fallback"))
        .build()
        .unwrap();

    for event in ["Chat", "chat.message", " chat", "cha"] {
        client.dispatch(&router, Frame::new(event)).await;
    }

    assert_eq!(journal.entries(), ["fallback"; 4]);
}

#[tokio::test]
async fn an_unmatched_event_is_logged_unless_there_is_a_fallback() {
    let client = Client::alone().await;
    let router = Router::builder().build().unwrap();
    let log = Logs::capture();

    client.dispatch(&router, Frame::new("unknown")).await;

    assert_eq!(
        log.of("wspulse::router"),
        [r#"WARN router: unmatched event event="unknown" id="c""#]
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unmatched_events_is_a_line_in_a_while() {
    let client = Client::alone().await;
    let router = Router::builder().build().unwrap();
    let log = Logs::capture();

    for _ in 0..1_000 {
        client.dispatch(&router, Frame::new("unknown")).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    client.dispatch(&router, Frame::new("unknown")).await;
    let lines = log.of("wspulse::router");
    let warnings: Vec<_> = lines.iter().filter(|line| line.starts_with("WARN")).collect();
    assert_eq!(warnings.len(), 2, "the others are at DEBUG");
    assert!(warnings[1].contains("not_logged=999"), "{warnings:?}");
}

#[tokio::test]
async fn middleware_that_does_not_call_next_ends_the_chain() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .layer(journal.around("outer"))
        .layer(|_: Context, _: Next| async {})
        .layer(journal.around("inner"))
        .on("a", journal.handler("handler"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["outer before", "outer after"]);
}

#[tokio::test]
async fn middleware_sees_that_a_chain_was_ended_with_an_error() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let seen = journal.clone();
    let router = Router::builder()
        .layer(move |context: Context, next: Next| {
            let seen = seen.clone();
            async move {
                let result = next.run(context).await;
                seen.note(result.as_ref().unwrap_err().to_string());
                result
            }
        })
        .layer(async |_: Context, _: Next| Err::<(), _>("not today"))
        .on("a", journal.handler("handler"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["not today"]);
}

#[tokio::test]
async fn nothing_of_the_chain_runs_before_its_future_is_polled() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .layer(async |context: Context, next: Next| {
            drop(next.run(context));
        })
        .on("a", journal.handler("handler"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert!(journal.entries().is_empty());
}

#[tokio::test]
async fn a_later_extension_replaces_an_earlier_one_of_its_type() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let handler_journal = journal.clone();
    let router = Router::builder()
        .layer(leave("first"))
        .layer(leave("second"))
        .on("a", move |Extension(value): Extension<&'static str>| handler_journal.note(value))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["second"]);
}

#[tokio::test]
async fn extensions_do_not_outlive_their_dispatch() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let seen = journal.clone();
    let router = Router::builder()
        .layer(move |mut context: Context, next: Next| {
            seen.note(format!("{:?}", context.extensions().get::<u32>()));
            context.extensions_mut().insert(7_u32);
            async move { next.run(context).await }
        })
        .on("a", || {})
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;
    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["None", "None"]);
}

#[tokio::test]
async fn dispatches_do_not_wait_for_each_other() {
    let client = Client::alone().await;
    let both = Arc::new(Barrier::new(2));
    let router = Router::builder()
        .on("a", move || {
            let both = Arc::clone(&both);
            async move {
                both.wait().await;
            }
        })
        .build()
        .unwrap();

    tokio::join!(
        client.dispatch(&router, Frame::new("a")),
        client.dispatch(&router, Frame::new("a")),
    );
}

struct Counter {
    passed: Arc<AtomicUsize>,
}

impl Middleware for Counter {
    async fn handle(self: Arc<Self>, context: Context, next: Next) -> HandlerResult {
        self.passed.fetch_add(1, Ordering::Relaxed);
        next.run(context).await
    }
}

/// Middleware that leaves a text for the handler.
fn leave(text: &'static str) -> impl Middleware {
    move |mut context: Context, next: Next| {
        context.extensions_mut().insert(text);
        async move { next.run(context).await }
    }
}
