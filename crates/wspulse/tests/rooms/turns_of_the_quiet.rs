//! Kind of A14 (and of A1): `LastTurn` keeps `waits` when a connection that has waited for its turn
//! finds nothing to read. The count of rounds has 16 bits, and each read of a server at leisure
//! begins one. When it comes around to that old round, `may_read` takes the connection for one
//! that is in the list of those who wait, and answers no. It is in no list: nobody wakes it.

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::timeout;
use wspulse::testing::TestClient;
use wspulse::{Admission, Connection, Frame, Server};

const QUIET: usize = 600;
const AROUND: usize = 65_536;

async fn echo(client: &mut TestClient<DuplexStream>) -> bool {
    client.send(&Frame::new("say")).await.unwrap();
    timeout(Duration::from_secs(3), client.frame()).await.is_ok_and(|frame| frame.is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_speaks_after_a_while_is_answered() {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
        .on_message(|conn: Connection, frame| drop(conn.send(frame)))
        .check_origin(|_| true)
        .build()
        .unwrap();
    let mut quiet = Vec::new();
    for _ in 0..QUIET {
        quiet.push(TestClient::connect(&server, "/").await.unwrap());
    }
    let mut busy = TestClient::connect(&server, "/").await.unwrap();
    // All at once, from outside of the worker: they wait for their turns.
    for client in &mut quiet {
        client.send(&Frame::new("say")).await.unwrap();
    }
    for client in &mut quiet {
        client.frame().await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    // One other client speaks for some seconds.
    for _ in 0..AROUND - QUIET / 2 {
        assert!(echo(&mut busy).await);
    }
    let mut unheard = Vec::new();
    for (number, client) in quiet.iter_mut().enumerate() {
        if !echo(client).await {
            // Others are served, and it is still not heard.
            for _ in 0..10 {
                assert!(echo(&mut busy).await);
            }
            let later = timeout(Duration::from_secs(2), client.frame()).await.is_ok();
            unheard
                .push((number, if later { "heard after others spoke" } else { "still unheard" }));
            if unheard.len() == 2 {
                break;
            }
        }
    }
    assert!(unheard.is_empty(), "of {QUIET} quiet clients: {unheard:?}");
}
