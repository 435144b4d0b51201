//! Alone in its process, so that no other test allocates meanwhile.
//!
//! A client that has connected and says nothing costs little until it is cut off.

mod support;

use std::time::Duration;

use axum::Router;
use dhat::HeapStats;
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::listener::serve_in_memory;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const CLIENTS: usize = 100;

const LONGER_THAN_A_HANDSHAKE: Duration = Duration::from_secs(11);

/// Both ends of the stream, the task, its timer and its place.
const SILENT_BYTES_MAX: usize = 2 * 1024;
/// hyper's read buffer alone.
const BEGUN_BYTES_MIN: usize = 8 * 1024;
/// What the test harness's own thread may allocate meanwhile.
const SLACK_BYTES: usize = 64;

#[tokio::test(start_paused = true)]
async fn a_silent_client_has_nothing_to_read_requests_with_and_leaves_nothing() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let server = open_house().check_origin(|_| true).build().unwrap();
    let app = Router::new().route_service("/ws", server);
    let (dialler, _serving) = serve_in_memory(app, |serve| serve);
    let dial = async || {
        let clients: Vec<_> = (0..CLIENTS).map(|_| dialler.dial_with_capacity(1)).collect();
        settle().await;
        clients
    };
    // Those that come first make room in tables.
    let first = dial().await;
    sleep(LONGER_THAN_A_HANDSHAKE).await;
    drop(first);
    let before = HeapStats::get().curr_bytes;
    let mut clients = dial().await;
    let silent = HeapStats::get().curr_bytes;
    for client in &mut clients {
        client.write_all(b"G").await.unwrap();
    }
    settle().await;
    let begun = HeapStats::get().curr_bytes;
    sleep(LONGER_THAN_A_HANDSHAKE).await;
    drop(clients);
    let after = HeapStats::get().curr_bytes;

    let each = |bytes: usize| bytes.saturating_sub(before) / CLIENTS;
    assert!(each(silent) < SILENT_BYTES_MAX, "{} bytes for a silent client", each(silent));
    assert!(each(begun) > BEGUN_BYTES_MIN, "{} bytes for one that has begun", each(begun));
    assert!(each(after) < SLACK_BYTES, "{} bytes are left of a client", each(after));
}
