//! What a router is built of.

use wspulse::Frame;
use wspulse::router::{Router, RouterError};

use crate::support::{Client, Journal};

#[test]
fn a_handler_for_the_empty_event_is_refused() {
    let built = Router::builder().on("", || {}).build();

    assert_eq!(built.unwrap_err(), RouterError::EmptyEvent);
}

#[test]
fn an_event_that_is_registered_twice_is_refused_by_its_name() {
    let built = Router::builder().on("a", || {}).on("b", || {}).on("b", || {}).build();

    let error = built.unwrap_err();
    assert_eq!(error, RouterError::DuplicateEvent { event: "b".to_owned() });
    assert!(error.to_string().contains(r#""b""#), "{error}");
}

#[test]
fn the_first_mistake_is_the_one_that_is_told() {
    let built = Router::builder().on("a", || {}).on("a", || {}).on("", || {}).build();

    assert_eq!(built.unwrap_err(), RouterError::DuplicateEvent { event: "a".to_owned() });
}

#[test]
fn a_router_without_handlers_is_a_router() {
    assert!(Router::builder().build().is_ok());
}

#[tokio::test]
async fn the_last_fallback_given_is_the_one_that_counts() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .fallback(journal.handler("first"))
        .fallback(journal.handler("second"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("unknown")).await;

    assert_eq!(journal.entries(), ["second"]);
}

#[test]
fn routers_and_what_they_are_made_of_can_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}

    anywhere::<Router>();
    anywhere::<wspulse::router::Layer>();
    anywhere::<wspulse::router::Context>();
}
