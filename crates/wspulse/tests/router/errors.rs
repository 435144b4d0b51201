//! What becomes of failures.

use std::sync::Arc;

use parking_lot::Mutex;
use wspulse::router::{
    Context, Data, Extension, ExtractError, Handler, HandlerError, Json, Next, Router, State,
};
use wspulse::{Connection, Frame};

use crate::support::dispatch::{Client, Journal};
use crate::support::logs::Logs;

/// Runs a handler and returns what `on_error` gets.
async fn failure<Args>(frame: Frame, handler: impl Handler<Args>) -> Option<HandlerError> {
    let client = Client::alone().await;
    let failure = Arc::new(Mutex::new(None));
    let told = Arc::clone(&failure);
    let router = Router::builder()
        .on("a", handler)
        .on_error(move |_, _, error| *told.lock() = Some(error))
        .build()
        .unwrap();

    client.dispatch(&router, frame).await;

    failure.lock().take()
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_a_typed_error() {
    let frame = Frame::new("a").with_payload(r#""text""#);

    let failure = failure(frame, |_: Json<u32>| {}).await;

    let Some(HandlerError::Extract(ExtractError::Payload(error))) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(error.event(), "a");
}

#[tokio::test]
async fn a_handler_whose_arguments_cannot_be_had_is_not_called() {
    let journal = Journal::default();
    let called = journal.clone();

    failure(Frame::new("a"), move |_: Json<u32>| called.note("called")).await;

    assert!(journal.entries().is_empty());
}

#[tokio::test]
async fn a_missing_extension_is_a_typed_error_that_names_its_type() {
    struct Missing;
    impl Clone for Missing {
        fn clone(&self) -> Self {
            Self
        }
    }

    let failure = failure(Frame::new("a"), |_: Extension<Missing>| {}).await;

    let Some(HandlerError::Extract(ExtractError::MissingExtension { type_name })) = failure else {
        panic!("{failure:?}");
    };
    assert!(type_name.ends_with("Missing"), "{type_name}");
}

#[tokio::test]
async fn missing_state_is_a_typed_error_that_names_its_type_and_the_way_to_give_it() {
    // What a handler takes as an argument is checked when the router is built.
    let handler = |context: Context| context.extract::<State<u128>>().map(drop);
    let failure = failure(Frame::new("a"), handler).await;

    let Some(HandlerError::Extract(error @ ExtractError::MissingState { type_name })) = &failure
    else {
        panic!("{failure:?}");
    };
    assert_eq!(*type_name, "u128");
    assert!(error.to_string().contains("RouterBuilder::state"), "{error}");
}

#[tokio::test]
async fn missing_connection_data_is_a_typed_error_that_names_its_type() {
    let failure = failure(Frame::new("a"), |_: Data<u128>| {}).await;

    let Some(HandlerError::Extract(ExtractError::MissingData { type_name })) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(type_name, "u128");
}

#[tokio::test]
async fn an_extraction_that_middleware_passes_on_keeps_its_type() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let told = journal.clone();
    let router = Router::builder()
        .layer(async |context: Context, next: Next| {
            context.extract::<Extension<u8>>()?;
            next.run(context).await
        })
        .on_error(move |_, _, error| {
            told.note(format!("{}", matches!(error, HandlerError::Extract(_))));
        })
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["true"]);
}

#[tokio::test]
async fn an_error_of_the_application_keeps_its_type() {
    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("out of stock")]
    struct OutOfStock;

    let failure = failure(Frame::new("a"), || Err::<(), _>(OutOfStock)).await;

    assert_eq!(failure.unwrap().downcast_ref(), Some(&OutOfStock));
}

#[tokio::test]
async fn a_handler_that_succeeds_is_no_matter_for_on_error() {
    assert!(failure(Frame::new("a"), || {}).await.is_none());
}

#[tokio::test]
async fn on_error_gets_the_connection_and_the_frame() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let told = journal.clone();
    let expected = client.connection.clone();
    let router = Router::builder()
        .on("a", || Err::<(), _>("no"))
        .on_error(move |connection, frame, _| {
            assert_eq!(connection, expected);
            told.note(frame.id());
        })
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a").with_id("1")).await;

    assert_eq!(journal.entries(), ["1"]);
}

#[tokio::test]
async fn on_error_may_be_async() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let told = journal.clone();
    let router = Router::builder()
        .on("a", || Err::<(), _>("no"))
        .on_error(move |_, _, error| {
            let told = told.clone();
            async move {
                tokio::task::yield_now().await;
                told.note(error.to_string());
            }
        })
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(journal.entries(), ["no"]);
}

#[tokio::test]
async fn middleware_may_deal_with_an_error_itself() {
    let client = Client::alone().await;
    let journal = Journal::default();
    let told = journal.clone();
    let router = Router::builder()
        .layer(async |context: Context, next: Next| {
            let _ = next.run(context).await;
        })
        .on("a", || Err::<(), _>("no"))
        .on_error(move |_, _, _| told.note("told"))
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("a")).await;

    assert!(journal.entries().is_empty());
}

#[tokio::test]
async fn an_error_that_nobody_deals_with_is_logged() {
    let client = Client::alone().await;
    let router = Router::builder().on("a", || Err::<(), _>("no")).build().unwrap();
    let log = Logs::capture();

    client.dispatch(&router, Frame::new("a")).await;

    assert_eq!(
        log.of("wspulse::router"),
        [r#"WARN router: handler failed event="a" id="c" error=no"#]
    );
}

#[tokio::test]
async fn an_error_that_somebody_has_gone_meanwhile_is_no_warning() {
    let client = Client::alone().await;
    let router = Router::builder()
        .on("a", |conn: Connection| conn.server().send("nobody", Frame::new("hello")))
        .build()
        .unwrap();
    let log = Logs::capture();

    client.dispatch(&router, Frame::new("a")).await;

    let lines = log.of("wspulse::router");
    assert!(
        matches!(&lines[..], [line] if line.starts_with("DEBUG router: handler failed")),
        "{lines:?}"
    );
}
