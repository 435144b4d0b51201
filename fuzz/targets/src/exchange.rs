//! A client that speaks `wspulse.1`, honest or not, with a whole server.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else there is fails the target")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::SEC_WEBSOCKET_PROTOCOL;
use rand::RngExt;
use tokio::io::DuplexStream;
use tokio::runtime::Builder;
use tokio::time::timeout;
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{Admission, Connection, Delivery, Frame, MessageKind, Server};
use wspulse_core::protocol::{Control, ResumeOffer, SessionKind};

use crate::dice::Dice;

const STEPS_MAX: usize = 64;

/// Plays a life that the bytes say: an honest client, whose links break, must get each frame once
/// and be heard once; another one says what it likes under another id, and nobody notices.
///
/// # Panics
///
/// If the library has a fault.
pub fn exchange(script: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(live(Dice::new(script)));
}

struct Stage {
    server: Server,
    heard: Arc<AtomicU64>,
}

fn stage() -> Stage {
    let heard = Arc::new(AtomicU64::new(0));
    let server = Server::builder_sync(|request| {
        Ok(Admission::room("lobby").id(request.query("id").unwrap_or_default()))
    })
    .resume_window(Duration::from_mins(5))
    .delivery(Delivery::ExactlyOnce)
    .delivery_window(8, 1 << 20)
    .send_buffer_size(4_096)
    .check_origin(|_| true)
    .on_message({
        let heard = Arc::clone(&heard);
        move |conn: Connection, frame: Frame| {
            if conn.id() == "ann" {
                let number = heard.fetch_add(1, Ordering::Relaxed) + 1;
                assert_eq!(frame.event(), number.to_string(), "each message once, in order");
            }
        }
    })
    .build();
    Stage { server: server.expect("valid options"), heard }
}

/// The honest one.
#[derive(Default)]
struct Ann {
    link: Option<TestClient<DuplexStream>>,
    token: Option<String>,
    received: u64,
    /// The next of its messages to be written, where there is a link.
    next: u64,
    said: u64,
}

async fn live(mut dice: Dice) {
    let stage = stage();
    let (mut ann, mut sent, mut eve) = (Ann::default(), 0_u64, None);
    for _ in 0..STEPS_MAX {
        match dice.random_range(0..8_u8) {
            0 | 1 => ann.come(&stage.server).await,
            2 => ann.link = None,
            3 => ann.say(dice.random_range(1..5)).await,
            4 => ann.listen().await,
            5 => {
                if let Some(connection) = stage.server.connection("ann") {
                    sent += 1;
                    let frame = Frame::new(sent.to_string());
                    connection.send(frame).expect("there is room for all of them");
                }
            }
            6 => lie(&stage.server, &mut eve, &mut dice).await,
            _ => tokio::time::sleep(Duration::from_millis(dice.random_range(0..2_000))).await,
        }
    }
    ann.link = None;
    for _ in 0..3 {
        ann.come(&stage.server).await;
        ann.say(0).await;
        ann.listen().await;
    }
    assert_eq!(ann.received, sent, "nothing is lost");
    assert_eq!(stage.heard.load(Ordering::Relaxed), ann.said);
    drop((ann, eve));
    stage.server.close().await;
}

async fn dial(server: &Server, id: &str, offers: &str) -> Option<TestClient<DuplexStream>> {
    let mut parts = request_parts(&format!("/?id={id}"));
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers.parse().ok()?);
    TestClient::connect_with(server, parts).await.ok()
}

impl Ann {
    /// Comes on a new link, and reads no more than the hello, if that.
    async fn come(&mut self, server: &Server) {
        let mut offers = "wspulse.1+json".to_owned();
        if let Some(token) = self.token.clone() {
            let offer = ResumeOffer { token, count: self.received };
            offers = format!("{offers}, {offer}");
        }
        self.link = dial(server, "ann", &offers).await;
        self.next = 0;
    }

    async fn say(&mut self, messages: u64) {
        self.listen().await;
        self.said += messages;
        while self.link.is_some() && (1..=self.said).contains(&self.next) {
            self.write(&format!(r#"{{"event":"{}"}}"#, self.next)).await;
            self.next += 1;
        }
    }

    async fn write(&mut self, text: &str) {
        if let Some(link) = &mut self.link
            && link.write_message(MessageKind::Text, text.as_bytes()).await.is_err()
        {
            self.link = None;
        }
    }

    /// Reads all that has come.
    async fn listen(&mut self) {
        while let Some(link) = &mut self.link {
            match timeout(Duration::from_millis(1), link.receive()).await {
                Ok(Ok(Received::Message(_, text))) => self.hear(&text).await,
                Ok(Ok(Received::Ping(payload))) => {
                    let _ = link.pong(&payload).await;
                }
                Ok(Ok(Received::Pong(_))) => {}
                Ok(Ok(Received::Close(_) | Received::End) | Err(_)) => self.link = None,
                Err(_) => return,
            }
        }
    }

    async fn hear(&mut self, text: &[u8]) {
        if text.first() != Some(&b'[') {
            self.received += 1;
            let frame: serde_json::Value = serde_json::from_slice(text).expect("a frame");
            assert_eq!(frame["event"], self.received.to_string(), "each frame once, in order");
            return;
        }
        match Control::parse(text).expect("the server's own") {
            Control::Hello(hello) => {
                let known =
                    if self.token.is_some() { SessionKind::Resumed } else { SessionKind::New };
                assert_eq!(hello.session, known);
                self.token = Some(hello.token);
                self.next = hello.received + 1;
            }
            Control::Ask => self.write(&format!(r#"["ack",{}]"#, self.received)).await,
            Control::Ack(_) => {}
            control => panic!("{control:?}"),
        }
    }
}

/// Says whatever it likes.
async fn lie(server: &Server, eve: &mut Option<TestClient<DuplexStream>>, dice: &mut Dice) {
    let number = dice.random_range(0..20_u64);
    if eve.is_none() || dice.random_range(0..4_u8) == 0 {
        let offer =
            ["", ", wspulse.1.resume.ZXZl.1.AAAAAAAAAAAAAAAAAAAAAA.7", ", wspulse.1.resume."];
        let offer = offer[dice.random_range(0..offer.len())];
        *eve = dial(server, "eve", &format!("wspulse.1+json{offer}")).await;
    }
    let Some(link) = eve else { return };
    let text = match dice.random_range(0..6_u8) {
        0 => format!(r#"["ack",{number}]"#),
        1 => r#"["ask"]"#.to_owned(),
        2 => r#"["hello",{}]"#.to_owned(),
        3 => "[".repeat(dice.random_range(1..20)),
        4 => r#"["later",{"a":[1]}]"#.to_owned(),
        _ => r#"{"event":"e"}"#.to_owned(),
    };
    let written = link.write_message(MessageKind::Text, text.as_bytes()).await;
    let heard = timeout(Duration::from_millis(1), link.receive()).await;
    if written.is_err() || matches!(heard, Ok(Err(_) | Ok(Received::Close(_) | Received::End))) {
        *eve = None;
    }
}
