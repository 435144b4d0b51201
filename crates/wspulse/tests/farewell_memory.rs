//! Alone in its process, so that no other test allocates meanwhile.
//!
//! A transport that is being parted with, and whose client says nothing more, holds no read buffer.

mod support;

use std::time::Duration;

use dhat::HeapStats;
use wspulse::DuplicatePolicy;

use crate::support::clients::dial;
use crate::support::clock::settle;
use crate::support::house::open_house;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const CLIENTS: usize = 100;

/// The stream, the task, its timers and its place, and what the test harness's own thread may
/// allocate meanwhile. A read of a single page would be 4,096 more.
const PARTING_BYTES_MAX: usize = 3 * 1024;

#[tokio::test(start_paused = true)]
async fn clients_that_come_back_beside_silent_transports_take_little_memory_for_those() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let server = open_house()
        .check_origin(|_| true)
        .resume_window(Duration::from_mins(1))
        .duplicates(DuplicatePolicy::Resume)
        .build()
        .unwrap();
    let (mut silent, mut back) = (Vec::new(), Vec::new());
    for client in 0..CLIENTS {
        silent.push(dial(&server, &client.to_string()).await);
    }
    for client in 0..CLIENTS {
        back.push(dial(&server, &client.to_string()).await);
    }
    settle().await;
    let parting = HeapStats::get().curr_bytes;
    // Longer than the server waits for an answer to its close frame.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let parted = HeapStats::get().curr_bytes;

    let each = parting.saturating_sub(parted) / CLIENTS;
    assert!(each > 0, "none of the old transports was being parted with");
    assert!(each < PARTING_BYTES_MAX, "{each} bytes for a transport that is being parted with");
}
