//! A client that speaks `wspulse.1`, one message at a time.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::time::Duration;

use tokio::time::timeout;
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{
    CloseFrame, Delivery, Disconnect, Frame, MessageKind, Server, ServerBuilder, TransportLost,
};
use wspulse_core::protocol::{Control, Hello, ResumeOffer};

use super::clients::Client;
use super::clock::WINDOW;
use super::stage::{Stage, Told};

pub(crate) const JSON: &str = "wspulse.1+json";
pub(crate) const PING: Duration = Duration::from_secs(10);
pub(crate) const PONG: Duration = Duration::from_secs(30);
pub(crate) const ANN: &str = "/ws?id=ann&room=lobby";

pub(crate) fn configured(builder: ServerBuilder) -> ServerBuilder {
    builder
        .resume_window(WINDOW)
        .heartbeat(PING, PONG)
        .delivery(Delivery::ExactlyOnce)
        .delivery_window(128, 1 << 20)
}

pub(crate) fn stage() -> Stage {
    Stage::new(configured)
}

pub(crate) fn event(event: &str) -> Frame {
    Frame::new(event)
}

pub(crate) async fn disconnected(stage: &mut Stage) -> Disconnect {
    loop {
        if let Told::Disconnect(_, disconnect) = stage.next().await {
            return disconnect;
        }
    }
}

pub(crate) async fn dropped(stage: &mut Stage) -> TransportLost {
    loop {
        if let Told::Drop(_, cause) = stage.next().await {
            return cause;
        }
    }
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Hello(Box<Hello>),
    Ask,
    Ack(u64),
    Frame(String),
    Closed(Option<CloseFrame>),
    End,
}

pub(crate) struct Speaker {
    pub(crate) client: Client,
}

impl Speaker {
    /// Connects with these offers, and reads nothing yet.
    pub(crate) async fn dial(server: &Server, target: &str, offers: &[&str]) -> Self {
        let mut parts = request_parts(target);
        let offers = offers.join(", ").parse().unwrap();
        parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers);
        Self { client: TestClient::connect_with(server, parts).await.unwrap() }
    }

    /// Begins a session.
    pub(crate) async fn begin(server: &Server, target: &str) -> (Self, Hello) {
        let mut speaker = Self::dial(server, target, &[JSON]).await;
        let hello = speaker.hello().await;
        (speaker, hello)
    }

    /// Comes back with a token and a count.
    pub(crate) async fn come_back(server: &Server, target: &str, token: &str, count: u64) -> Self {
        let resume = ResumeOffer { token: token.to_owned(), count }.to_string();
        Self::dial(server, target, &[JSON, &resume]).await
    }

    pub(crate) async fn resume(
        server: &Server,
        target: &str,
        token: &str,
        count: u64,
    ) -> (Self, Hello) {
        let mut speaker = Self::come_back(server, target, token, count).await;
        let hello = speaker.hello().await;
        (speaker, hello)
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        match self.hear().await {
            Heard::Hello(hello) => *hello,
            heard => panic!("no hello: {heard:?}"),
        }
    }

    /// The next thing that comes; Pings are answered.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match self.client.receive().await {
                Ok(Received::Message(kind, payload)) if payload.first() == Some(&b'[') => {
                    assert_eq!(kind, MessageKind::Text);
                    return match Control::parse(&payload).unwrap() {
                        Control::Hello(hello) => Heard::Hello(hello),
                        Control::Ask => Heard::Ask,
                        Control::Ack(count) => Heard::Ack(count),
                        control => panic!("{control:?}"),
                    };
                }
                Ok(Received::Message(_, payload)) => {
                    let frame: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                    return Heard::Frame(frame["event"].as_str().unwrap().to_owned());
                }
                Ok(Received::Ping(payload)) => {
                    assert!(payload.is_empty(), "questions are messages of their own");
                    self.client.pong(&payload).await.unwrap();
                }
                Ok(Received::Pong(_)) => {}
                Ok(Received::Close(close)) => return Heard::Closed(close),
                Ok(Received::End) | Err(_) => return Heard::End,
            }
        }
    }

    /// Nothing comes for a while.
    pub(crate) async fn hears_nothing(&mut self) {
        let heard = timeout(Duration::from_millis(500), self.hear()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    pub(crate) async fn say(&mut self, event: &str) {
        self.client.send(&Frame::new(event)).await.unwrap();
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.client.write_message(MessageKind::Text, text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn ask(&mut self) {
        self.write(r#"["ask"]"#).await;
    }

    pub(crate) async fn ack(&mut self, count: u64) {
        self.write(&format!(r#"["ack",{count}]"#)).await;
    }
}

pub(crate) fn frame(event: &str) -> Heard {
    Heard::Frame(event.to_owned())
}
