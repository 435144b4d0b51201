//! What floods of frames come to: the connection's end, and nobody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use tokio::time::Instant;
use wspulse::serve::Http2;
use wspulse::testing::Dialler;

use crate::raw::{
    ACK, CONTINUATION, DATA, ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY, REFUSED_STREAM,
    RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, fields, frame, request, websocket,
};
use crate::support::clients::echoes;
use crate::support::clock::{assert_passed, settle};
use crate::support::house::echo;
use crate::support::listener::serve_in_memory;
use crate::ways::{Client, Connection, get};

/// A server that is flooded, and a client of it that goes on.
struct Flooded {
    dialler: Dialler,
    healthy: Client,
    connection: Connection,
    /// How many requests are being answered, and the most there were.
    answering: Arc<AtomicUsize>,
    answering_max: Arc<AtomicUsize>,
}

/// Counts a request while it is answered.
struct Answering(Arc<AtomicUsize>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Flooded {
    async fn new() -> Self {
        let (answering, max) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let stuck = {
            let (answering, max) = (Arc::clone(&answering), Arc::clone(&max));
            move || {
                let now = answering.fetch_add(1, Ordering::Relaxed) + 1;
                max.fetch_max(now, Ordering::Relaxed);
                let answered = Answering(Arc::clone(&answering));
                async move {
                    std::future::pending::<()>().await;
                    drop(answered);
                }
            }
        };
        let app =
            Router::new().route("/stuck", any(stuck)).route_service("/ws", echo().build().unwrap());
        let (dialler, serving) = serve_in_memory(app, |serve| serve.http2(Http2::new()));
        drop(serving);
        let mut connection = Connection::over(dialler.dial()).await;
        let healthy = connection.open("/ws").await;
        let (answering, answering_max) = (answering, max);
        Self { dialler, healthy, connection, answering, answering_max }
    }

    /// Floods a connection: its last GOAWAY. Whoever is healthy is served all the while.
    async fn with(&mut self, flood: impl Iterator<Item = Vec<u8>>) -> Option<(u32, String)> {
        let mut raw = Raw::connect(&self.dialler).await;
        for frames in flood {
            raw.write(&frames).await;
        }
        let flooded_at = Instant::now();
        let ended = raw.ended().await;
        assert_passed(flooded_at, Duration::ZERO);
        echoes(&mut self.healthy, 1).await;
        settle().await;
        assert_eq!(self.answering.load(Ordering::Relaxed), 0, "nothing is left of it");
        ended
    }
}

fn calm(said: &str) -> (u32, String) {
    (ENHANCE_YOUR_CALM, said.to_owned())
}

/// A request that is not answered, on the stream of this number, and this behind it.
fn stuck(number: u32, behind: impl FnOnce(u32) -> Vec<u8>) -> Vec<u8> {
    let stream = 2 * number + 1;
    [request(stream, "POST", "/stuck"), behind(stream)].concat()
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_as_soon_as_they_are_opened_end_their_connection() {
    let mut flooded = Flooded::new().await;
    let all: Vec<u8> = (0..2_000).flat_map(|number| stuck(number, reset)).collect();
    assert_eq!(flooded.with([all].into_iter()).await, None);
    assert!(flooded.answering_max.load(Ordering::Relaxed) <= 256);
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_one_after_the_other_end_their_connection_too() {
    let mut flooded = Flooded::new().await;
    let mut raw = Raw::connect(&flooded.dialler).await;
    for number in 0..2_000 {
        raw.write(&stuck(number, |_| Vec::new())).await;
        tokio::task::yield_now().await;
        raw.write(&reset(2 * number + 1)).await;
        tokio::task::yield_now().await;
    }
    raw.ended().await;
    echoes(&mut flooded.healthy, 1).await;
    assert_eq!(flooded.answering.load(Ordering::Relaxed), 0);
    assert!(flooded.answering_max.load(Ordering::Relaxed) <= 256);
}

#[tokio::test(start_paused = true)]
async fn streams_that_the_server_is_made_to_reset_end_their_connection() {
    let mut flooded = Flooded::new().await;
    let mut raw = Raw::connect(&flooded.dialler).await;
    for number in 0..1_100 {
        // A window beyond what there may be is a stream's error (RFC 9113 §6.9.1).
        let overflow = |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
        raw.write(&stuck(number, overflow)).await;
        // No faster than either of the frames may come.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(raw.ended().await, Some(calm("too_many_internal_resets")));
    echoes(&mut flooded.healthy, 1).await;
    assert_eq!(flooded.answering.load(Ordering::Relaxed), 0);
    assert!(flooded.answering_max.load(Ordering::Relaxed) <= 256);
}

#[tokio::test(start_paused = true)]
async fn control_frames_by_the_hundred_end_their_connection() {
    let mut flooded = Flooded::new().await;
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]);
    let priority = frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]);
    for (flood, name) in [
        (settings, "SETTINGS"),
        (frame(PING, 0, 0, &[7; 8]), "PING"),
        (priority, "PRIORITY"),
        (frame(0xfa, 0, 0, b"unknown"), "an unknown type"),
    ] {
        let ended = flooded.with((0..2_000).map(|_| flood.clone())).await;
        assert_eq!(ended, None, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_pings_that_nobody_has_sent_end_their_connection_soon() {
    let mut flooded = Flooded::new().await;
    let pong = frame(PING, ACK, 0, &[7; 8]);
    assert_eq!(flooded.with((0..100).map(|_| pong.clone())).await, None);
}

#[tokio::test(start_paused = true)]
async fn pings_at_a_rate_that_is_none_of_a_flood_are_answered() {
    let flooded = Flooded::new().await;
    let mut raw = Raw::connect(&flooded.dialler).await;
    raw.write(&websocket(1, "/ws")).await;
    for _ in 0..1_500 {
        raw.write(&frame(PING, 0, 0, &[7; 8])).await;
        assert_eq!(raw.next(PING).await.flags, ACK);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn windows_that_are_opened_for_nothing_end_their_connection() {
    let mut flooded = Flooded::new().await;
    let update = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    assert_eq!(flooded.with((0..2_000).map(|_| update.clone())).await, None);
}

#[tokio::test(start_paused = true)]
async fn windows_may_be_opened_for_each_message_that_has_come() {
    const MESSAGES: u32 = 5_000;
    let flooded = Flooded::new().await;
    let mut raw = Raw::connect(&flooded.dialler).await;
    raw.write(&websocket(1, "/ws")).await;
    raw.next(HEADERS).await;
    let said = frame(DATA, 0, 1, &wspulse::testing::masked(0x81, br#"{"event":"a"}"#));
    for _ in 0..MESSAGES {
        raw.write(&said).await;
        let heard = raw.next(DATA).await;
        let bytes = u32::try_from(heard.payload.len()).unwrap().to_be_bytes();
        for stream in [0, 1] {
            raw.write(&frame(WINDOW_UPDATE, 0, stream, &bytes)).await;
        }
    }
    raw.write(&request(3, "GET", "/none")).await;
    raw.next(HEADERS).await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_be_answered_yet_end_their_connection_by_the_thousand() {
    let mut flooded = Flooded::new().await;
    let ended = flooded.with((0..1_100).map(|number| stuck(number, |_| Vec::new()))).await;
    assert_eq!(ended, None);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_answered_are_no_flood() {
    let flooded = Flooded::new().await;
    let mut raw = Raw::connect(&flooded.dialler).await;
    for number in 0..5_000 {
        raw.write(&request(2 * number + 1, "GET", "/none")).await;
        raw.write(&frame(WINDOW_UPDATE, 0, 2 * number + 1, &[0, 0, 0x40, 0])).await;
        raw.next(HEADERS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_taken_back_costs_no_more_than_its_reset() {
    let flooded = Flooded::new().await;
    let mut raw = Raw::connect(&flooded.dialler).await;
    for number in 0..1_000 {
        raw.write(&stuck(number, reset)).await;
    }
    raw.write(&request(2_001, "GET", "/none")).await;
    assert_eq!(raw.next(HEADERS).await.stream, 2_001);
}

#[tokio::test(start_paused = true)]
async fn data_frames_without_data_end_their_connection() {
    let mut flooded = Flooded::new().await;
    let empty = |stream| frame(DATA, 0, stream, &[]).repeat(2_000);
    assert_eq!(flooded.with([stuck(0, empty)].into_iter()).await, None);
}

#[tokio::test(start_paused = true)]
async fn data_beyond_a_streams_window_resets_it() {
    let flooded = Flooded::new().await;
    let mut raw = Raw::connect(&flooded.dialler).await;
    raw.write(&frame(SETTINGS, ACK, 0, &[])).await;
    raw.write(&stuck(0, |stream| frame(DATA, 0, stream, &[7; 16 * 1024]))).await;
    raw.write(&frame(DATA, 0, 1, b"y")).await;
    let reset = raw.next(RST_STREAM).await;
    assert_eq!((reset.stream, &reset.payload[..]), (1, &[0, 0, 0, 3][..]));
}

#[tokio::test(start_paused = true)]
async fn a_head_over_its_limits_is_refused_and_its_connection_goes_on() {
    let mut flooded = Flooded::new().await;
    let connection = &mut flooded.connection;
    let mut large = get("/ws");
    large.headers_mut().insert("x", "y".repeat(17 * 1024).parse().unwrap());
    assert_eq!(connection.send(large).await.unwrap().status(), 431);
    let mut many = get("/ws");
    for _ in 0..101 {
        many.headers_mut().append("x", "y".parse().unwrap());
    }
    assert_eq!(connection.send(many).await.unwrap().status(), 431);
    assert_eq!(connection.get("/none").await.status(), 404);
    echoes(&mut flooded.healthy, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_of_many_times_its_limit_ends_its_connection() {
    let mut flooded = Flooded::new().await;
    let padding = "y".repeat(100 * 1024);
    let block = [request(1, "GET", "/ws")[9..].to_vec(), fields(&[("x", &padding)])].concat();
    let mut pieces = block.chunks(16 * 1024);
    let first = frame(HEADERS, 0, 1, pieces.next().unwrap());
    let rest: Vec<_> = pieces.map(|piece| frame(CONTINUATION, 0, 1, piece)).collect();
    let ended = flooded.with([first].into_iter().chain(rest)).await;
    assert!(ended.is_some_and(|(reason, _)| reason != 0));
}

#[tokio::test(start_paused = true)]
async fn a_head_in_pieces_without_end_ends_its_connection() {
    let mut flooded = Flooded::new().await;
    let first = frame(HEADERS, 0, 1, &[]);
    let pieces = (0..1_000).map(|_| frame(CONTINUATION, 0, 1, &[]));
    let ended = flooded.with([first].into_iter().chain(pieces)).await;
    assert_eq!(ended, Some(calm("too_many_continuations")));
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_those_that_there_may_be_are_refused() {
    let flooded = Flooded::new().await;
    let mut raw = Raw::connect(&flooded.dialler).await;
    for number in 0..257 {
        raw.write(&stuck(number, |_| Vec::new())).await;
    }
    let refused = raw.next(RST_STREAM).await;
    assert_eq!((refused.stream, &refused.payload[..]), (513, &REFUSED_STREAM.to_be_bytes()[..]));
    assert_eq!(flooded.answering_max.load(Ordering::Relaxed), 256);
}
