//! Alone in its process, so that no other test allocates meanwhile.
//!
//! What a connection of HTTP/2 holds of data that nobody reads is bounded, however its frames are cut and
//! mixed.

#[path = "http2/raw.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod raw;
mod support;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use dhat::HeapStats;
use http_body_util::BodyExt as _;
use wspulse::serve::Http2;
use wspulse::testing::{Dialler, masked};

use crate::raw::{ACK, DATA, HEADERS, Raw, SETTINGS, WINDOW_UPDATE, frame, request, websocket};
use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::listener::serve_in_memory;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The stream whose data is read.
const READ: u32 = 1;
/// What is sent on it each time: a buffer of h2's.
const LARGE_BYTES: usize = 8 * KIB;
/// The others, of which nobody reads anything.
const UNREAD: u32 = 100;

/// A server that reads `/read` to its end, and nothing of `/unread` or of WebSockets.
fn served() -> Dialler {
    let stuck = open_house().on_message(|_, _| std::future::pending::<()>());
    let app = Router::new()
        .route("/read", post(async |mut body: Body| while body.frame().await.is_some() {}))
        .route(
            "/unread",
            post(|body: Body| async {
                std::future::pending::<()>().await;
                drop(body);
            }),
        )
        .route_service("/ws", stuck.build().unwrap());
    let (dialler, serving) = serve_in_memory(app, |serve| {
        serve.http2(Http2::new()).max_pending_per_addr(usize::MAX).request_timeout(None)
    });
    drop(serving);
    dialler
}

fn unread_stream(number: u32) -> u32 {
    2 * (number % UNREAD) + 3
}

/// Sends a byte to one of the streams that nobody reads, and then much to the one that is read, again and
/// again: how much more the process holds after that.
async fn held_after(raw: &mut Raw, times: u32) -> usize {
    let before = HeapStats::get().curr_bytes;
    let large = frame(DATA, 0, READ, &[7; LARGE_BYTES]);
    for number in 0..times {
        let tiny = frame(DATA, 0, unread_stream(number), b"y");
        raw.write(&[&tiny[..], &large].concat()).await;
        while raw.next(WINDOW_UPDATE).await.stream != READ {}
    }
    settle().await;
    HeapStats::get().curr_bytes.saturating_sub(before)
}

async fn begin() -> Raw {
    let dialler = served();
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&frame(SETTINGS, ACK, 0, &[])).await;
    raw.write(&request(READ, "POST", "/read")).await;
    raw
}

#[tokio::test(start_paused = true)]
async fn tiny_frames_among_large_ones_hold_no_more_than_a_bound() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();

    let mut raw = begin().await;
    for number in 0..UNREAD {
        let stream = unread_stream(number);
        raw.write(&websocket(stream, "/ws")).await;
        raw.next(HEADERS).await;
        // No more is read of it while its callback goes on.
        raw.write(&frame(DATA, 0, stream, &masked(0x81, b"{}").repeat(100))).await;
    }
    settle().await;
    let held = held_after(&mut raw, 4_000).await;
    assert!(held < 8 * MIB, "{held} bytes for WebSockets");
    raw.hang_up().await;

    let mut raw = begin().await;
    for number in 0..UNREAD {
        raw.write(&request(unread_stream(number), "POST", "/unread")).await;
    }
    settle().await;
    let held = held_after(&mut raw, 8_000).await;
    assert!(held < 32 * MIB, "{held} bytes for bodies");
}
