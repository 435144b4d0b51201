//! Connections that have ended and still run callbacks take places too: a client that comes and goes
//! faster than its callbacks return does not add to them without bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::duplex;
use tokio::time::sleep;
use wspulse::http::Response;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Connection, PeerAddr, Server, ServerBuilder};

use crate::support::clients::{dial, numbered};
use crate::support::clock::settle;
use crate::support::house::open_house;
use crate::support::http::Answer;

/// Handlers take a second; how many connections have not had their last callback is counted.
fn slow(alive: &Arc<AtomicUsize>) -> ServerBuilder {
    let (handled, ended) = (Arc::clone(alive), Arc::clone(alive));
    open_house()
        .on_message(move |_: Connection, _| {
            handled.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_secs(1))
        })
        .on_disconnect(move |_, _| {
            ended.fetch_sub(1, Ordering::SeqCst);
        })
}

/// Connects, has a handler run, and hangs up.
async fn come_and_go(server: &Server, id: &str, from: &str) -> Result<(), Response> {
    let mut parts = request_parts(&format!("/ws?id={id}"));
    let address: SocketAddr = format!("{from}:5000").parse().unwrap();
    parts.extensions.insert(PeerAddr(address));
    let accepted = server.handshake(parts)?.connect().await?;
    let (ours, theirs) = duplex(1024);
    accepted.attach(theirs, &[]);
    TestClient::new(ours).send(&numbered(1)).await.unwrap();
    settle().await;
    Ok(())
}

async fn assert_told_to_retry(response: Response) {
    let answer = Answer::of(response).await;
    assert_eq!(answer.summary(), (503, "too many are ending\n"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reconnects_faster_than_its_handler_returns_is_told_to_retry() {
    let alive = Arc::default();
    let server = slow(&alive).max_connections(1).max_connections_per_addr(1).build().unwrap();
    let mut refused = None;
    for _ in 0..200 {
        refused = come_and_go(&server, "ann", "192.0.2.1").await.err().or(refused);
    }
    assert!(alive.load(Ordering::SeqCst) <= 5, "{alive:?}");
    assert_told_to_retry(refused.expect("most are refused")).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    assert!(come_and_go(&server, "ann", "192.0.2.1").await.is_ok(), "once they are done");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn one_id_has_few_ending_connections_also_without_a_limit_on_connections() {
    let alive = Arc::default();
    let server = slow(&alive).build().unwrap();
    let mut admitted = 0;
    for _ in 0..200 {
        admitted += usize::from(come_and_go(&server, "ann", "192.0.2.1").await.is_ok());
    }
    assert_eq!(admitted, 5);
    assert!(come_and_go(&server, "ben", "192.0.2.1").await.is_ok(), "others are not held up");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn ending_connections_of_many_ids_count_by_address() {
    let alive = Arc::default();
    let server = slow(&alive).max_connections_per_addr(3).build().unwrap();
    let mut refused = None;
    for id in 0..200 {
        refused = come_and_go(&server, &id.to_string(), "192.0.2.1").await.err().or(refused);
    }
    assert_eq!(alive.load(Ordering::SeqCst), 4 * 3);
    assert_told_to_retry(refused.expect("most are refused")).await;
    assert!(come_and_go(&server, "ben", "192.0.2.2").await.is_ok(), "from elsewhere");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn ending_connections_of_many_ids_and_addresses_count_in_all() {
    let alive = Arc::default();
    let server = slow(&alive).max_connections(3).build().unwrap();
    let mut refused = None;
    for id in 0..200 {
        let from = format!("192.0.2.{id}");
        refused = come_and_go(&server, &id.to_string(), &from).await.err().or(refused);
    }
    assert_eq!(alive.load(Ordering::SeqCst), 4 * 3);
    assert_told_to_retry(refused.expect("most are refused")).await;
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_connected_stays_when_a_duplicate_is_told_to_retry() {
    let alive = Arc::default();
    let server = slow(&alive).build().unwrap();
    for _ in 0..4 {
        come_and_go(&server, "ann", "192.0.2.1").await.unwrap();
    }
    let _ann = dial(&server, "ann").await;
    let refused = come_and_go(&server, "ann", "192.0.2.1").await.unwrap_err();
    assert_told_to_retry(refused).await;
    assert_eq!(server.connection_count(), 1);
    server.close().await;
}
