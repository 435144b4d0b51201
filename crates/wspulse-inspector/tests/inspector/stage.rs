//! A chat, an inspector beside it, and requests to that.

use std::time::Duration;

use axum::Router;
use http::{Request, Response};
use serde_json::Value;
use wspulse::testing::{LiveClient, TestServer};
use wspulse::{Admission, Rejection, RoomOptions, Server, ServerBuilder};
use wspulse_inspector::{Builder, Inspector};

pub(crate) const WINDOW: Duration = Duration::from_secs(30);

/// The body of an answer, as tests read it.
pub(crate) type Body = Vec<u8>;

/// Lets everybody in: `/ws?user=…&room=…&id=…`. What is said is told to the room.
pub(crate) fn chat() -> ServerBuilder {
    Server::builder_sync(|request| {
        let word = |name| request.query(name).unwrap_or_default().into_owned();
        let admission = match request.query("room") {
            Some(room) => Admission::room(room),
            None => Admission::without_room(),
        };
        let admission = admission.id(word("id"));
        let user = word("user");
        Ok::<_, Rejection>(if user.is_empty() { admission } else { admission.user(user) })
    })
    .on_message(|conn, frame| drop(conn.room().broadcast(frame.with_id(""))))
    .room_options(|_| RoomOptions::new().presence())
    .resume_window(WINDOW)
}

/// A chat under `/ws`, and an inspector under `/some/where`.
pub(crate) fn stage(inspector: impl FnOnce(Server) -> Builder) -> TestServer {
    stage_of(chat(), inspector)
}

/// As [`stage`], of another chat.
pub(crate) fn stage_of(
    chat: ServerBuilder,
    inspector: impl FnOnce(Server) -> Builder,
) -> TestServer {
    let app = |server: Server| {
        let inspector = inspector(server.clone()).build().expect("its options are valid");
        Router::new().route_service("/ws", server).route_service("/some/where", inspector)
    };
    TestServer::with_app(chat, app).expect("the options are valid")
}

pub(crate) fn open() -> TestServer {
    stage(Inspector::open_to_everyone)
}

/// Joins the chat.
pub(crate) async fn join(test: &TestServer, id: &str, user: &str, room: &str) -> LiveClient {
    let client = test.client(id).from("192.0.2.7:50000");
    client.connect(&format!("/ws?id={id}&user={user}&room={room}")).await
}

/// Opens the page's WebSocket.
pub(crate) async fn page(test: &TestServer) -> LiveClient {
    test.client("page").connect("/some/where?live").await
}

pub(crate) fn get(wanted: &str) -> Request<Vec<u8>> {
    Request::get(format!("/some/where?{wanted}")).body(Vec::new()).expect("a request")
}

/// As the page's buttons do.
pub(crate) fn post(wanted: &str) -> Request<Vec<u8>> {
    let mut request = get(wanted);
    *request.method_mut() = http::Method::POST;
    let headers = request.headers_mut();
    headers.insert("x-wspulse-inspector", "1".parse().expect("a value"));
    headers.insert("sec-fetch-site", "same-origin".parse().expect("a value"));
    request
}

pub(crate) async fn answer(test: &TestServer, request: Request<Vec<u8>>) -> Response<Body> {
    test.http(request).await.map(|body| body.to_vec())
}

/// A list, or what else is JSON.
pub(crate) async fn json(test: &TestServer, wanted: &str) -> Value {
    let response = answer(test, get(wanted)).await;
    assert_eq!(response.status(), 200, "{wanted}");
    serde_json::from_slice(response.body()).expect("JSON")
}

/// One member of each row.
pub(crate) fn column(list: &Value, name: &str) -> Vec<String> {
    let rows = list["rows"].as_array().expect("rows");
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.iter().map(|row| text(&row[name])).collect()
}
