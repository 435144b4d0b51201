//! Clients go the whole way in: HTTP, the routes of the application, the connect function.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use wspulse::testing::{Fault, TestServer, Way};
use wspulse::{Admission, CloseCode, Rejection, Server, ServerBuilder, TransportLost, origin};

/// The user of a token, a room of the query's, an origin that must be the page's own.
fn chat() -> ServerBuilder {
    Server::builder_sync(|request| {
        let token = request.header("authorization").ok_or_else(Rejection::unauthorized)?;
        let user = token.strip_prefix("Bearer ").ok_or_else(Rejection::unauthorized)?.to_owned();
        let room = request.query("room").unwrap_or("lobby".into());
        Ok(Admission::room(room).user(&user).id(user))
    })
    .on_message(|conn, frame| {
        let _ = conn.room().broadcast(frame.with_event("said").with_id(""));
    })
    .check_origin(origin::same_origin())
    .resume_window(Duration::from_secs(30))
}

fn app(server: Server) -> Router {
    Router::new()
        .route_service("/ws", server)
        .route("/health", get(|| async { "well" }))
        .route("/login", post(|body: String| async move { format!("token of {body}") }))
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_by_the_routes_and_the_connect_function_of_an_axum_application() {
    let test = TestServer::with_app(chat(), app).unwrap();
    let ann = test
        .client("ann")
        .header("authorization", "Bearer ann")
        .header("origin", "http://localhost")
        .from("192.0.2.1:50000")
        .connect("/ws?room=tea")
        .await;
    let connection = test.callbacks().expect_connect("ann").await;
    assert_eq!(connection.room_id(), "tea");
    assert_eq!(connection.user_id(), Some("ann"));
    assert_eq!(connection.peer_addr(), "192.0.2.1:50000".parse().ok());
    ann.send_json("say", "hello");
    ann.expect_json("said", "hello").await;
    test.metrics().expect("connection_opened tea ann").await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_answer_of_whoever_refuses() {
    let test = TestServer::with_app(chat(), app).unwrap();
    let strangers = test.client("eve").refused("/ws").await;
    assert_eq!(strangers.status(), StatusCode::UNAUTHORIZED);
    let pages = test.client("eve").header("origin", "http://evil.example").refused("/ws").await;
    assert_eq!((pages.status(), pages.body()), (StatusCode::FORBIDDEN, "Forbidden\n".into()));
    let elsewhere = test.client("eve").refused("/nothing").await;
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
    test.metrics().expect("upgrade_refused 401").await;
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_by_the_application() {
    let test = TestServer::with_app(chat(), app).unwrap();
    let login = Request::post("/login").body("ann").unwrap();
    assert_eq!(&test.http(login).await.body()[..], b"token of ann");
    let health = test.http(Request::get("/health").body("").unwrap()).await;
    assert_eq!((health.status(), &health.body()[..]), (StatusCode::OK, &b"well"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_built_already_is_served_with_its_application() {
    let server = chat().build().unwrap();
    let test = TestServer::around(server.clone(), app(server));
    let mut ann = test.client("ann").header("authorization", "Bearer ann").connect("/ws").await;
    ann.link().cut();
    ann.reconnect().await;
    ann.send_json("say", "hello");
    ann.expect_json("said", "hello").await;
}

#[tokio::test]
async fn over_tcp_links_fail_as_they_do_in_memory() {
    let test = TestServer::on_free_port(chat(), app).await.unwrap();
    assert_ne!(test.address().unwrap().port(), 0);
    let dial = || test.client("ann").header("authorization", "Bearer ann");
    let mut ann = dial().connect("/ws").await;
    let bob = test.client("bob").header("authorization", "Bearer bob").connect("/ws").await;
    ann.link().cut();
    test.callbacks().expect_transport_drop("ann").await;
    assert!(ann.expect_lost().await.contains("reset"));
    bob.send_json("say", "where is she?");
    ann.reconnect().await;
    ann.expect_json("said", "where is she?").await;
    ann.link().fail(Fault::Stall(Way::Down));
    bob.send_json("say", "slow");
    bob.expect_json("said", "slow").await;
    ann.refute("slow").await;
    ann.link().restore();
    ann.expect_json("said", "slow").await;
}

#[tokio::test]
async fn over_tcp_any_client_finds_the_address() {
    let test = TestServer::on_free_port(chat(), app).await.unwrap();
    let url = format!("ws://{}/ws", test.address().unwrap());
    let mut request = tungstenite::client::IntoClientRequest::into_client_request(url).unwrap();
    request.headers_mut().insert("authorization", "Bearer ann".parse().unwrap());
    let (stranger, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    test.callbacks().expect_connect("ann").await;
    drop(stranger);
    test.callbacks().expect_transport_drop("ann").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_goodbye_is_answered_and_one_that_is_dropped_says_nothing() {
    let test = TestServer::with_app(chat(), app).unwrap();
    let ann = test.client("ann").header("authorization", "Bearer ann").connect("/ws").await;
    ann.close().await;
    let cause = test.callbacks().expect_transport_drop("ann").await;
    assert!(matches!(cause, TransportLost::PeerClosed(Some(_))), "{cause:?}");
    let bob = test.client("bob").header("authorization", "Bearer bob").connect("/ws").await;
    drop(bob);
    let cause = test.callbacks().expect_transport_drop("bob").await;
    assert!(matches!(cause, TransportLost::EndOfStream), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_answers_the_close_of_the_server() {
    let test = TestServer::with_app(chat(), app).unwrap();
    let ann = test.client("ann").header("authorization", "Bearer ann").connect("/ws").await;
    let began_at = tokio::time::Instant::now();
    test.server().close().await;
    assert_eq!(ann.expect_close().await.unwrap().code(), CloseCode::GOING_AWAY);
    assert!(began_at.elapsed() < Duration::from_secs(1), "nothing had to be waited out");
}

#[tokio::test(start_paused = true)]
async fn the_collector_and_the_callbacks_of_the_application_go_on() {
    let own = wspulse::testing::Recorder::default();
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let builder = chat().metrics(own.clone()).on_disconnect(move |conn, _| {
        sender.send(conn.id().to_owned()).unwrap();
    });
    let test = TestServer::new(builder).unwrap();
    let ann = test.client("ann").header("authorization", "Bearer ann").connect("/").await;
    test.server().kick("ann").unwrap();
    assert_eq!(told.recv().await.as_deref(), Some("ann"));
    assert_eq!(ann.expect_close().await.unwrap().code(), CloseCode::NORMAL);
    assert_eq!(own.only("connection_closed").len(), 1);
    assert_eq!(own.lines(), test.metrics().lines());
}
