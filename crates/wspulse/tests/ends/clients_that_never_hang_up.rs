//! Kind of A5: what has ended and is still being parted with counts against no limit.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::testing::TestClient;
use wspulse::{Admission, DuplicatePolicy, Server};

async fn open_streams(policy: DuplicatePolicy, attempts: usize) -> (usize, usize) {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .check_origin(|_| true)
        .peer_addr(|_| Some("192.0.2.1:5000".parse().unwrap()))
        .max_connections(1)
        .max_connections_per_addr(1)
        .duplicates(policy)
        .resume_window(Duration::from_secs(30))
        .build()
        .unwrap();
    let (mut clients, mut refused) = (Vec::new(), 0);
    for _ in 0..attempts {
        match TestClient::connect(&server, "/").await {
            Ok(client) => clients.push(client.into_stream()),
            Err(_) => refused += 1,
        }
        sleep(Duration::from_millis(5)).await;
    }
    // A stream that the server has dropped takes no more bytes.
    let mut open = 0;
    for stream in &mut clients {
        use tokio::io::AsyncWriteExt as _;
        open += usize::from(stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.is_ok());
    }
    (open, refused)
}

/// 1 connection, and 4 that are ending: what the options promise.
#[tokio::test(start_paused = true)]
async fn a_client_that_replaces_itself_and_never_hangs_up_holds_no_more_than_its_places() {
    let (open, refused) = open_streams(DuplicatePolicy::Replace, 200).await;
    assert!(open <= 5, "{open} streams are held at max_connections(1), {refused} were refused");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_session_over_and_never_hangs_up_holds_no_more_than_its_places() {
    let (open, refused) = open_streams(DuplicatePolicy::Resume, 200).await;
    assert!(open <= 5, "{open} streams are held at max_connections(1), {refused} were refused");
}
