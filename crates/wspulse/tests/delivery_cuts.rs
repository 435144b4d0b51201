//! At least once, over links that are cut or fall silent at any byte: nothing is lost, nothing comes
//! out of order, whatever the seed.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{Admission, Connection, Delivery, DuplicatePolicy, Frame, Server};

const SEEDS: u64 = 1_000;
const CUTS: usize = 6;
const FRAMES: u64 = 400;
const WINDOW: Duration = Duration::from_mins(5);
/// What a link lets through before it fails.
const BYTES: Range<usize> = 0..3_000;
/// How long a client that hears nothing stays on a link.
const SILENCE: Range<u64> = 300..40_000;

/// How a link fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// What goes in is never seen again, and nobody is told.
    Silence,
    /// Both ends see it break.
    Cut,
    /// Never.
    None,
}

/// Joins a server's end and a client's, and lets so many bytes through to the client.
async fn link(server_end: DuplexStream, client_end: DuplexStream, bytes: usize, failure: Failure) {
    let (mut from_server, mut to_server) = split(server_end);
    let (mut from_client, mut to_client) = split(client_end);
    let failed = CancellationToken::new();
    let fails = failed.clone();
    let down = async move {
        let mut left = bytes;
        let mut buffer = [0; 512];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            let passes = if failure == Failure::None { read } else { read.min(left) };
            left -= passes.min(left);
            if to_client.write_all(&buffer[..passes]).await.is_err() {
                break;
            }
            if passes < read {
                failed.cancel();
                match failure {
                    // A dead network's kernel goes on taking bytes.
                    Failure::Silence => {
                        while from_server.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
                    }
                    Failure::Cut | Failure::None => {}
                }
                break;
            }
        }
    };
    let up = async move {
        let mut buffer = [0; 512];
        loop {
            tokio::select! {
                biased;
                () = fails.cancelled() => break,
                read = from_client.read(&mut buffer) => match read {
                    Ok(read @ 1..) => {
                        if to_server.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                    Ok(0) | Err(_) => break,
                },
            }
        }
        // Neither end hears of a silence.
        if failure == Failure::Silence {
            sleep(WINDOW).await;
        }
    };
    tokio::join!(down, up);
}

/// Lets a client come over such a link.
async fn dial(server: &Server, bytes: usize, failure: Failure) -> TestClient<DuplexStream> {
    let accepted = server.handshake(request_parts("/ws")).unwrap().connect().await.unwrap();
    let (server_end, near) = duplex(4 * 1024);
    let (far, client_end) = duplex(4 * 1024);
    accepted.attach(server_end, &[]);
    tokio::spawn(link(near, far, bytes, failure));
    TestClient::new(client_end)
}

/// What a client has got, over all its links.
#[derive(Default)]
struct Log {
    newest: u64,
    again: u64,
}

impl Log {
    /// Reads what comes until the link ends, nothing has come for so long, or all is there.
    async fn read(&mut self, client: &mut TestClient<DuplexStream>, patience: Duration) {
        let mut last_on_link = None;
        while self.newest < FRAMES {
            let deadline = Instant::now() + patience;
            let Ok(Ok(received)) = timeout_at(deadline, client.receive()).await else { return };
            match received {
                Received::Message(_, payload) => {
                    let frame: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                    let number = frame["payload"].as_u64().unwrap();
                    match last_on_link {
                        Some(last) => assert_eq!(number, last + 1, "in order, and without a hole"),
                        None => {
                            assert!(number <= self.newest + 1, "{number} after {}", self.newest);
                        }
                    }
                    last_on_link = Some(number);
                    self.again += u64::from(number <= self.newest);
                    self.newest = self.newest.max(number);
                }
                Received::Ping(payload) => {
                    if client.pong(&payload).await.is_err() {
                        return;
                    }
                }
                Received::Pong(_) | Received::Close(_) | Received::End => return,
            }
        }
    }
}

async fn send_all(connection: Connection, mut dice: StdRng) {
    for number in 1..=FRAMES {
        let frame = Frame::new("n").json(&number).unwrap();
        // Direct sends and broadcasts are kept alike.
        if dice.random_bool(0.5) {
            connection.send(frame).unwrap();
        } else {
            assert_eq!(connection.room().broadcast(frame).unwrap(), 1);
        }
        sleep(Duration::from_millis(dice.random_range(0..200))).await;
    }
}

async fn live(seed: u64) -> u64 {
    let mut dice = StdRng::seed_from_u64(seed);
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .resume_window(WINDOW)
        .duplicates(DuplicatePolicy::Resume)
        .delivery(Delivery::AtLeastOnce)
        .delivery_window(dice.random_range(1..64), dice.random_range(64..8_192))
        .send_buffer_size(1_024)
        .build()
        .unwrap();
    let mut log = Log::default();
    let mut sender = None;
    for cut in 0..=CUTS {
        let failure = match cut {
            CUTS => Failure::None,
            _ if dice.random_bool(0.5) => Failure::Silence,
            _ => Failure::Cut,
        };
        let mut client = dial(&server, dice.random_range(BYTES), failure).await;
        sender.get_or_insert_with(|| {
            let connection = server.connection("ann").expect("it has just come");
            tokio::spawn(send_all(connection, StdRng::seed_from_u64(seed)))
        });
        let patience = match failure {
            Failure::None => WINDOW,
            Failure::Silence | Failure::Cut => Duration::from_millis(dice.random_range(SILENCE)),
        };
        log.read(&mut client, patience).await;
    }
    assert_eq!(log.newest, FRAMES, "all of it has come");
    sender.expect("it was started").await.unwrap();
    server.close().await;
    log.again
}

#[test]
fn nothing_is_lost_and_nothing_is_out_of_order_over_links_that_fail_at_any_byte() {
    let mut again = 0;
    for seed in 0..SEEDS {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let lived = std::panic::catch_unwind(|| runtime.block_on(live(seed)));
        again += lived.unwrap_or_else(|_| panic!("seed {seed}"));
    }
    // What was on its way at a cut comes twice: there were cuts, and this test has seen them.
    assert!(again > SEEDS, "{again}");
}
