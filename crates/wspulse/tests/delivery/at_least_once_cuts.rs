//! At least once, over links that are cut or fall silent at any byte: nothing is lost, nothing comes
//! out of order, whatever the seed.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, timeout_at};
use wspulse::testing::{Fault, LinkStream, Received, TestClient, TestServer, play};
use wspulse::{Admission, Delivery, DuplicatePolicy, Server};

use crate::support::links::{Bytes, LIVES, dial, send_all};

const CUTS: usize = 6;
const FRAMES: u64 = 400;
const WINDOW: Duration = Duration::from_mins(5);
/// What a link lets through before it fails.
const BYTES: Range<usize> = 0..3_000;
/// How long a client that hears nothing stays on a link.
const SILENCE: Range<u64> = 300..40_000;

/// What a client has got, over all its links.
#[derive(Default)]
struct Log {
    newest: u64,
    again: u64,
}

impl Log {
    /// Reads what comes until the link ends, nothing has come for so long, or all is there.
    async fn read(&mut self, client: &mut TestClient<LinkStream>, patience: Duration) {
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

async fn live(seed: u64) -> u64 {
    let mut dice = StdRng::seed_from_u64(seed);
    let builder = Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .resume_window(WINDOW)
        .duplicates(DuplicatePolicy::Resume)
        .delivery(Delivery::AtLeastOnce)
        .delivery_window(dice.random_range(1..64), dice.random_range(64..8_192))
        .send_buffer_size(1_024);
    let test = TestServer::new(builder).unwrap();
    let (server, link) = (test.server(), test.link("ann"));
    let mut log = Log::default();
    let mut sender = None;
    for cut in 0..=CUTS {
        let failure = match cut {
            CUTS => None,
            _ if dice.random_bool(0.5) => Some(Fault::Silence),
            _ => Some(Fault::Reset),
        };
        let mut client =
            dial(&link, &[], Bytes { down: dice.random_range(BYTES), up: usize::MAX }, failure)
                .await;
        sender.get_or_insert_with(|| {
            let connection = server.connection("ann").expect("it has just come");
            tokio::spawn(send_all(connection, FRAMES, StdRng::seed_from_u64(seed)))
        });
        let patience = match failure {
            None => WINDOW,
            Some(_) => Duration::from_millis(dice.random_range(SILENCE)),
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
    let again = play(LIVES, |dice| live(dice.seed()));
    // What was on its way at a cut comes twice: there were cuts, and this test has seen them.
    assert!(again.iter().sum::<u64>() > again.len() as u64, "{again:?}");
}
