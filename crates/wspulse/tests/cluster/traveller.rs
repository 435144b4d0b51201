//! A client with a session that goes from server to server.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use wspulse::http::header::SEC_WEBSOCKET_PROTOCOL;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Server, ServerBuilder};
use wspulse_core::protocol::{Hello, ResumeOffer, SessionKind};

use super::rooms;
use super::support::speaker::{Heard, JSON, Speaker, configured};

pub(crate) const ANN: &str = "/ws?id=ann&room=lobby";

pub(crate) fn exactly_once() -> ServerBuilder {
    configured(rooms()).max_message_size(1 << 16)
}

/// A client with a session, which can come to any server.
pub(crate) struct Traveller {
    pub(crate) speaker: Speaker,
    pub(crate) hello: Hello,
    /// How many frames it has had.
    pub(crate) had: u64,
}

impl Traveller {
    pub(crate) async fn begin(server: &Server) -> Self {
        let (speaker, hello) = Speaker::begin(server, ANN).await;
        Self { speaker, hello, had: 0 }
    }

    /// Its transport ends without a word.
    pub(crate) fn hangs_up(&mut self) {
        let (nobody, _) = tokio::io::duplex(1);
        self.speaker.client = TestClient::new(nobody);
    }

    /// Its network fails, and it comes to this server with the token that it has.
    pub(crate) async fn comes_to(&mut self, server: &Server) {
        let (speaker, hello) = Speaker::resume(server, ANN, &self.hello.token, self.had).await;
        assert_eq!(hello.session, SessionKind::Resumed);
        (self.speaker, self.hello) = (speaker, hello);
    }

    pub(crate) async fn hears(&mut self, events: &[&str]) {
        for event in events {
            assert_eq!(self.next().await, *event);
        }
    }

    /// The next frame's event.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            match timeout(Duration::from_mins(1), self.speaker.hear()).await.expect("a frame") {
                Heard::Ask => self.speaker.ack(self.had).await,
                Heard::Frame(event) => {
                    self.had += 1;
                    return event;
                }
                other @ (Heard::Hello(_) | Heard::Ack(_) | Heard::Closed(_) | Heard::End) => {
                    panic!("{other:?}")
                }
            }
        }
    }
}

/// The status with which a server refuses a client that has this token.
pub(crate) async fn refused(server: &Server, target: &str, token: &str) -> u16 {
    let mut parts = request_parts(target);
    let resume = ResumeOffer { token: token.to_owned(), count: 0 };
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, format!("{JSON}, {resume}").parse().unwrap());
    TestClient::connect_with(server, parts).await.expect_err("refused").status().as_u16()
}

/// Comes to one server after the other until one lets it in.
pub(crate) async fn come_somewhere(ann: &mut Traveller, servers: &[Server], first: usize) {
    for place in first..first + 200 {
        let resume = ResumeOffer { token: ann.hello.token.clone(), count: ann.had };
        let mut parts = request_parts(ANN);
        parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, format!("{JSON}, {resume}").parse().unwrap());
        match TestClient::connect_with(&servers[place % servers.len()], parts).await {
            Ok(client) => {
                ann.speaker = Speaker { client };
                ann.hello = ann.speaker.hello().await;
                assert_eq!(ann.hello.session, SessionKind::Resumed, "at {place}");
                return;
            }
            Err(refused) => assert_eq!(refused.status().as_u16(), 503),
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("nobody lets it in");
}

/// Comes with a token; `None` if the server has it try again.
pub(crate) async fn come_with(server: &Server, token: &str) -> Option<(Speaker, Hello)> {
    let resume = ResumeOffer { token: token.to_owned(), count: 0 };
    let mut parts = request_parts(ANN);
    parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, format!("{JSON}, {resume}").parse().unwrap());
    let mut speaker = Speaker { client: TestClient::connect_with(server, parts).await.ok()? };
    let hello = match speaker.hear().await {
        Heard::Hello(hello) => *hello,
        // Another one has overtaken it.
        Heard::Closed(_) | Heard::End => return None,
        other @ (Heard::Ask | Heard::Ack(_) | Heard::Frame(_)) => panic!("{other:?}"),
    };
    Some((speaker, hello))
}
