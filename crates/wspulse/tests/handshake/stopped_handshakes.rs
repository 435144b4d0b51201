//! A server that stood still while a client was on its way in, or while a request was answered,
//! looks at what has come meanwhile before it refuses anybody. A clock that is moved in one step is
//! such a stop.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};
use wspulse::testing::{TestClient, request_head, request_parts};
use wspulse::{Admission, Rejection, Server};

use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::http::{read_response, read_to_end};
use crate::support::listener::serve_in_memory;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than the connect timeout and the handshake timeout.
const STOP: Duration = Duration::from_secs(35);
/// Longer than the request timeout, too.
const LONG_STOP: Duration = Duration::from_secs(95);
/// The default of `connect_timeout` and `handshake_timeout`.
const TIME: Duration = Duration::from_secs(10);
/// How often the time is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How much time there is after a stop at the least.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The status that a client is refused with.
fn connecting(server: Server) -> JoinHandle<Result<(), u16>> {
    tokio::spawn(async move {
        let connected = TestClient::connect(&server, "/ws").await;
        connected.map(drop).map_err(|refused| refused.status().as_u16())
    })
}

/// A server whose connect function waits for this.
fn waiting_for(answer: impl Future<Output = ()> + Send + 'static) -> Server {
    let answer = Mutex::new(Some(answer));
    let server = Server::builder(move |_| {
        let answer = answer.lock().unwrap().take().expect("one client");
        async move {
            answer.await;
            Ok::<_, Rejection>(Admission::room("lobby"))
        }
    });
    server.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connect_function_that_is_answered_right_after_the_stop_lets_its_client_in() {
    let (answer, answered) = oneshot::channel();
    let connecting = connecting(waiting_for(async { answered.await.unwrap() }));
    settle().await;
    advance(STOP).await;
    settle().await;
    answer.send(()).unwrap();
    assert_eq!(connecting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_connect_function_that_goes_on_after_the_stop_has_time_for_that() {
    let connecting = connecting(waiting_for(async {
        sleep(SECOND).await;
        sleep(SECOND).await;
    }));
    settle().await;
    advance(STOP).await;
    assert_eq!(connecting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn of_a_stop_a_few_seconds_at_the_most_count_as_the_connect_functions() {
    for (waits, stops) in [(1, 8), (1, 35), (6, 8), (6, 35)] {
        let begun_at = Instant::now();
        let connecting = connecting(waiting_for(std::future::pending()));
        sleep(waits * SECOND).await;
        advance(stops * SECOND).await;
        assert_eq!(connecting.await.unwrap(), Err(503));
        let (passed, whole) = (begun_at.elapsed(), TIME + stops * SECOND);
        assert!(passed <= whole + CATCH_UP, "{waits} {stops} {passed:?}");
        assert!(passed + LOOK >= whole, "{waits} {stops} {passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_handed_over_right_after_the_stop_is_taken() {
    let server = open_house().build().unwrap();
    let accepted = server.handshake(request_parts("/ws?id=ann")).unwrap().connect().await.unwrap();
    settle().await;
    advance(STOP).await;
    settle().await;
    let (_ours, theirs) = tokio::io::duplex(1024);
    accepted.attach(theirs, &[]);
    settle().await;
    assert!(server.connection("ann").is_some());
}

/// An application that is served in memory, and a client that has connected.
fn served() -> (DuplexStream, JoinHandle<()>) {
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(|| async { sleep(SECOND).await }))
        .route("/upload", post(|body: Bytes| async move { body.len().to_string() }))
        .route_service("/ws", open_house().build().unwrap());
    let (dialler, serving) = serve_in_memory(app, |serve| serve);
    (dialler.dial(), tokio::spawn(async { serving.await.unwrap().unwrap() }))
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_request_had_come_in_part_is_let_in() {
    let head = request_head("/ws");
    for sent in [0, 20, head.len() - 1] {
        let (stream, _serving) = served();
        let mut client = TestClient::new(stream);
        client.write_raw(&head.as_bytes()[..sent]).await.unwrap();
        settle().await;
        advance(STOP).await;
        settle().await;
        client.write_raw(&head.as_bytes()[sent..]).await.unwrap();
        let head = client.read_response_head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_more_after_the_stop_is_cut_off_in_time() {
    let (mut client, _serving) = served();
    client.write_all(b"GET / HT").await.unwrap();
    settle().await;
    advance(STOP).await;
    let continued_at = Instant::now();
    assert_eq!(read_to_end(&mut client).await, "");
    assert!(continued_at.elapsed() <= TIME, "{:?}", continued_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_kept_alive_serves_another_request_after_the_stop() {
    let (mut client, _serving) = served();
    for _ in 0..2 {
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(read_response(&mut client).await.1, "hello");
        settle().await;
        advance(LONG_STOP).await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_which_the_rest_comes_after_the_stop_is_taken() {
    let (mut client, _serving) = served();
    let head = b"POST /upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8\r\n\r\nhalf";
    client.write_all(head).await.unwrap();
    settle().await;
    advance(LONG_STOP).await;
    settle().await;
    client.write_all(b"rest").await.unwrap();
    assert_eq!(read_response(&mut client).await.1, "8");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_goes_on_after_the_stop_answers() {
    let (mut client, _serving) = served();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    settle().await;
    advance(LONG_STOP).await;
    let (head, _) = read_response(&mut client).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_a_request_come_to_its_end_after_the_stop() {
    let (shut_down, is_called) = oneshot::channel::<()>();
    let answer = Arc::new(Notify::new());
    let gate = Arc::clone(&answer);
    let app = Router::new().route(
        "/",
        get(|| async move {
            gate.notified().await;
            "done"
        }),
    );
    let (dialler, serving) = serve_in_memory(app, |serve| {
        serve.with_graceful_shutdown(async { is_called.await.unwrap() })
    });
    let mut client = dialler.dial();
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    settle().await;
    shut_down.send(()).unwrap();
    settle().await;
    advance(STOP).await;
    settle().await;
    answer.notify_one();
    assert_eq!(read_response(&mut client).await.1, "done");
    serving.await.unwrap().unwrap();
}
