//! Alone in its process, so that no other test allocates meanwhile.
//!
//! A connection that has agreed on compression holds not a byte more than one that has not.

mod support;

use dhat::HeapStats;
use wspulse::testing::request_parts;
use wspulse::{Compression, Frame, Server};

use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::taker::Taker;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const CONNECTIONS: usize = 1_000;

/// Half of a word for each: how far tables of ids have grown is a matter of chance.
const SLACK_BYTES: usize = CONNECTIONS * size_of::<usize>() / 2;

const OFFER: &str = "permessage-deflate; client_max_window_bits";

async fn join(server: &Server, taker: &Taker, id: usize, offer: Option<&str>) {
    let mut request = request_parts(&format!("/ws?id={id:05}"));
    if let Some(offer) = offer {
        request.headers.insert("sec-websocket-extensions", offer.parse().expect("a value"));
    }
    let handshake = server.handshake(request).expect("a valid handshake");
    let accepted = handshake.connect().await.expect("admitted");
    let answer = accepted.response().headers().get("sec-websocket-extensions");
    assert_eq!(answer.is_some(), offer.is_some(), "what is offered is agreed on");
    accepted.attach(taker.clone(), &[]);
}

/// What the heap has grown by once all members are idle: before any of them has got anything, and after all
/// have got a message.
async fn grown(offer: Option<&str>) -> [usize; 2] {
    let before = HeapStats::get().curr_bytes;
    let grown = || HeapStats::get().curr_bytes.saturating_sub(before);
    let server = open_house().compression(Compression::shared()).build().expect("valid options");
    let taker = Taker::default();
    for id in 0..CONNECTIONS {
        join(&server, &taker, id, offer).await;
    }
    settle().await;
    let idle = grown();
    let (numbers, bytes_before) = (vec![7; 300], taker.bytes());
    let news = Frame::new("news").json(&numbers).expect("numbers are JSON");
    server.broadcast("lobby", news).expect("the room is there");
    drop(numbers);
    settle().await;
    let bytes_each = (taker.bytes() - bytes_before) / CONNECTIONS;
    assert_eq!(bytes_each < 100, offer.is_some(), "{bytes_each} bytes of a message");
    let after = grown();
    server.close().await;
    [idle, after]
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_compression_holds_no_byte_more_than_one_without() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    // What the thread keeps is there then: tables, buffers, a deflater.
    for offer in [None, Some(OFFER)] {
        grown(offer).await;
    }
    let (plain, compressed) = (grown(None).await, grown(Some(OFFER)).await);
    for (when, place) in [("idle", 0), ("after a message", 1)] {
        let (plain, compressed) = (plain[place], compressed[place]);
        println!("{when}: {plain} bytes, {compressed} with compression");
        assert!(compressed < plain + SLACK_BYTES, "{when}: {compressed} bytes, {plain} without");
    }
}
