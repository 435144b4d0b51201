//! Alone in its process, so that no other test allocates meanwhile.
//!
//! A peer that pings without end and reads nothing makes the server remember no more and no more.

mod support;

use std::time::Duration;

use dhat::HeapStats;
use tokio::time::timeout;
use wspulse::testing::masked;

use crate::support::clients::{dial, dial_narrow, named};
use crate::support::clock::settle;
use crate::support::house::open_house;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const FINAL_PING: u8 = 0x89;

/// More than 32 Pongs of the largest size, and what the test harness's own thread may allocate
/// meanwhile.
const SLACK_BYTES: usize = 8 * 1024;

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_that_reads_nothing_keeps_memory_flat() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let server = open_house()
        .on_message(|connection, frame| connection.send(frame).unwrap())
        .build()
        .unwrap();
    let mut good = dial(&server, "good").await;
    let mut flooding = dial_narrow(&server, "flooding").await;
    // Its Pongs fill what its stream holds, and then nothing can be written to it.
    flooding.ping(&[0; 125]).await.unwrap();
    settle().await;
    let before = HeapStats::get();
    for number in 0..2_000 {
        // It goes byte by byte through a stream of 16 bytes; the server reads on.
        let ping = masked(FINAL_PING, &[1; 125]);
        let written = timeout(Duration::from_millis(1), flooding.write_raw(&ping)).await;
        written.expect("it is read").unwrap();
        if number % 500 == 0 {
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
