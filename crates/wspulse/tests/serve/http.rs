//! What is served: plain HTTP beside WebSockets, addresses, errors, and the end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use wspulse::testing::{Dialler, TestClient, request_head};
use wspulse::{ConnectRequest, PeerAddr};

use crate::support::clients::echoes;
use crate::support::clock::{assert_passed, settle};
use crate::support::house::{admit, echo, open_house};
use crate::support::http::{read_response, read_to_end, write_to};
use crate::support::listener::{serve_in_memory, serve_over_tcp};
use crate::support::logs::Logs;

const SECOND: Duration = Duration::from_secs(1);

async fn own_address(Extension(PeerAddr(address)): Extension<PeerAddr>) -> String {
    address.to_string()
}

async fn panics() -> String {
    panic!("a handler's own fault")
}

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/address", get(own_address))
        .route("/slow", get(|| async { sleep(5 * SECOND).await }))
        .route("/stuck", get(|| async { sleep(50 * SECOND).await }))
        .route("/panics", get(panics))
        .route_service("/ws", echo().build().unwrap())
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

#[tokio::test]
async fn a_connection_is_kept_alive_and_may_become_a_websocket_in_the_end() {
    let address = serve_over_tcp(app(), |serve| serve).await;
    let mut stream = write_to(address, b"").await;
    for _ in 0..3 {
        stream.write_all(request("/").as_bytes()).await.unwrap();
        let (head, body) = read_response(&mut stream).await;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert_eq!(body, "hello");
    }
    let mut client = TestClient::new(stream);
    client.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    assert!(client.read_response_head().await.unwrap().starts_with("HTTP/1.1 101 "));
    echoes(&mut client, 1).await;
}

#[tokio::test]
async fn requests_that_are_sent_all_at_once_are_answered_in_order() {
    let address = serve_over_tcp(app(), |serve| serve).await;
    let all = [request("/"), request("/address"), request("/")].concat();
    let mut stream = write_to(address, all.as_bytes()).await;
    let own = stream.local_addr().unwrap().to_string();
    for expected in ["hello", &own, "hello"] {
        assert_eq!(read_response(&mut stream).await.1, expected);
    }
}

#[tokio::test]
async fn a_server_is_served_without_a_router() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(wspulse::serve(listener, echo().build().unwrap()).into_future());
    let mut client = TestClient::connect_tcp(address, "/").await.unwrap();
    echoes(&mut client, 1).await;
}

#[tokio::test]
async fn an_axum_handler_finds_the_peers_address() {
    let address = serve_over_tcp(app(), |serve| serve).await;
    let mut stream = write_to(address, request("/address").as_bytes()).await;
    let own = stream.local_addr().unwrap().to_string();
    assert_eq!(read_response(&mut stream).await.1, own);
}

#[tokio::test]
async fn a_connect_function_finds_the_peers_address() {
    let (tell, told) = oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let server = wspulse::Server::builder_sync(move |request: ConnectRequest| {
        let tell = tell.lock().unwrap().take().expect("asked once");
        tell.send(request.peer_addr()).unwrap();
        Ok(admit(&request))
    });
    let app = Router::new().route_service("/ws", server.build().unwrap());
    let address = serve_over_tcp(app, |serve| serve).await;
    let client = TestClient::connect_tcp(address, "/ws").await.unwrap();
    let own: Option<SocketAddr> = client.into_stream().local_addr().ok();
    assert_eq!(told.await.unwrap(), own);
}

async fn is_served(dialler: &Dialler) {
    let mut client = dialler.dial();
    client.write_all(request("/").as_bytes()).await.unwrap();
    assert_eq!(read_response(&mut client).await.1, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_costs_its_own_connection_only() {
    let logs = Logs::capture();
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let mut client = dialler.dial();
    client.write_all(request("/panics").as_bytes()).await.unwrap();
    assert_eq!(read_to_end(&mut client).await, "");
    is_served(&dialler).await;
    assert!(logs.one("ERROR", "serving an HTTP connection").contains("a handler's own fault"));
}

#[tokio::test(start_paused = true)]
async fn accepting_goes_on_after_errors_with_pauses_and_one_line_in_the_log() {
    let logs = Logs::capture();
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    for _ in 0..10 {
        dialler.fail(io::ErrorKind::ConnectionAborted.into());
    }
    let failed_at = Instant::now();
    is_served(&dialler).await;
    // 1 + 2 + 4 + … + 256 ms, then 500.
    assert_passed(failed_at, Duration::from_millis(1_011));
    logs.one("ERROR", "accepting failed");

    dialler.fail(io::ErrorKind::ConnectionAborted.into());
    let failed_at = Instant::now();
    is_served(&dialler).await;
    assert_passed(failed_at, Duration::from_millis(1));
}

/// A served application, and what stops it.
fn stoppable() -> (Dialler, tokio::task::JoinHandle<()>, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel();
    let (dialler, serving) =
        serve_in_memory(app(), |serve| serve.with_graceful_shutdown(async { drop(stopped.await) }));
    (dialler, tokio::spawn(async move { serving.await.unwrap().unwrap() }), stop)
}

/// A client that waits for the answer to a request.
async fn waiting(dialler: &Dialler, path: &str) -> DuplexStream {
    let mut client = dialler.dial();
    client.write_all(request(path).as_bytes()).await.unwrap();
    settle().await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_idle_connections_at_once() {
    let (dialler, serving, stop) = stoppable();
    let mut silent = dialler.dial();
    let mut idle = waiting(&dialler, "/").await;
    read_response(&mut idle).await;
    let stopped_at = Instant::now();
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert_passed(stopped_at, Duration::ZERO);
    for client in [&mut silent, &mut idle] {
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_requests_that_are_being_answered() {
    let (dialler, serving, stop) = stoppable();
    let mut client = waiting(&dialler, "/slow").await;
    let stopped_at = Instant::now();
    stop.send(()).unwrap();
    let (head, _) = read_response(&mut client).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    serving.await.unwrap();
    assert_passed(stopped_at, 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn by_default_a_shutdown_waits_10_s_and_no_longer() {
    let (dialler, serving, stop) = stoppable();
    let mut client = waiting(&dialler, "/stuck").await;
    let stopped_at = Instant::now();
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert_passed(stopped_at, 10 * SECOND);
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn websockets_outlive_the_server_that_accepted_them() {
    let (dialler, serving, stop) = stoppable();
    let mut client = TestClient::new(dialler.dial());
    client.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    client.read_response_head().await.unwrap();
    stop.send(()).unwrap();
    serving.await.unwrap();
    echoes(&mut client, 1).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_closes_what_has_no_websocket() {
    let (dialler, serving) = serve_in_memory(app(), |serve| serve);
    let mut client = waiting(&dialler, "/stuck").await;
    serving.abort();
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_closes_whoever_is_silent() {
    let (dialler, serving) = serve_in_memory(app(), |serve| serve);
    let mut silent = dialler.dial();
    settle().await;
    let aborted_at = Instant::now();
    serving.abort();
    assert_eq!(read_to_end(&mut silent).await, "");
    assert_passed(aborted_at, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_during_a_shutdown_closes_what_is_being_answered() {
    let (stop, stopped) = oneshot::channel();
    let (dialler, serving) =
        serve_in_memory(app(), |serve| serve.with_graceful_shutdown(async { drop(stopped.await) }));
    let mut client = waiting(&dialler, "/stuck").await;
    stop.send(()).unwrap();
    settle().await;
    let aborted_at = Instant::now();
    serving.abort();
    assert_eq!(read_to_end(&mut client).await, "");
    assert_passed(aborted_at, Duration::ZERO);
}

#[tokio::test]
async fn a_client_that_ends_its_side_of_the_stream_is_let_go() {
    let server = open_house().build().unwrap();
    let app = Router::new().route_service("/ws", server.clone());
    let address = serve_over_tcp(app, |serve| serve).await;
    let mut stream = write_to(address, b"GET /ws HT").await;
    stream.shutdown().await.unwrap();
    read_to_end(&mut stream).await;
    assert_eq!(server.connection_count(), 0);
}
