//! A client that comes back by itself, as wspulse's own clients do: same URL, growing pauses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use wspulse::codec::{Codec, InboundMessage, JsonCodec};
use wspulse::testing::{Received, Refused, TestClient};
use wspulse::{CloseCode, CloseFrame, Frame, Server};

use super::clients::Client;

/// The pause before the first attempt to come back; it doubles with every other.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a client tells its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Dropped,
    Restored,
    Closed,
    ConnectionLost,
    RetriesExhausted,
}

/// Where clients connect to: a server that can be restarted.
#[derive(Clone)]
pub(crate) struct Endpoint(Arc<Mutex<Server>>);

pub(crate) struct Reconnecting {
    endpoint: Endpoint,
    target: String,
    /// How many failed attempts end it; 0: it does not come back at all.
    retries_max: u32,
    client: Option<Client>,
    has_ended: bool,
    pub(crate) events: Vec<Event>,
}

/// The client has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended;

impl Endpoint {
    pub(crate) fn new(server: Server) -> Self {
        Self(Arc::new(Mutex::new(server)))
    }

    pub(crate) fn server(&self) -> Server {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn restart(&self, server: Server) {
        *self.0.lock().unwrap() = server;
    }
}

impl Reconnecting {
    /// Connects; a refusal at the first attempt is final.
    pub(crate) async fn dial(
        endpoint: &Endpoint,
        target: &str,
        retries_max: u32,
    ) -> Result<Self, Refused> {
        let client = TestClient::connect(&endpoint.server(), target).await?;
        Ok(Self {
            endpoint: endpoint.clone(),
            target: target.to_owned(),
            retries_max,
            client: Some(client),
            has_ended: false,
            events: Vec::new(),
        })
    }

    /// Sends a frame, coming back first if that is needed.
    pub(crate) async fn send(&mut self, frame: &Frame) -> Result<(), Ended> {
        loop {
            let client = self.client.as_mut().filter(|_| !self.has_ended).ok_or(Ended)?;
            if client.send(frame).await.is_ok() {
                return Ok(());
            }
            self.come_back().await?;
        }
    }

    /// Waits for the next frame, answering the server and coming back as often as needed.
    pub(crate) async fn frame(&mut self) -> Result<Frame, Ended> {
        loop {
            let client = self.client.as_mut().filter(|_| !self.has_ended).ok_or(Ended)?;
            match client.receive().await {
                Ok(Received::Message(kind, payload)) => {
                    return Ok(JsonCodec.decode(InboundMessage::owned(kind, payload)).unwrap());
                }
                Ok(Received::Ping(payload)) => drop(client.pong(&payload).await),
                Ok(Received::Pong(_)) => {}
                // No close code is final: every end by the server is a reason to come back.
                Ok(Received::Close(frame)) => {
                    let _ = client.close(frame.as_ref()).await;
                    self.come_back().await?;
                }
                Ok(Received::End) | Err(_) => self.come_back().await?,
            }
        }
    }

    /// Loses the transport without a word, as in a tunnel.
    pub(crate) fn lose_transport(&mut self) {
        let (ours, _) = tokio::io::duplex(1);
        self.client = self.client.take().map(|_| TestClient::new(ours));
    }

    /// Says goodbye and waits for the answer.
    pub(crate) async fn close(&mut self) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        if let Some(mut client) = self.client.take() {
            let goodbye = CloseFrame::new(CloseCode::NORMAL, "");
            let _ = client.close(Some(&goodbye)).await;
            while let Ok(received) = client.receive().await {
                match received {
                    Received::Close(answer) => {
                        assert_eq!(answer, Some(goodbye.clone()));
                    }
                    Received::End => break,
                    Received::Message(..) | Received::Ping(_) | Received::Pong(_) => {}
                }
            }
        }
        self.events.push(Event::Closed);
    }

    async fn come_back(&mut self) -> Result<(), Ended> {
        self.client = None;
        self.events.push(Event::Dropped);
        let mut pause = PAUSE;
        for _ in 0..self.retries_max {
            sleep(pause).await;
            pause = PAUSE_MAX.min(2 * pause);
            if let Ok(client) = TestClient::connect(&self.endpoint.server(), &self.target).await {
                self.client = Some(client);
                self.events.push(Event::Restored);
                return Ok(());
            }
        }
        self.has_ended = true;
        self.events.push(match self.retries_max {
            0 => Event::ConnectionLost,
            _ => Event::RetriesExhausted,
        });
        Err(Ended)
    }
}
