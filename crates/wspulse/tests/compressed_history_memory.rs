//! Alone in its process, so that no other test allocates meanwhile.
//!
//! What a history holds of frames that went compressed to clients of all kinds.

mod support;

use std::time::Duration;

use dhat::HeapStats;
use wspulse::testing::request_parts;
use wspulse::{Compression, Frame, RoomOptions, Server};

use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::taker::Taker;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const FRAMES: usize = 60;

/// Of prose, which becomes less than half.
const FRAME_BYTES: usize = 8_000;

/// For each frame, beside its bytes.
const SLACK_BYTES: usize = 500 * FRAMES;

async fn join(server: &Server, taker: &Taker, bits: usize) {
    let mut request = request_parts(&format!("/ws?id={bits:02}"));
    let offer = format!("permessage-deflate; server_max_window_bits={bits}");
    request.headers.insert("sec-websocket-extensions", offer.parse().expect("a value"));
    let handshake = server.handshake(request).expect("a valid handshake");
    handshake.connect().await.expect("admitted").attach(taker.clone(), &[]);
}

/// As many bytes of prose, other ones for each number.
fn said(number: usize) -> Frame {
    let prose = include_str!("../../../docs/options.md");
    let words = prose.split_whitespace().cycle().skip(97 * number);
    let mut text = String::new();
    for word in words {
        text += word;
        text.push(' ');
        if text.len() >= FRAME_BYTES {
            break;
        }
    }
    Frame::new("said").json(&text).expect("text is JSON")
}

/// What the heap has grown by once everybody has heard all that is in the history.
async fn grown(windows: impl IntoIterator<Item = usize>) -> usize {
    let before = HeapStats::get().curr_bytes;
    let server = open_house()
        .compression(Compression::shared())
        .room_options(|_| RoomOptions::new().history(FRAMES, Duration::from_mins(1)))
        .build()
        .expect("valid options");
    let taker = Taker::default();
    for bits in windows {
        join(&server, &taker, bits).await;
    }
    settle().await;
    for number in 0..FRAMES {
        server.broadcast("lobby", said(number)).expect("the room is there");
        settle().await;
    }
    let grown = HeapStats::get().curr_bytes.saturating_sub(before);
    server.close().await;
    grown
}

#[tokio::test(start_paused = true)]
async fn a_history_takes_less_than_three_times_its_bytes_whatever_windows_clients_ask_for() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    // What the thread keeps is there then: tables, buffers, deflaters.
    grown(9..=15).await;
    let (one, all) = (grown([15]).await, grown(9..=15).await);
    println!("{one} bytes with one window, {all} with all, for {}", FRAMES * FRAME_BYTES);
    assert!(one < 2 * FRAMES * FRAME_BYTES + SLACK_BYTES, "{one} bytes with one window");
    assert!(all < 3 * FRAMES * FRAME_BYTES + SLACK_BYTES, "{all} bytes with all");
}
