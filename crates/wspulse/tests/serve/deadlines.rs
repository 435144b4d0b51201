//! Clients that take their time before they have a WebSocket are cut off; others are not.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::{Instant, sleep};
use wspulse::testing::{TestClient, request_head};

use crate::support::clients::echoes;
use crate::support::clock::assert_passed;
use crate::support::house::echo;
use crate::support::http::{read_response, read_to_end, write_to};
use crate::support::listener::{serve_in_memory, serve_over_tcp};

const SECOND: Duration = Duration::from_secs(1);
const MIB: usize = 1024 * 1024;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn app() -> Router {
    let server = echo().heartbeat(300 * SECOND, 600 * SECOND).build().unwrap();
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/large", get(|| async { "x".repeat(4 * MIB) }))
        .route("/slow", get(|| async { sleep(300 * SECOND).await }))
        .route("/upload", post(|body: Bytes| async move { body.len().to_string() }))
        .route_service("/ws", server)
}

/// Writes a request byte by byte, with a pause before each, until that fails or all is written.
async fn drip(mut stream: impl AsyncWrite + Unpin, request: &[u8], pause: Duration) {
    for byte in request {
        sleep(pause).await;
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
    }
}

/// Waits for the end of a connection over which nothing else comes.
async fn ends_without_a_word(stream: &mut (impl AsyncRead + Unpin)) {
    assert_eq!(read_to_end(stream).await, "");
}

#[tokio::test(start_paused = true)]
async fn by_default_a_client_has_10_s_to_send_its_request() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    for sent in [&b""[..], b"G", &GET[..20], &GET[..GET.len() - 1], b"\r\n\r\n\r\n"] {
        let accepted_at = Instant::now();
        let mut client = dialler.dial();
        client.write_all(sent).await.unwrap();
        ends_without_a_word(&mut client).await;
        assert_passed(accepted_at, 10 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_buys_no_time() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let accepted_at = Instant::now();
    let (mut reading, writing) = split(dialler.dial());
    let dripping = tokio::spawn(drip(writing, GET, SECOND));
    ends_without_a_word(&mut reading).await;
    assert_passed(accepted_at, 10 * SECOND);
    dripping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_drips_in_time_is_accepted() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let head = request_head("/ws");
    let mut client = TestClient::new(dialler.dial());
    for byte in head.as_bytes() {
        sleep(Duration::from_millis(50)).await;
        client.write_raw(&[*byte]).await.unwrap();
    }
    assert!(client.read_response_head().await.unwrap().starts_with("HTTP/1.1 101 "));
    echoes(&mut client, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_kept_alive_is_closed_10_s_after_its_last_response() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let mut client = dialler.dial();
    for _ in 0..5 {
        client.write_all(GET).await.unwrap();
        assert_eq!(read_response(&mut client).await.1, "hello");
        sleep(9 * SECOND).await;
    }
    client.write_all(GET).await.unwrap();
    read_response(&mut client).await;
    let answered_at = Instant::now();
    client.write_all(b"G").await.unwrap();
    ends_without_a_word(&mut client).await;
    assert_passed(answered_at, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn by_default_a_service_that_does_not_answer_is_given_up_after_60_s() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let mut client = dialler.dial();
    let asked_at = Instant::now();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    ends_without_a_word(&mut client).await;
    assert_passed(asked_at, 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_given_up_after_60_s() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let asked_at = Instant::now();
    let (mut reading, mut writing) = split(dialler.dial());
    let head = b"POST /upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n";
    writing.write_all(head).await.unwrap();
    let dripping = tokio::spawn(drip(writing, &[b'x'; 1000], SECOND));
    ends_without_a_word(&mut reading).await;
    assert_passed(asked_at, 60 * SECOND);
    dripping.await.unwrap();
}

/// How many bytes of a response of 4 MiB come to a client that begins to read this late.
async fn read_late(by: Duration) -> usize {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let mut client = dialler.dial_with_capacity(1024);
    client
        .write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    sleep(by).await;
    read_to_end(&mut client).await.len()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_response_is_cut_off_after_60_s() {
    assert!(read_late(59 * SECOND).await > 4 * MIB);
    assert_eq!(read_late(61 * SECOND).await, 1024, "what the stream held");
}

#[tokio::test(start_paused = true)]
async fn without_a_request_timeout_a_response_may_take_as_long_as_it_does() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve.request_timeout(None));
    let mut client = dialler.dial();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (head, _) = read_response(&mut client).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
}

#[tokio::test(start_paused = true)]
async fn no_deadline_outlasts_the_handshake_of_a_websocket() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let mut client = TestClient::new(dialler.dial());
    client.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    client.read_response_head().await.unwrap();
    for number in 0..3 {
        sleep(100 * SECOND).await;
        echoes(&mut client, number).await;
    }
}

#[tokio::test]
async fn over_a_socket_whoever_sends_no_whole_request_is_cut_off() {
    let deadline = Duration::from_millis(50);
    let address = serve_over_tcp(app(), |serve| serve.handshake_timeout(deadline)).await;
    let head = request_head("/ws");
    for sent in [&b""[..], b"G", &head.as_bytes()[..head.len() / 2]] {
        let mut stream = write_to(address, sent).await;
        ends_without_a_word(&mut stream).await;
    }
}

#[tokio::test]
async fn over_a_socket_whoever_drips_is_cut_off() {
    let deadline = Duration::from_millis(50);
    let address = serve_over_tcp(app(), |serve| serve.handshake_timeout(deadline)).await;
    let (mut reading, writing) = split(write_to(address, b"").await);
    // Far more pauses than fit into the deadline.
    let dripping = tokio::spawn(drip(writing, &[b'x'; 1000], Duration::from_millis(5)));
    ends_without_a_word(&mut reading).await;
    dripping.abort();
}

#[tokio::test]
async fn over_a_socket_a_client_that_reads_nothing_is_cut_off() {
    let deadline = Duration::from_millis(50);
    let app = Router::new().route("/", get(|| async { "x".repeat(64 * MIB) }));
    let address = serve_over_tcp(app, |serve| serve.request_timeout(Some(deadline))).await;
    let mut stream = write_to(address, GET).await;
    // It is gone once nothing more is read there: writing what is no request fails then.
    while stream.write_all(&[b'x'; 1024]).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let mut rest = Vec::new();
    let _reset = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 * MIB);
}
