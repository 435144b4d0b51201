//! Alone in its process, so that no other test allocates meanwhile.
//!
//! Connections that come and go leave no memory behind.

mod support;

use std::time::Duration;

use dhat::HeapStats;
use wspulse::Server;

use crate::support::clients::{dial, named};
use crate::support::clock::settle;
use crate::support::house::open_house;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const CYCLES: usize = 1000;

/// What the test harness's own thread may allocate meanwhile: it notes the running test whenever
/// it gets its turn, in 4 blocks of 900 bytes in all. A leak in one life of four has 250 blocks.
const HARNESS_BLOCKS: usize = 8;
const HARNESS_BYTES: usize = 2000;

/// A life with everything in it: traffic both ways, a backlog, a resumption, one of the four ends.
async fn live(server: &Server, number: usize) {
    let mut ann = dial(server, "ann").await;
    ann.send(&named(number)).await.unwrap();
    assert_eq!(ann.frame().await.unwrap(), named(number));
    drop(ann);
    settle().await;
    for number in 0..20 {
        server.broadcast("lobby", named(number)).unwrap();
    }
    let mut ann = dial(server, "ann").await;
    for number in 0..20 {
        assert_eq!(ann.frame().await.unwrap(), named(number));
    }
    match number % 4 {
        0 => server.kick("ann").unwrap(),
        1 => server.connection("ann").unwrap().close(),
        2 => {
            let mut new = dial(server, "ann").await;
            ann.closed().await.unwrap();
            server.kick("ann").unwrap();
            new.closed().await.unwrap();
            settle().await;
            return;
        }
        _ => {
            drop(ann);
            tokio::time::sleep(Duration::from_secs(2)).await;
            return;
        }
    }
    ann.closed().await.unwrap();
    drop(ann);
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_lives_leave_no_memory_behind() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let server = open_house()
        .resume_window(Duration::from_secs(1))
        .on_message(|connection, frame| async move { connection.send(frame).unwrap() })
        .build()
        .unwrap();
    for number in 0..20 {
        live(&server, number).await;
    }
    let before = HeapStats::get();
    for number in 0..CYCLES {
        live(&server, number).await;
    }
    let after = HeapStats::get();
    println!(
        "{CYCLES} lives: {} -> {} blocks, {} -> {} bytes",
        before.curr_blocks, after.curr_blocks, before.curr_bytes, after.curr_bytes
    );
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
    assert!(after.curr_blocks <= before.curr_blocks + HARNESS_BLOCKS);
    assert!(after.curr_bytes <= before.curr_bytes + HARNESS_BYTES);
    server.close().await;
}
