//! Links that fail at any byte behind the handshake.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::sleep;
use wspulse::testing::{Fault, Link, LinkStream, TestClient, Way, request_head};
use wspulse::{Connection, Frame};

/// How many lives a run of the tests has.
pub(crate) const LIVES: u64 = 300;

/// How many bytes a link lets through before it fails, to the client and to the server: whichever
/// is first.
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    pub(crate) down: usize,
    pub(crate) up: usize,
}

/// Lets a client come by this link, with these subprotocols. Then it fails, if it is to.
pub(crate) async fn dial(
    link: &Link,
    offers: &[&str],
    bytes: Bytes,
    failure: Option<Fault>,
) -> TestClient<LinkStream> {
    let mut client = TestClient::new(link.dial().unwrap());
    let offers = match offers {
        [] => String::new(),
        offers => format!("\r\nSec-WebSocket-Protocol: {}", offers.join(", ")),
    };
    let head = request_head("/ws").replace("\r\n\r\n", &format!("{offers}\r\n\r\n"));
    client.write_raw(head.as_bytes()).await.unwrap();
    let answer = client.read_response_head().await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    if let Some(fault) = failure {
        link.fail_after(Way::Down, bytes.down, fault);
        link.fail_after(Way::Up, bytes.up, fault);
    }
    client
}

/// Sends so many numbered frames, at its leisure. Direct sends and broadcasts are kept alike.
pub(crate) async fn send_all(connection: Connection, frames: u64, mut dice: StdRng) {
    for number in 1..=frames {
        let frame = Frame::new("n").json(&number).unwrap();
        if dice.random_bool(0.5) {
            connection.send(frame).unwrap();
        } else {
            assert_eq!(connection.room().broadcast(frame).unwrap().reached, 1);
        }
        sleep(Duration::from_millis(dice.random_range(0..200))).await;
    }
}
