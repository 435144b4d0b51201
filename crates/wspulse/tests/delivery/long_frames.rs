//! A frame that takes longer than `write_wait` to write arrives all the same, if its reader is
//! steady; one that no transport is long enough for is given up, and what is behind it arrives.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::time::{Instant, sleep};
use wspulse::metrics::FrameDropped;
use wspulse::testing::TestClient;
use wspulse::{
    Admission, ConnectionState, DropReason, Frame, MetricsCollector, Server, ServerBuilder,
};

const FRAME_BYTES: usize = 5 * 1024 * 1024;
const STREAM_BYTES: usize = 64 * 1024;

#[derive(Clone, Default)]
struct Drops(Arc<Mutex<Vec<DropReason>>>);

impl MetricsCollector for Drops {
    fn frame_dropped(&self, event: &FrameDropped<'_>) {
        self.0.lock().push(event.reason);
    }
}

fn server(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
    let builder = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .resume_window(Duration::from_mins(5))
        .check_origin(|_| true);
    configure(builder).build().expect("valid options")
}

fn long_frame() -> Frame {
    Frame::new("long").with_payload(format!("\"{}\"", "x".repeat(FRAME_BYTES)))
}

async fn dial(server: &Server) -> DuplexStream {
    let client = TestClient::connect_with_capacity(server, "/", STREAM_BYTES).await;
    client.expect("101").into_stream()
}

/// Reads at a steady rate until so many bytes have come, or the server gives the transport up.
async fn read_steadily(stream: &mut DuplexStream, bytes_per_second: usize, bytes: usize) -> usize {
    let mut got = 0;
    let mut buffer = vec![0; bytes_per_second / 4];
    while got < bytes {
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => got += read,
            Ok(0) | Err(_) => break,
        }
        sleep(Duration::from_millis(250)).await;
    }
    got
}

async fn suspended(server: &Server) {
    let connection = server.connection("ann").expect("within the window");
    while connection.state() != ConnectionState::Suspended {
        sleep(Duration::from_millis(100)).await;
    }
}

/// 256 KiB a second are far above the least rate, and 5 MiB take twice the write wait.
#[tokio::test(start_paused = true)]
async fn a_frame_longer_than_the_write_wait_arrives_at_a_steady_reader_over_one_transport() {
    let server = server(|builder| builder);
    let mut stream = dial(&server).await;
    server.send("ann", long_frame()).expect("there is room");
    server.send("ann", Frame::new("behind")).expect("there is room");
    let started = Instant::now();
    let got = read_steadily(&mut stream, 256 * 1024, FRAME_BYTES).await;
    assert!(got >= FRAME_BYTES, "{got} bytes came");
    assert!(started.elapsed() > Duration::from_secs(19));
    let mut client = TestClient::new(stream);
    while client.receive().await.is_ok() {
        let stats = server.connection("ann").expect("connected").outbound_stats();
        if stats.sent == 2 {
            break;
        }
    }
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_below_the_least_rate_loses_its_transport() {
    let server = server(|builder| builder.min_write_rate(64 * 1024));
    let mut stream = dial(&server).await;
    server.send("ann", long_frame()).expect("there is room");
    let started = Instant::now();
    let reading =
        tokio::spawn(async move { read_steadily(&mut stream, 32 * 1024, FRAME_BYTES).await });
    suspended(&server).await;
    // At half the rate it has its time twice, but for what lies in the stream at the end.
    let elapsed = started.elapsed();
    assert!((18.0..=20.1).contains(&elapsed.as_secs_f64()), "{elapsed:?}");
    assert!(reading.await.expect("no panic") < FRAME_BYTES / 4);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_five_transports_were_lost_with_is_dropped_and_what_is_behind_it_arrives() {
    let drops = Drops::default();
    let server = server(|builder| builder.metrics(drops.clone()));
    let first = dial(&server).await;
    server.send("ann", long_frame()).expect("there is room");
    server.send("ann", Frame::new("behind")).expect("there is room");
    let mut stream = first;
    for transport in 1..=5 {
        assert!(read_steadily(&mut stream, 64 * 1024, 200_000).await >= 200_000);
        drop(stream);
        suspended(&server).await;
        let pending = if transport < 5 { 2 } else { 1 };
        let stats = server.connection("ann").expect("within the window").outbound_stats();
        assert_eq!((stats.pending, stats.dropped), (pending, 2 - pending));
        stream = dial(&server).await;
    }
    assert_eq!(TestClient::new(stream).frame().await.expect("connected").event(), "behind");
    assert_eq!(*drops.0.lock(), [DropReason::Undeliverable]);
    server.close().await;
}

#[test]
fn a_least_rate_of_nothing_is_refused() {
    let builder = Server::builder_sync(|_| Ok(Admission::room("lobby")));
    let error = builder.min_write_rate(0).build().expect_err("out of range");
    assert!(error.to_string().contains("min_write_rate"), "{error}");
}
