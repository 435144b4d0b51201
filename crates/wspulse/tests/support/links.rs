//! Links that fail at any byte.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::runtime::Builder;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Connection, Frame, Server};

/// How many lives a run of the tests has.
const LIVES: u64 = 300;

/// Longer than any session waits.
const FOREVER: Duration = Duration::from_hours(1);

/// How a link fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// What goes in is never seen again, and nobody is told.
    Silence,
    /// Both ends see it break.
    Cut,
    /// Never.
    None,
}

/// How many bytes a link lets through before it fails, to the client and to the server: whichever
/// is first.
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    pub(crate) down: usize,
    pub(crate) up: usize,
}

/// Lets a client come over such a link, with these subprotocols.
pub(crate) async fn dial(
    server: &Server,
    offers: &[&str],
    bytes: Bytes,
    failure: Failure,
) -> TestClient<DuplexStream> {
    let mut parts = request_parts("/ws");
    if !offers.is_empty() {
        parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers.join(", ").parse().unwrap());
    }
    let accepted = server.handshake(parts).unwrap().connect().await.unwrap();
    let (server_end, near) = duplex(4 * 1024);
    let (far, client_end) = duplex(4 * 1024);
    accepted.attach(server_end, &[]);
    tokio::spawn(link(near, far, bytes, failure));
    TestClient::new(client_end)
}

/// Joins a server's end and a client's.
async fn link(server_end: DuplexStream, client_end: DuplexStream, bytes: Bytes, failure: Failure) {
    let (from_server, to_server) = split(server_end);
    let (from_client, to_client) = split(client_end);
    let failed = CancellationToken::new();
    let down = pass(from_server, to_client, bytes.down, failure, failed.clone());
    let up = pass(from_client, to_server, bytes.up, failure, failed);
    tokio::join!(down, up);
}

/// One way of a link.
async fn pass(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    bytes: usize,
    failure: Failure,
    failed: CancellationToken,
) {
    let mut left = bytes;
    let mut buffer = [0; 512];
    loop {
        let read = tokio::select! {
            biased;
            () = failed.cancelled() => break,
            read = from.read(&mut buffer) => read,
        };
        let Ok(read @ 1..) = read else { break };
        let passes = if failure == Failure::None { read } else { read.min(left) };
        left -= passes.min(left);
        if to.write_all(&buffer[..passes]).await.is_err() {
            break;
        }
        if passes < read {
            failed.cancel();
        }
    }
    if failed.is_cancelled() && failure == Failure::Silence {
        // A dead network's kernel goes on taking bytes, and neither end hears of it.
        while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        sleep(FOREVER).await;
    }
}

/// The lives to be lived: a few, as many as `WSPULSE_CUT_LIVES` says, or that of `WSPULSE_SEED`.
pub(crate) fn seeds() -> Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect(name));
    if let Some(seed) = number("WSPULSE_SEED") {
        return seed..seed + 1;
    }
    0..number("WSPULSE_CUT_LIVES").unwrap_or(LIVES)
}

/// Runs one life under a clock of its own.
pub(crate) fn run<T>(seed: u64, life: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let lived = catch_unwind(AssertUnwindSafe(|| runtime.block_on(life)));
    lived.unwrap_or_else(|_| panic!("WSPULSE_SEED={seed}"))
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
