//! Alone in its process, so that no other test allocates meanwhile.
//!
//! A peer that sends nothing but messages that are no frames, each of which is answered, and reads
//! nothing makes the server remember no more and no more.

mod support;

use dhat::HeapStats;
use wspulse::testing::masked;
use wspulse::{Connection, Frame};

use crate::support::clients::{dial, dial_narrow, named};
use crate::support::clock::settle;
use crate::support::house::open_house;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// What the test harness's own thread may allocate meanwhile.
const SLACK_BYTES: usize = 8 * 1024;

#[tokio::test(start_paused = true)]
async fn a_flood_of_undecodable_messages_that_reads_nothing_keeps_memory_flat() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let server = open_house()
        .send_buffer_size(16)
        .on_message(|connection, frame| connection.send(frame).unwrap())
        // It fails once the peer's buffer is full.
        .on_undecodable(|connection: Connection, _| drop(connection.send(Frame::new("no frame"))))
        .build()
        .unwrap();
    let mut good = dial(&server, "good").await;
    let mut flooding = dial_narrow(&server, "flooding").await;
    let nonsense = masked(0x81, b"[");
    // What is answered fills the stream and the buffer.
    for _ in 0..100 {
        flooding.write_raw(&nonsense).await.unwrap();
    }
    settle().await;
    let before = HeapStats::get();
    for number in 0..10_000 {
        flooding.write_raw(&nonsense).await.unwrap();
        if number % 1_000 == 0 {
            good.send(&named(number)).await.unwrap();
            assert_eq!(good.frame().await.unwrap(), named(number));
        }
    }
    let after = HeapStats::get();
    assert_eq!(server.connection_count(), 2);
    assert!(
        after.curr_bytes <= before.curr_bytes + SLACK_BYTES,
        "{} bytes became {}",
        before.curr_bytes,
        after.curr_bytes
    );
}
