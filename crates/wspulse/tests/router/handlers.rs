//! What handlers take and return.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use wspulse::router::{
    Context, Data, Event, Extension, ExtractError, FromContext, Handler, HandlerError,
    HandlerFuture, HandlerResult, Json, Middleware, MsgPack, Next, Router, State,
};
use wspulse::{Admission, Connection, Frame, SendError, Server};

use crate::support::dispatch::{Client, Journal};

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Move {
    x: i32,
    y: i32,
}

/// Middleware that leaves a value for the handler.
fn leave<T: Clone + Send + Sync + 'static>(value: T) -> impl Middleware {
    move |mut context: Context, next: Next| {
        context.extensions_mut().insert(value.clone());
        next.run(context)
    }
}

/// Dispatches one frame to one handler.
async fn run<Args>(client: &Client, frame: Frame, handler: impl Handler<Args>) {
    let router = Router::builder().on("move", handler).build().unwrap();
    client.dispatch(&router, frame).await;
}

#[tokio::test]
async fn a_handler_may_be_an_async_function() {
    async fn note(Extension(journal): Extension<Journal>) {
        tokio::task::yield_now().await;
        journal.note("ran");
    }
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder().layer(leave(journal.clone())).on("move", note).build().unwrap();

    client.dispatch(&router, Frame::new("move")).await;

    assert_eq!(journal.entries(), ["ran"]);
}

#[tokio::test]
async fn a_handler_may_be_a_plain_function() {
    fn post(Extension(sender): Extension<mpsc::Sender<Frame>>, frame: Frame) {
        sender.try_send(frame).unwrap();
    }
    let client = Client::alone().await;
    let (sender, mut inbox) = mpsc::channel(1);
    let router = Router::builder().layer(leave(sender)).on("move", post).build().unwrap();

    client.dispatch(&router, Frame::new("move")).await;

    assert_eq!(inbox.recv().await, Some(Frame::new("move")));
}

#[tokio::test]
async fn a_handler_may_take_nothing() {
    let client = Client::alone().await;
    let journal = Journal::default();

    run(&client, Frame::new("move"), journal.handler("ran")).await;

    assert_eq!(journal.entries(), ["ran"]);
}

#[tokio::test]
async fn a_handler_may_take_six_arguments() {
    let client = Client::alone().await;
    let (seen, mut inbox) = mpsc::channel(1);
    let frame = Frame::new("move").json(&Move { x: 1, y: 2 }).unwrap();

    let handler = move |connection: Connection,
                        frame: Frame,
                        event: Event,
                        context: Context,
                        Json(json): Json<Move>,
                        raw: Json<serde_json::Value>| {
        seen.try_send((connection, frame, event, context, json, raw)).unwrap();
    };
    run(&client, frame.clone(), handler).await;

    let (connection, got, event, context, json, raw) = inbox.recv().await.unwrap();
    assert_eq!(connection, client.connection);
    assert_eq!(got, frame);
    assert_eq!(&*event, "move");
    assert_eq!(context.connection(), &client.connection);
    assert_eq!(json, Move { x: 1, y: 2 });
    assert_eq!(raw.0["x"], 1);
}

#[tokio::test]
async fn a_handler_may_return_a_result_of_any_error() {
    async fn boxed() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
    async fn text() -> Result<(), String> {
        Ok(())
    }
    async fn of_the_router() -> HandlerResult {
        Ok(())
    }
    let router = Router::builder()
        .on("plain", || Ok::<(), SendError>(()))
        .on("boxed", boxed)
        .on("text", text)
        .on("of_the_router", of_the_router)
        .build();

    assert!(router.is_ok());
}

#[tokio::test]
async fn a_payload_is_read_as_message_pack_where_the_handler_says_so() {
    let client = Client::alone().await;
    let (seen, mut inbox) = mpsc::channel(1);
    let frame = Frame::new("move").msgpack(&Move { x: 1, y: 2 }).unwrap();

    let handler = move |MsgPack(got): MsgPack<Move>| seen.try_send(got).unwrap();
    run(&client, frame, handler).await;

    assert_eq!(inbox.recv().await, Some(Move { x: 1, y: 2 }));
}

#[tokio::test]
async fn a_handler_gets_the_data_of_its_connection() {
    struct Session {
        user: &'static str,
    }
    let server = Server::builder_sync(|_| Ok(Admission::room("r")));
    let admission = Admission::room("r").data(Session { user: "ada" });
    let client = Client::admitted(server, admission).await;
    let journal = Journal::default();
    let seen = journal.clone();

    let handler = move |session: Data<Session>| seen.note(session.user);
    run(&client, Frame::new("move"), handler).await;

    assert_eq!(journal.entries(), ["ada"]);
}

#[tokio::test]
async fn a_handler_may_ask_for_the_failure_of_an_argument() {
    let client = Client::alone().await;
    let (seen, mut inbox) = mpsc::channel(1);

    let handler =
        move |payload: Result<Json<Move>, ExtractError>| seen.try_send(payload.is_err()).unwrap();
    run(&client, Frame::new("move").with_payload(r#"{"x":1}"#), handler).await;

    assert_eq!(inbox.recv().await, Some(true));
}

#[tokio::test]
async fn applications_have_arguments_of_their_own() {
    struct RoomName(String);

    impl FromContext for RoomName {
        type Error = HandlerError;

        fn from_context(context: &Context) -> Result<Self, HandlerError> {
            let connection = context.extract::<Connection>()?;
            Ok(Self(connection.room_id().to_owned()))
        }
    }
    let client = Client::alone().await;
    let journal = Journal::default();
    let seen = journal.clone();

    run(&client, Frame::new("move"), move |RoomName(room): RoomName| seen.note(room)).await;

    assert_eq!(journal.entries(), ["r"]);
}

#[tokio::test]
async fn a_handler_may_be_a_struct() {
    struct Named;
    struct Note(Journal);

    impl Handler<Named> for Note {
        fn call(&self, context: Context) -> HandlerFuture {
            self.0.note(context.event());
            HandlerFuture::ready(Ok(()))
        }
    }
    let client = Client::alone().await;
    let journal = Journal::default();

    run(&client, Frame::new("move"), Note(journal.clone())).await;

    assert_eq!(journal.entries(), ["move"]);
}

#[tokio::test]
async fn a_context_may_be_kept_after_its_dispatch() {
    let client = Client::alone().await;
    let (seen, mut inbox) = mpsc::channel(1);

    let handler = move |context: Context| seen.try_send(context).unwrap();
    run(&client, Frame::new("move").with_id("1"), handler).await;

    let context = inbox.recv().await.unwrap();
    assert_eq!(context.frame().id(), "1");
    assert_eq!(context.connection(), &client.connection);
}

#[tokio::test]
async fn handlers_and_middleware_of_a_router_share_its_state_one_value_for_each_type() {
    async fn count(context: Context, next: Next) -> HandlerResult {
        context.state::<Journal>().expect("it was given").note("middleware");
        next.run(context).await
    }
    let client = Client::alone().await;
    let journal = Journal::default();
    let router = Router::builder()
        .on("move", |State(journal): State<Journal>, State(number): State<u8>| {
            journal.note(format!("handler {number}"));
        })
        .state(1_u8)
        .layer(count)
        .state(journal.clone())
        .state(2_u8)
        .build()
        .unwrap();

    client.dispatch(&router, Frame::new("move")).await;

    assert_eq!(journal.entries(), ["middleware", "handler 2"]);
}
