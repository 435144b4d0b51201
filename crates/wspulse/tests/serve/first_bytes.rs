//! The first bytes of a connection are read before there is anything to read requests with.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};
use wspulse::codec::{Codec as _, JsonCodec};
use wspulse::testing::{TestClient, masked, request_head};

use crate::support::clients::named;
use crate::support::clock::assert_passed;
use crate::support::house::echo;
use crate::support::http::{read_response, read_to_end};
use crate::support::listener::serve_in_memory;

const SECOND: Duration = Duration::from_secs(1);

const FINAL_TEXT: u8 = 0x81;

/// What `serve` reads at first, and what hyper reads at once.
const READS_BYTES: [usize; 2] = [4096, 8192];

fn app() -> Router {
    let server = echo().build().unwrap();
    Router::new().route("/", get(|| async { "hello" })).route_service("/ws", server)
}

/// A valid handshake of so many bytes.
fn handshake_of(bytes: usize) -> String {
    let head = request_head("/ws");
    let padding = "y".repeat(bytes - head.len() - "x: \r\n".len());
    head.replacen("\r\n\r\n", &format!("\r\nx: {padding}\r\n\r\n"), 1)
}

#[tokio::test(start_paused = true)]
async fn frames_right_behind_a_handshake_are_read_wherever_a_read_ends() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let mut payload = Vec::new();
    JsonCodec.encode(&named(7), &mut payload).unwrap();
    let frame = masked(FINAL_TEXT, &payload);
    for read_bytes in READS_BYTES {
        for behind in [0, 1, 2, frame.len() - 1, frame.len(), frame.len() + 1] {
            let mut client = TestClient::new(dialler.dial());
            let all = [handshake_of(read_bytes - behind).as_bytes(), &frame, &frame].concat();
            client.write_raw(&all).await.unwrap();
            let head = client.read_response_head().await.unwrap();
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            for _ in 0..2 {
                assert_eq!(client.frame().await.unwrap(), named(7));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_late_has_no_more_than_the_time_that_is_left() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let accepted_at = Instant::now();
    let mut client = dialler.dial();
    sleep(9 * SECOND).await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, "");
    assert_passed(accepted_at, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_late_and_in_time_has_the_whole_time_for_the_next_request() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let mut client = dialler.dial();
    for _ in 0..2 {
        sleep(9 * SECOND).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(read_response(&mut client).await.1, "hello");
    }
    let answered_at = Instant::now();
    assert_eq!(read_to_end(&mut client).await, "");
    assert_passed(answered_at, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_without_a_word_is_let_go_at_once() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve.max_pending_per_addr(1));
    for _ in 0..3 {
        let left_at = Instant::now();
        let mut client = dialler.dial_from("192.0.2.1:5000");
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut client).await, "");
        assert_passed(left_at, Duration::ZERO);
    }
}
