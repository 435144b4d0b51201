//! Alone in its process, so that no other test allocates meanwhile.
//!
//! A compressed message takes no more memory than the largest that is allowed, however long it would become.

mod support;

use dhat::HeapStats;
use wspulse::Compression;
use wspulse::testing::{Received, TestClient, masked, request_parts};
use wspulse_core::deflate::{Level, WindowBits, compress};

use crate::support::house::open_house;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const LIMIT_BYTES: usize = 256 * 1024;
const BOMB_BYTES: usize = 64 * LIMIT_BYTES;

/// What a message has become, and for both ends: 64 KiB that the thread reads into, some 50 KiB of its inflater,
/// 16 KiB in which the message came, twice, and the rest of a connection.
const PEAK_BYTES_MAX: usize = LIMIT_BYTES + 160 * 1024;

const BINARY: u8 = 0xc2;
const FIRST_BINARY: u8 = 0x42;
const LAST: u8 = 0x80;

#[tokio::test(start_paused = true)]
async fn a_bomb_takes_no_more_memory_than_the_largest_message() {
    let bomb = compress(&vec![0; BOMB_BYTES], WindowBits::MAX, Level::default()).unwrap();
    let (front, rest) = bomb.split_at(bomb.len() / 2);
    let whole = masked(BINARY, &bomb);
    let fragments = [masked(FIRST_BINARY, front), masked(LAST, rest)].concat().into();
    let server = open_house()
        .compression(Compression::shared())
        .max_message_size(LIMIT_BYTES)
        .build()
        .unwrap();
    for stream in [whole, fragments] {
        let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
        let mut request = request_parts("/ws?id=ann");
        request.headers.insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
        let mut ann = TestClient::connect_with(&server, request).await.expect("admitted");
        ann.write_raw(&stream).await.unwrap();
        let close = loop {
            if let Received::Close(close) = ann.receive().await.unwrap() {
                break close.expect("a code");
            }
        };
        assert_eq!(close.code().as_u16(), 1009);
        let peak = HeapStats::get().max_bytes;
        assert!(peak < PEAK_BYTES_MAX, "{peak} bytes for {BOMB_BYTES}");
    }
}
