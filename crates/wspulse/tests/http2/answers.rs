//! Answers that their clients take slowly, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use wspulse::serve::{Http2, Serve};
use wspulse::testing::{Dialler, MemoryListener};
use wspulse::{ConfigError, Frame};

use crate::raw::{
    ACK, DATA, END_STREAM, GOAWAY, HEADERS, PREFACE, REFUSED_STREAM, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, frame, request, websocket,
};
use crate::support::clock::settle;
use crate::support::house::echo;
use crate::support::listener::serve_in_memory;
use crate::ways::Connection;

const SECOND: Duration = Duration::from_secs(1);
const HERE: &str = "192.0.2.1:5000";
/// Of which the client has said that it takes no more than a byte at once, of a stream.
const TAKES_A_BYTE: &[u8] = &[0, 4, 0, 0, 0, 1];
/// Or very much.
const TAKES_ALL: &[u8] = &[0, 4, 0, 255, 0, 0];

/// A page of so many bytes and WebSockets, until somebody says that it is to end.
struct Served {
    dialler: Dialler,
    serving: JoinHandle<Result<(), ConfigError>>,
    stop: oneshot::Sender<()>,
}

fn serve(
    page_bytes: usize,
    configure: impl FnOnce(Serve<MemoryListener, Router>) -> Serve<MemoryListener, Router>,
) -> Served {
    let (stop, stopped) = oneshot::channel();
    let app = Router::new()
        .route("/page", get(move || async move { vec![b'y'; page_bytes] }))
        .route_service("/ws", echo().build().unwrap());
    let (dialler, serving) = serve_in_memory(app, |serve| {
        let serve = configure(serve.http2(Http2::new()));
        serve.with_graceful_shutdown(async { drop(stopped.await) })
    });
    Served { dialler, serving, stop }
}

/// How many bytes come of the page if the client takes 1 KiB of it each second, and whether it is told its end.
async fn slowly_taken(raw: &mut Raw) -> (usize, bool) {
    let (mut come, mut has_ended) = (0, false);
    for _ in 0..60 {
        for frame in raw.so_far().into_iter().filter(|frame| frame.kind == DATA) {
            come += frame.payload.len();
            has_ended |= frame.flags & END_STREAM != 0;
        }
        sleep(SECOND).await;
        raw.write(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 4, 0])).await;
    }
    (come, has_ended)
}

#[tokio::test(start_paused = true)]
async fn a_small_response_comes_whole_however_slowly_it_is_taken() {
    let Served { dialler, stop: _stop, .. } = serve(16_000, |serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 4, 0])).await;
    raw.write(&request(1, "GET", "/page")).await;
    assert_eq!(slowly_taken(&mut raw).await, (16_000, true));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_the_last_byte_of_a_response() {
    let Served { dialler, serving, stop } = serve(6_000, |serve| serve.drain_timeout(30 * SECOND));
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 4, 0])).await;
    raw.write(&request(1, "GET", "/page")).await;
    settle().await;
    stop.send(()).unwrap();
    assert_eq!(slowly_taken(&mut raw).await, (6_000, true));
    serving.await.unwrap().unwrap();
}

/// A client that does not read for a while, in whose socket a part of the page waits, with a WebSocket beside.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_a_socket_does_not_take_yet() {
    let Served { dialler, serving, stop } = serve(80_000, |serve| serve);
    let mut stream = dialler.dial();
    let hello = [
        PREFACE,
        &frame(SETTINGS, 0, 0, TAKES_ALL),
        &frame(SETTINGS, ACK, 0, &[]),
        &frame(WINDOW_UPDATE, 0, 0, &[0, 255, 0, 0]),
        &websocket(1, "/ws"),
        &request(3, "GET", "/page"),
    ];
    stream.write_all(&hello.concat()).await.unwrap();
    settle().await;
    stop.send(()).unwrap();
    sleep(3 * SECOND).await;
    assert!(!serving.is_finished());
    let (mut come, mut buffer) = (0, vec![0; 30_000]);
    while let Ok(Ok(len @ 1..)) = timeout(SECOND, stream.read(&mut buffer)).await {
        come += buffer[..len].split(|byte| *byte == b'y').count() - 1;
    }
    assert_eq!(come, 80_000);
    serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_small_response_that_is_not_taken_ends_with_its_request() {
    let Served { dialler, stop: _stop, .. } = serve(16_000, |serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&frame(SETTINGS, 0, 0, TAKES_A_BYTE)).await;
    let asked_at = Instant::now();
    raw.write(&request(1, "GET", "/page")).await;
    assert_eq!(raw.next(RST_STREAM).await.stream, 1);
    assert!((60 * SECOND..65 * SECOND).contains(&asked_at.elapsed()), "{:?}", asked_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_small_response_that_is_not_taken_has_a_place() {
    let Served { dialler, stop: _stop, .. } = serve(16_000, |serve| serve.max_pending_per_addr(2));
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    raw.write(&frame(SETTINGS, 0, 0, TAKES_A_BYTE)).await;
    for stream in [1, 3, 5] {
        raw.write(&request(stream, "GET", "/page")).await;
        settle().await;
    }
    let refused = raw.next(RST_STREAM).await;
    assert_eq!((refused.stream, &refused.payload[..]), (5, &REFUSED_STREAM.to_be_bytes()[..]));
    // Who takes it gives its place back.
    raw.write(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 64, 0])).await;
    settle().await;
    raw.so_far();
    raw.write(&request(7, "GET", "/page")).await;
    assert_eq!(raw.next(HEADERS).await.stream, 7);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_reset_while_it_is_taken_gives_its_place_back() {
    let Served { dialler, stop: _stop, .. } = serve(16_000, |serve| serve.max_pending_per_addr(1));
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    raw.write(&frame(SETTINGS, 0, 0, TAKES_A_BYTE)).await;
    for stream in [1, 3, 5] {
        raw.write(&request(stream, "GET", "/page")).await;
        assert_eq!(raw.next(HEADERS).await.stream, stream);
        raw.write(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])).await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_place_ends_nothing_though_nobody_hears_that_it_is_refused() {
    let Served { dialler, stop: _stop, .. } = serve(200_000, |serve| serve.max_pending_per_addr(1));
    let mut stream = dialler.dial_from(HERE);
    let hello = [
        PREFACE,
        &frame(SETTINGS, 0, 0, TAKES_ALL),
        &frame(SETTINGS, ACK, 0, &[]),
        &frame(WINDOW_UPDATE, 0, 0, &[0, 255, 0, 0]),
        &websocket(1, "/ws"),
    ];
    stream.write_all(&hello.concat()).await.unwrap();
    settle().await;
    for number in [3, 5] {
        stream.write_all(&request(number, "GET", "/page")).await.unwrap();
        settle().await;
    }
    let mut raw = Raw::go_on(stream);
    let refused = raw.next_of(&[RST_STREAM, GOAWAY]).await;
    assert_eq!((refused.kind, refused.stream), (RST_STREAM, 5));
    settle().await;
    assert!(raw.so_far().iter().all(|frame| frame.kind != GOAWAY));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_gives_its_place_back_though_somebody_has_its_body() {
    let panics = async |body: Body| -> StatusCode {
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(body);
        });
        panic!("it panics")
    };
    let app = Router::new().route("/panics", post(panics));
    let (dialler, _serving) =
        serve_in_memory(app, |serve| serve.http2(Http2::new()).max_pending_per_addr(1));
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    raw.write(&request(1, "POST", "/panics")).await;
    settle().await;
    raw.write(&request(3, "GET", "/none")).await;
    assert_eq!(raw.next(HEADERS).await.stream, 3);
}

#[tokio::test(start_paused = true)]
async fn websockets_hear_what_is_said_after_requests_were_cut_off_elsewhere() {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = echo().build().unwrap();
    let app = Router::new()
        .route("/stuck", get(std::future::pending::<String>))
        .route_service("/ws", server.clone());
    let (dialler, serving) = serve_in_memory(app, |serve| {
        serve.http2(Http2::new()).with_graceful_shutdown(async { drop(stopped.await) })
    });
    let mut connection = Connection::over(dialler.dial()).await;
    let mut ann = connection.open("/ws?id=ann").await;
    let mut other = Raw::connect(&dialler).await;
    other.write(&request(1, "GET", "/stuck")).await;
    settle().await;
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    settle().await;
    let said_at = Instant::now();
    server.send("ann", Frame::new("n")).unwrap();
    assert_eq!(ann.frame().await.unwrap(), Frame::new("n"));
    assert_eq!(said_at.elapsed(), Duration::ZERO);
}

/// Counts itself when it is dropped, and then panics if it is to.
struct Dropped(Arc<AtomicUsize>, bool);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        assert!(!self.1 || std::thread::panicking(), "it panics as it is dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_as_it_is_dropped_costs_no_other_its_end_nor_its_place() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let stuck = |panics: bool| {
        let dropped = Arc::clone(&dropped);
        get(async move || {
            let _dropped = Dropped(dropped, panics);
            std::future::pending::<String>().await
        })
    };
    let app = Router::new().route("/stuck", stuck(false)).route("/panics", stuck(true));
    let (dialler, _serving) =
        serve_in_memory(app, |serve| serve.http2(Http2::new()).max_pending_per_addr(4));
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    for (stream, path) in [(1, "/stuck"), (3, "/stuck"), (5, "/stuck"), (7, "/panics")] {
        raw.write(&request(stream, "GET", path)).await;
    }
    settle().await;
    raw.hang_up().await;
    settle().await;
    assert_eq!(dropped.load(Ordering::SeqCst), 4);
    let mut raw = Raw::connect_from(&dialler, HERE).await;
    raw.write(&request(1, "GET", "/none")).await;
    assert_eq!(raw.next(HEADERS).await.stream, 1);
}
