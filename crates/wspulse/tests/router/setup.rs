//! What a router is built of.

use wspulse::router::{Context, Router, RouterError, State};
use wspulse::{Connection, Frame};

use crate::support::dispatch::{Client, Journal};

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
fn state_that_a_handler_takes_and_nobody_gave_is_told_when_the_router_is_built() {
    let routes =
        || Router::builder().on("count", |_: Connection, State(_): State<u8>| {}).on("list", || {});

    let error = routes().state(7_u16).build().unwrap_err();

    let missing = RouterError::MissingState { event: Some("count".to_owned()), type_name: "u8" };
    assert_eq!(error, missing);
    let text = "wspulse: router: the handler of event \"count\" takes State<u8>, and the router \
                was given none; see RouterBuilder::state";
    assert_eq!(error.to_string(), text);
    assert!(routes().state(7_u8).build().is_ok());
}

#[test]
fn the_fallback_is_asked_for_its_state_as_well() {
    let fallback = || Router::builder().fallback(async |State(_): State<u8>| {});

    let error = fallback().build().unwrap_err();

    assert_eq!(error, RouterError::MissingState { event: None, type_name: "u8" });
    assert!(error.to_string().contains("the fallback takes State<u8>"), "{error}");
    assert!(fallback().state(7_u8).build().is_ok());
}

#[test]
fn a_handler_that_is_content_without_state_may_go_without() {
    let router = Router::builder()
        .on("a", |_: Result<State<u8>, wspulse::router::ExtractError>| {})
        .on("b", |context: Context| assert_eq!(context.state::<u8>(), None));

    assert!(router.build().is_ok());
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
    anywhere::<Context>();
}
