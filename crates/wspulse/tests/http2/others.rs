//! What reads its stream without telling: WebSockets of another library in the same app, and bodies.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{any, post};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};
use wspulse::serve::Http2;

use crate::raw::{
    ACK, DATA, END_STREAM, HEADERS, Raw, SETTINGS, WINDOW_UPDATE, frame, request, websocket,
};
use crate::support::clock::settle;
use crate::support::listener::serve_in_memory;

const SECOND: Duration = Duration::from_secs(1);
/// What 2,048 frames, or as many pieces of h2's read buffer, could still be unread of, for all that is known.
const MANY: u32 = 2_100;

/// Reads each byte at once, and sends it back.
async fn echo_bytes(request: Request) -> StatusCode {
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let (mut stream, mut buffer) = (TokioIo::new(upgraded), [0; 4096]);
        while let Ok(len @ 1..) = stream.read(&mut buffer).await {
            if stream.write_all(&buffer[..len]).await.is_err() {
                break;
            }
        }
    });
    StatusCode::OK
}

/// A client of an app with such WebSockets, and bodies that are sent back, read and not read.
async fn client(http2: Http2) -> Raw {
    let app = Router::new()
        .route("/websocket", any(echo_bytes))
        .route("/echo", post(async |request: Request| Response::new(request.into_body())))
        .route("/read", post(async |body: Bytes| format!("{} bytes", body.len())))
        .route(
            "/unread",
            post(async |body: Body| {
                std::future::pending::<()>().await;
                drop(body);
            }),
        );
    let (dialler, serving) = serve_in_memory(app, |serve| serve.http2(http2).request_timeout(None));
    drop(serving);
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&frame(SETTINGS, ACK, 0, &[])).await;
    // It takes as much as is sent.
    raw.write(&frame(SETTINGS, 0, 0, &[0, 4, 0, 255, 0, 0])).await;
    raw.write(&frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).await;
    raw
}

/// Has each stream say a message once it has got the last one back: the longest that one took.
async fn talk(raw: &mut Raw, streams: u32, rounds: u32, bytes: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..rounds {
        for number in 0..streams {
            let said_at = Instant::now();
            raw.write(&frame(DATA, 0, 2 * number + 1, &vec![7; bytes])).await;
            let back = timeout(3600 * SECOND, raw.next(DATA)).await.expect("it comes back");
            assert_eq!((back.stream, back.payload.len()), (2 * number + 1, bytes));
            longest = longest.max(said_at.elapsed());
        }
    }
    longest
}

#[tokio::test(start_paused = true)]
async fn small_messages_of_other_websockets_that_are_read_wait_for_nobody() {
    for (streams, bytes, window) in [(8, 20, 16), (40, 60, 16), (100, 200, 16), (1, 20, 128)] {
        let mut raw = client(Http2::new().stream_window_bytes(window * 1024)).await;
        for number in 0..streams {
            raw.write(&websocket(2 * number + 1, "/websocket")).await;
            raw.next(HEADERS).await;
        }
        assert_eq!(talk(&mut raw, streams, 5_000 / streams, bytes).await, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_of_both_directions_that_talk_wait_for_nobody() {
    let mut raw = client(Http2::new()).await;
    for number in 0..8 {
        raw.write(&request(2 * number + 1, "POST", "/echo")).await;
        raw.next(HEADERS).await;
    }
    assert_eq!(talk(&mut raw, 8, 700, 20).await, Duration::ZERO);
}

const LARGE: u32 = 1;
const LARGE_BYTES: usize = 8 * 1024;

/// Sends what is sent back at once, and fills a piece of h2's read buffer.
async fn send_large(raw: &mut Raw) {
    raw.write(&frame(WINDOW_UPDATE, 0, LARGE, &[0, 0, 0x20, 0])).await;
    raw.write(&frame(DATA, 0, LARGE, &[7; LARGE_BYTES])).await;
}

#[tokio::test(start_paused = true)]
async fn small_messages_among_large_ones_go_on_though_nobody_tells_that_they_are_read() {
    let mut raw = client(Http2::new()).await;
    raw.write(&request(LARGE, "POST", "/echo")).await;
    raw.next(HEADERS).await;
    let stream = |number| 2 * (number % 40) + 3;
    for number in 0..40 {
        raw.write(&websocket(stream(number), "/websocket")).await;
        raw.next(HEADERS).await;
    }
    let mut longest = Duration::ZERO;
    for number in 0..3 * MANY {
        let said_at = Instant::now();
        send_large(&mut raw).await;
        raw.write(&frame(DATA, 0, stream(number), &[7; 20])).await;
        let mut missing = LARGE_BYTES + 20;
        while missing > 0 {
            let back = timeout(3600 * SECOND, raw.next(DATA)).await.expect("it comes back");
            missing -= back.payload.len();
        }
        longest = longest.max(said_at.elapsed());
    }
    assert!(longest > Duration::ZERO, "what this is about did not happen");
    assert!(longest < SECOND / 5, "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn small_messages_among_large_ones_that_nobody_reads_for_long_end_their_connection() {
    let mut raw = client(Http2::new()).await;
    raw.write(&request(LARGE, "POST", "/echo")).await;
    raw.next(HEADERS).await;
    let stream = |number| 2 * (number % 20) + 3;
    for number in 0..20 {
        raw.write(&request(stream(number), "POST", "/unread")).await;
    }
    let begun_at = Instant::now();
    for number in 0.. {
        send_large(&mut raw).await;
        raw.write(&frame(DATA, 0, stream(number), b"y")).await;
        settle().await;
        if number > MANY {
            sleep(SECOND / 10).await;
        }
        if raw.has_ended() {
            break;
        }
    }
    assert!(
        (1_400 * SECOND..1_500 * SECOND).contains(&begun_at.elapsed()),
        "{:?}",
        begun_at.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_upload_in_pieces_goes_on_beside_a_body_that_nobody_reads() {
    let mut raw = client(Http2::new()).await;
    raw.write(&request(1, "POST", "/unread")).await;
    for _ in 0..MANY {
        raw.write(&frame(DATA, 0, 1, b"y")).await;
    }
    settle().await;
    let asked_at = Instant::now();
    raw.write(&request(3, "POST", "/read")).await;
    for number in 1..=40 {
        let end = if number == 40 { END_STREAM } else { 0 };
        raw.write(&frame(DATA, end, 3, &[7; 200])).await;
    }
    assert_eq!(raw.next(HEADERS).await.stream, 3);
    assert_eq!(asked_at.elapsed(), Duration::ZERO);
}
