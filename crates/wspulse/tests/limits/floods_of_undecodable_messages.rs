//! A client that floods a server with messages that are no frames, each of which is told to
//! `on_undecodable` and answered, holds up nobody else and costs no more than its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinHandle;
use wspulse::testing::masked;
use wspulse::{Connection, Frame, InboundRate, OverRate, Server, ServerBuilder};

use crate::support::clients::{Client, close, dial, echoes};
use crate::support::house::echo;
use crate::support::logs::Logs;

/// A server that answers each message that is no frame, and counts them.
fn answering(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Arc<AtomicUsize>) {
    let told = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&told);
    let builder = echo().on_undecodable(move |conn: Connection, _| {
        told.fetch_add(1, Relaxed);
        // It fails once the client's buffer is full.
        let _ = conn.send(Frame::new("no frame"));
    });
    (configure(builder).build().unwrap(), count)
}

/// Writes without an end, and reads nothing.
fn flood(mut client: Client) -> JoinHandle<()> {
    let nonsense = masked(0x81, b"[").repeat(1_000);
    tokio::spawn(async move { while client.write_raw(&nonsense).await.is_ok() {} })
}

#[tokio::test(start_paused = true)]
async fn another_client_has_its_turn_after_a_few_reads_of_the_flood() {
    let (server, told) = answering(|builder| builder);
    let mut good = dial(&server, "good").await;
    echoes(&mut good, 0).await;
    let flooding = flood(dial(&server, "bad").await);
    // On a task of its own: the test's is polled once for many tasks.
    let counts = Arc::clone(&told);
    let most = tokio::spawn(async move {
        let mut most = 0;
        for number in 1..=20 {
            let before = counts.load(Relaxed);
            echoes(&mut good, number).await;
            most = most.max(counts.load(Relaxed) - before);
        }
        most
    });
    let most = most.await.unwrap();
    assert!(most <= ECHO_MESSAGES_MAX, "{most} were told before one echo");
    assert!(told.load(Relaxed) > 1_000, "the flood is read");
    flooding.abort();
}

/// An echo takes some turns of its own tasks, between which the flood has as many: each is of 4
/// reads of 4 KiB at most, and a message is 7 bytes.
const ECHO_MESSAGES_MAX: usize = 8 * 4 * 4096 / 7;

#[tokio::test(start_paused = true)]
async fn what_is_answered_stays_within_the_send_buffer() {
    let (server, told) = answering(|builder| builder.send_buffer_size(16));
    let flooding = flood(dial(&server, "bad").await);
    let bad = server.connection("bad").unwrap();
    while told.load(Relaxed) < 20_000 {
        assert!(bad.outbound_stats().pending <= 16);
        tokio::task::yield_now().await;
    }
    flooding.abort();
}

#[tokio::test(start_paused = true)]
async fn the_log_has_one_line_of_it_above_debug() {
    let logs = Logs::capture();
    let (server, told) = answering(|builder| builder);
    let flooding = flood(dial(&server, "bad").await);
    while told.load(Relaxed) < 10_000 {
        tokio::task::yield_now().await;
    }
    flooding.abort();
    assert_eq!(logs.all("WARN", "undecodable message").len(), 1);
    assert!(logs.all("ERROR", "").is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_counts_against_the_rate() {
    let (server, told) = answering(|builder| {
        builder.inbound_rate(InboundRate::new(OverRate::Close).messages(100, 100))
    });
    let mut bad = dial(&server, "bad").await;
    let mut good = dial(&server, "good").await;
    bad.write_raw(&masked(0x81, b"[").repeat(200)).await.unwrap();
    assert_eq!(bad.closed().await.unwrap(), Some(close(1008, "rate limit")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(told.load(Relaxed) <= 100, "{} were told", told.load(Relaxed));
    echoes(&mut good, 1).await;
}
