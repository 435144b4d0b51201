//! What a broadcast allocates: as much for a thousand members as for ten, and nothing that stays.
//!
//! A binary of its own with one test, so that no other test allocates meanwhile.

mod support_counts;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use dhat::HeapStats;
use support_counts::{builder, idle};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wspulse::testing::request_parts;
use wspulse::{Frame, Server};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const PAYLOAD_BYTES: usize = 10_000;

/// A transport that takes everything, says nothing and allocates nothing itself.
struct Taker;

impl AsyncRead for Taker {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Taker {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

async fn fill(server: &Server, room: &str, members: usize) {
    for _ in 0..members {
        let parts = request_parts(&format!("/ws?room={room}"));
        let accepted = server.handshake(parts).unwrap().connect().await.unwrap();
        accepted.attach(Taker, &[]);
    }
    idle().await;
}

/// Blocks and bytes that were allocated.
#[derive(Debug, PartialEq, Eq)]
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
    let server = builder().build().unwrap();
    fill(&server, "ten", 10).await;
    fill(&server, "thousand", 1000).await;
    let payload = format!("\"{}\"", "x".repeat(PAYLOAD_BYTES)).into_bytes();
    let frame = Frame::new("news").with_payload(payload);
    // The runtime's run queue grows once to the number of tasks that are woken together.
    server.broadcast("thousand", frame.clone()).unwrap();
    idle().await;

    let before = HeapStats::get();
    let ten = allocated(|| server.broadcast("ten", frame.clone()).unwrap());
    idle().await;
    let thousand = allocated(|| server.broadcast("thousand", frame.clone()).unwrap());
    let delivering = {
        let before = HeapStats::get().total_blocks;
        idle().await;
        HeapStats::get().total_blocks - before
    };
    let after = HeapStats::get();

    println!("broadcast to 10: {ten:?}, to 1,000: {thousand:?}, writing it out: {delivering}");
    assert_eq!(ten, thousand);
    assert!(thousand.blocks <= 4, "{thousand:?}");
    let twice = 2 * PAYLOAD_BYTES as u64;
    assert!(thousand.bytes < twice + 1000, "the payload is written once: {thousand:?}");
    // The sleep that waits for it takes a few blocks of its own.
    assert!(delivering <= 10, "{delivering} blocks to write to 1,000 members");
    assert_eq!(after.curr_blocks, before.curr_blocks, "an idle session holds no more than before");
    assert_eq!(after.curr_bytes, before.curr_bytes);
    server.close().await;
}
