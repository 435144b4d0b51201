//! The router as a server's message callback, seen from the client.

use serde_json::json;
use tungstenite::Message;
use wspulse::metrics::CallbackPanicked;
use wspulse::router::{HandlerResult, Json, Recovery, Router};
use wspulse::{Admission, Connection, Frame, MetricsCollector, Server, ServerBuilder};

use crate::support::dispatch::{Client, Journal};

fn server() -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("r")))
}

async fn double(connection: Connection, frame: Frame, Json(number): Json<u32>) -> HandlerResult {
    connection.send(Frame::new("doubled").with_id(frame.id()).json(&(number * 2))?)?;
    Ok(())
}

fn reply_with_error(connection: &Connection, request: &Frame, error: &str) {
    let reply = Frame::new("error").with_id(request.id()).json(error).unwrap();
    connection.send(reply).unwrap();
}

#[tokio::test]
async fn a_server_routes_the_messages_of_its_clients() {
    let router = Router::builder().on("double", double).build().unwrap();
    let mut client = Client::of(server().router(router)).await;

    client.send(r#"{"id":"1","event":"double","payload":21}"#).await;

    let reply = json!({"id": "1", "event": "doubled", "payload": 42});
    assert_eq!(client.receive_json().await, reply);
}

#[tokio::test]
async fn a_failure_can_be_a_reply() {
    let router = Router::builder()
        .on("double", double)
        .on_error(|connection, request, error| {
            reply_with_error(&connection, &request, &error.to_string());
        })
        .build()
        .unwrap();
    let mut client = Client::of(server().router(router)).await;

    client.send(r#"{"id":"1","event":"double","payload":"much"}"#).await;

    let reply = client.receive_json().await;
    assert_eq!(reply["event"], "error");
    assert_eq!(reply["id"], "1");
}

#[tokio::test]
async fn a_connection_survives_a_recovered_panic() {
    fn panicking() {
        panic!("oh no");
    }
    let router = Router::builder()
        .layer(Recovery)
        .on("panic", panicking)
        .on("double", double)
        .build()
        .unwrap();
    let mut client = Client::of(server().router(router)).await;

    client.send(r#"{"event":"panic"}"#).await;
    client.send(r#"{"event":"double","payload":21}"#).await;

    assert_eq!(client.receive_json().await["payload"], 42);
}

#[tokio::test]
async fn without_recovery_a_panic_ends_the_transport() {
    fn panicking() {
        panic!("oh no");
    }
    let router = Router::builder().on("panic", panicking).build().unwrap();
    let mut client = Client::of(server().router(router)).await;

    client.send(r#"{"event":"panic"}"#).await;

    let Message::Close(Some(close)) = client.receive().await else { panic!("no close frame") };
    assert_eq!(u16::from(close.code), 1011);
}

#[tokio::test]
async fn a_recovered_panic_is_counted() {
    struct Counter(Journal);
    impl MetricsCollector for Counter {
        fn callback_panicked(&self, event: &CallbackPanicked<'_>) {
            let &CallbackPanicked { room, id, callback, .. } = event;
            self.0.note(format!("{callback} of {id} in {room}"));
        }
    }
    let journal = Journal::default();
    let router = Router::builder()
        .layer(Recovery)
        .on("panic", || -> () { panic!("oh no") })
        .on_error(|connection, request, _| reply_with_error(&connection, &request, "internal"))
        .build()
        .unwrap();
    let server = Server::builder_sync(|_| Ok(Admission::room("r").id("c")));
    let mut client = Client::of(server.router(router).metrics(Counter(journal.clone()))).await;

    client.send(r#"{"event":"panic"}"#).await;

    assert_eq!(client.receive_json().await["event"], "error");
    assert_eq!(journal.entries(), ["on_message of c in r"]);
}
