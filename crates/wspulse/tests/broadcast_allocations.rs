//! Alone in its process, so that no other test allocates meanwhile.
//!
//! What a broadcast allocates: as much for a thousand members as for ten, and nothing that stays.

mod support;

use dhat::HeapStats;
use wspulse::{Frame, Server};

use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::taker::Taker;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const PAYLOAD_BYTES: usize = 10_000;

/// What the test harness's own thread may allocate meanwhile: it notes the running test whenever
/// it gets its turn, in 4 blocks of 900 bytes in all. One block a member would be 990.
const HARNESS_BLOCKS: u64 = 8;
const HARNESS_BYTES: u64 = 2000;

async fn fill(server: &Server, room: &str, members: usize) {
    let taker = Taker::default();
    for _ in 0..members {
        taker.join(server, room, "").await;
    }
    settle().await;
}

/// Blocks and bytes that were allocated.
#[derive(Debug)]
struct Allocated {
    blocks: u64,
    bytes: u64,
}

fn allocated<R>(run: impl FnOnce() -> R) -> Allocated {
    let before = HeapStats::get();
    run();
    let after = HeapStats::get();
    Allocated {
        blocks: after.total_blocks - before.total_blocks,
        bytes: after.total_bytes - before.total_bytes,
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_allocates_for_its_frame_and_not_for_its_members() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let server = open_house().build().unwrap();
    fill(&server, "ten", 10).await;
    fill(&server, "thousand", 1000).await;
    let payload = format!("\"{}\"", "x".repeat(PAYLOAD_BYTES)).into_bytes();
    let frame = Frame::new("news").with_payload(payload);
    // The runtime's run queue grows once to the number of tasks that are woken together.
    server.broadcast("thousand", frame.clone()).unwrap();
    settle().await;

    let before = HeapStats::get();
    let ten = allocated(|| server.broadcast("ten", frame.clone()).unwrap());
    settle().await;
    let thousand = allocated(|| server.broadcast("thousand", frame.clone()).unwrap());
    let delivering = {
        let before = HeapStats::get().total_blocks;
        settle().await;
        HeapStats::get().total_blocks - before
    };
    let after = HeapStats::get();

    println!("broadcast to 10: {ten:?}, to 1,000: {thousand:?}, writing it out: {delivering}");
    // The frame's bytes, what remains of them once they are sealed, and their reference count.
    assert!(thousand.blocks <= 3 + HARNESS_BLOCKS, "{thousand:?}");
    let twice = 2 * PAYLOAD_BYTES as u64;
    assert!(thousand.bytes <= twice + HARNESS_BYTES, "one payload for all: {thousand:?}");
    assert!(thousand.bytes <= ten.bytes + HARNESS_BYTES, "{thousand:?} and not {ten:?}");
    assert!(delivering <= HARNESS_BLOCKS, "{delivering} blocks to write to 1,000 members");
    let held = after.curr_blocks.saturating_sub(before.curr_blocks) as u64;
    assert!(held <= HARNESS_BLOCKS, "1,000 idle sessions hold {held} blocks more than before");
    let held = after.curr_bytes.saturating_sub(before.curr_bytes) as u64;
    assert!(held <= HARNESS_BYTES, "1,000 idle sessions hold {held} bytes more than before");
    server.close().await;
}
