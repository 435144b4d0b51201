//! Times: each request has its own, and a connection without streams has that of a request's head.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};
use wspulse::serve::{Http2, Serve};
use wspulse::testing::{Dialler, MemoryListener};

use crate::raw::{HEADERS, PREFACE, RST_STREAM, Raw, SETTINGS, frame, request};
use crate::support::clients::echoes;
use crate::support::clock::{assert_passed, settle};
use crate::support::house::echo;
use crate::support::http::read_to_end;
use crate::support::listener::serve_in_memory;
use crate::ways::Connection;

const SECOND: Duration = Duration::from_secs(1);

fn served(
    configure: impl FnOnce(Serve<MemoryListener, Router>) -> Serve<MemoryListener, Router>,
) -> Dialler {
    let app = Router::new()
        .route("/stuck", get(std::future::pending::<String>))
        .route("/large", get(|| async { vec![b'y'; 1_000_000] }))
        .route_service("/ws", echo().build().unwrap());
    let (dialler, serving) = serve_in_memory(app, |serve| configure(serve.http2(Http2::new())));
    drop(serving);
    dialler
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_opens_no_stream_is_cut_off_at_the_time_of_a_head() {
    let dialler = served(|serve| serve);
    for said in [PREFACE.to_vec(), [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()] {
        let accepted_at = Instant::now();
        let mut stream = dialler.dial();
        sleep(3 * SECOND).await;
        stream.write_all(&said).await.unwrap();
        let mut all = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut all).await;
        assert_passed(accepted_at, 10 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_drips_is_cut_off_at_the_time_of_a_head() {
    let dialler = served(|serve| serve);
    let accepted_at = Instant::now();
    let mut stream = dialler.dial();
    for byte in &PREFACE[..4] {
        sleep(2 * SECOND).await;
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(read_to_end(&mut stream).await, "");
    assert_passed(accepted_at, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_streams_have_ended_is_told_to_go_after_the_time_of_a_head() {
    let dialler = served(|serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    sleep(9 * SECOND).await;
    assert_eq!(connection.get("/none").await.status(), 404);
    let answered_at = Instant::now();
    connection.driver.await.unwrap().unwrap();
    assert_passed(answered_at, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_websocket_may_open_no_other_stream_for_ever() {
    let dialler = served(|serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    let mut ann = connection.open("/ws").await;
    for number in 0..30 {
        sleep(10 * SECOND).await;
        echoes(&mut ann, number).await;
    }
    drop(ann);
    let ended_at = Instant::now();
    connection.driver.await.unwrap().unwrap();
    assert_passed(ended_at, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_reset_and_costs_no_other_stream() {
    let dialler = served(|serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&request(1, "GET", "/stuck")).await;
    sleep(20 * SECOND).await;
    let asked_at = Instant::now();
    raw.write(&request(3, "GET", "/stuck")).await;
    let reset = raw.next(RST_STREAM).await;
    assert_eq!(reset.stream, 1);
    assert_passed(asked_at, 40 * SECOND);
    assert_eq!(raw.next(RST_STREAM).await.stream, 3);
    assert_passed(asked_at, 60 * SECOND);
    raw.write(&request(5, "GET", "/none")).await;
    assert_eq!(raw.next(HEADERS).await.stream, 5);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_taken_ends_with_its_request() {
    let dialler = served(|serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    let asked_at = Instant::now();
    raw.write(&request(1, "GET", "/large")).await;
    // It gets 65,535 bytes, and gives no window for more.
    assert_eq!(raw.next(RST_STREAM).await.stream, 1);
    assert_passed(asked_at, 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_a_request_has_for_ever() {
    let dialler = served(|serve| serve.request_timeout(None));
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&request(1, "GET", "/stuck")).await;
    sleep(3600 * SECOND).await;
    assert!(raw.so_far().iter().all(|frame| frame.kind != RST_STREAM));
}

#[tokio::test(start_paused = true)]
async fn a_large_response_comes_whole() {
    let dialler = served(|serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    let body = connection.get("/large").await.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 1_000_000);
    settle().await;
}
