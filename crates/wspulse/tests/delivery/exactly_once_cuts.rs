//! Exactly once, over links that are cut or fall silent at any byte, both ways: nothing is lost,
//! nothing comes twice, nothing comes out of order, whatever the seed.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wspulse::testing::{Fault, LinkStream, Received, TestClient, TestServer, play};
use wspulse::{Admission, Connection, Delivery, Frame, Server, ServerBuilder};
use wspulse_core::protocol::{Control, Hello, ResumeOffer, SessionKind};

use crate::support::links::{Bytes, LIVES, dial, send_all};

const CUTS: u64 = 8;
/// So many each way.
const FRAMES: u64 = 300;
const WINDOW: Duration = Duration::from_mins(5);
/// What a link lets through before it fails, each way.
const BYTES: Range<usize> = 0..4_000;
/// How long a client that hears nothing stays on a link.
const SILENCE: Range<u64> = 300..40_000;
/// How long a whole life may take.
const LIFE: Duration = Duration::from_hours(2);

/// A client as the protocol's page has it.
struct Client {
    token: Option<String>,
    /// Frames of the server's that it has received.
    received: u64,
    /// Messages of its own that the server has handled.
    handled: u64,
    /// The newest that it has written to any transport.
    written: u64,
    dice: StdRng,
}

impl Client {
    fn is_done(&self) -> bool {
        self.received == FRAMES && self.handled == FRAMES
    }

    fn offers(&self) -> Vec<String> {
        let mut offers = vec!["wspulse.1+json".to_owned()];
        if let Some(token) = self.token.clone() {
            offers.push(ResumeOffer { token, count: self.received }.to_string());
        }
        offers
    }

    fn greet(&mut self, hello: Hello) -> u64 {
        let kind = if self.token.is_none() { SessionKind::New } else { SessionKind::Resumed };
        assert_eq!(hello.session, kind, "no session is lost");
        assert!((self.handled..=self.written).contains(&hello.received), "{hello:?}");
        assert!(hello.handled >= self.handled, "{hello:?}");
        self.token = Some(hello.token);
        self.handled = hello.handled;
        // The next to be written.
        hello.received + 1
    }

    /// Uses a link until it ends, nothing has come for so long, or all is done.
    async fn use_link(&mut self, link: &mut TestClient<LinkStream>, patience: Duration) {
        let mut next = None;
        let mut heard_at = Instant::now();
        while !self.is_done() {
            let pause = Duration::from_millis(self.dice.random_range(1..400));
            match timeout(pause, link.receive()).await {
                Ok(Ok(Received::Message(_, payload))) => {
                    heard_at = Instant::now();
                    if self.hear(&payload, &mut next, link).await.is_none() {
                        return;
                    }
                }
                Ok(Ok(Received::Ping(payload))) => {
                    heard_at = Instant::now();
                    if !is_written(link.pong(&payload)).await {
                        return;
                    }
                }
                Ok(Ok(Received::Pong(_) | Received::Close(_) | Received::End) | Err(_)) => return,
                Err(_) if heard_at.elapsed() > patience => return,
                Err(_) => {
                    if self.speak(&mut next, link).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    async fn hear(
        &mut self,
        payload: &[u8],
        next: &mut Option<u64>,
        link: &mut TestClient<LinkStream>,
    ) -> Option<()> {
        if payload.first() != Some(&b'[') {
            assert!(next.is_some(), "the hello is first");
            let frame: serde_json::Value = serde_json::from_slice(payload).unwrap();
            self.received += 1;
            assert_eq!(
                frame["payload"], self.received,
                "neither lost, nor twice, nor out of order"
            );
            return Some(());
        }
        match Control::parse(payload).unwrap() {
            Control::Hello(hello) => {
                assert!(next.is_none(), "one hello for each link");
                *next = Some(self.greet(*hello));
                Some(())
            }
            Control::Ask => {
                let text = Control::Ack(self.received).to_text().unwrap();
                write(link, &text).await.then_some(())
            }
            Control::Ack(count) => {
                assert!((self.handled..=self.written).contains(&count));
                self.handled = count;
                Some(())
            }
            control => panic!("{control:?}"),
        }
    }

    /// Says the next thing, if it has been greeted.
    async fn speak(
        &mut self,
        next: &mut Option<u64>,
        link: &mut TestClient<LinkStream>,
    ) -> Option<()> {
        let Some(number) = next else { return Some(()) };
        for _ in 0..self.dice.random_range(1..8) {
            if *number <= FRAMES {
                self.written = self.written.max(*number);
                let frame = format!(r#"{{"event":"n","payload":{number}}}"#);
                *number += 1;
                if !write(link, &frame).await {
                    return None;
                }
            }
        }
        write(link, r#"["ask"]"#).await.then_some(())
    }
}

async fn write(link: &mut TestClient<LinkStream>, text: &str) -> bool {
    is_written(link.write_message(wspulse::MessageKind::Text, text.as_bytes())).await
}

/// A link that takes nothing is as good as lost.
async fn is_written(write: impl Future<Output = std::io::Result<()>>) -> bool {
    timeout(Duration::from_secs(5), write).await.is_ok_and(|written| written.is_ok())
}

/// Its callback takes its time, now and then.
fn builder(dice: &mut StdRng, heard: &Arc<AtomicU64>) -> ServerBuilder {
    let heard = Arc::clone(heard);
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .resume_window(WINDOW)
        .delivery(Delivery::ExactlyOnce)
        .delivery_window(dice.random_range(1..64), dice.random_range(64..8_192))
        .send_buffer_size(1_024)
        .on_message(move |_: Connection, frame: Frame| {
            let before = heard.fetch_add(1, Ordering::Relaxed);
            let number = before + 1;
            assert_eq!(frame.to_json::<u64>().unwrap(), number, "not lost, twice or out of order");
            async move {
                if number.is_multiple_of(7) {
                    sleep(Duration::from_millis(number % 1_000)).await;
                }
            }
        })
}

async fn live(seed: u64) -> u64 {
    let mut dice = StdRng::seed_from_u64(seed);
    let heard = Arc::default();
    let test = TestServer::new(builder(&mut dice, &heard)).unwrap();
    let (server, road) = (test.server(), test.link("ann"));
    let mut client = Client {
        token: None,
        received: 0,
        handled: 0,
        written: 0,
        dice: StdRng::seed_from_u64(!seed),
    };
    let (mut sender, mut links) = (None, 0_u64);
    let end = Instant::now() + LIFE;
    while !client.is_done() {
        let failure = match links {
            CUTS.. => None,
            _ if dice.random_bool(0.5) => Some(Fault::Silence),
            _ => Some(Fault::Reset),
        };
        links += 1;
        let bytes = Bytes { down: dice.random_range(BYTES), up: dice.random_range(BYTES) };
        let offers = client.offers();
        let offers: Vec<_> = offers.iter().map(String::as_str).collect();
        let mut link = dial(&road, &offers, bytes, failure).await;
        sender.get_or_insert_with(|| {
            let connection = server.connection("ann").expect("it has just come");
            tokio::spawn(send_all(connection, FRAMES, StdRng::seed_from_u64(seed)))
        });
        let patience = match failure {
            None => WINDOW,
            Some(_) => Duration::from_millis(dice.random_range(SILENCE)),
        };
        let used = timeout_at(end, client.use_link(&mut link, patience)).await;
        assert!(used.is_ok(), "it never ends: {} and {}", client.received, client.handled);
    }
    assert_eq!(heard.load(Ordering::Relaxed), FRAMES);
    sender.expect("it was started").await.unwrap();
    server.close().await;
    links
}

#[test]
fn nothing_is_lost_or_twice_over_links_that_fail_at_any_byte() {
    let links = play(LIVES, |dice| live(dice.seed()));
    // There were cuts in the middle of it, and this test has seen them.
    assert!(links.iter().sum::<u64>() > 5 * links.len() as u64, "{links:?}");
}
