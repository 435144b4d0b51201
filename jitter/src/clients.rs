//! The kinds of clients, behind one trait.

pub(crate) mod page;
pub(crate) mod plain;
pub(crate) mod protocol;
pub(crate) mod rust;
pub(crate) mod script;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::ledger::Ledger;
use crate::schedule::{ROOM, Stamp, id};

/// What clients are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Come, and listen.
    Join,
    /// Say something now and then.
    Talk,
    /// Say nothing new.
    Listen,
    /// Go.
    Leave,
}

/// All that a client needs.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) client: usize,
    /// Its link.
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// Between two messages of its own.
    pub(crate) pause: Duration,
}

/// A running set of clients.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A kind of clients. The books are kept by the seats' ledgers, whatever the kind.
pub(crate) trait Kind: Send + Sync {
    /// What it is called in the report.
    fn name(&self) -> &'static str;

    /// Whether it speaks `wspulse.1`, so that a server can promise exactly once.
    fn speaks_protocol(&self) -> bool;

    /// Runs a client on each seat until they are told to leave.
    fn run(&self, seats: Vec<Seat>) -> Running;
}

impl Seat {
    /// Where its link leads.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws?room={ROOM}&id={}", self.address, id(self.client))
    }

    /// When to say something; a client that could not does not make up for it.
    fn pauses(&self) -> Interval {
        let mut pauses = interval(self.pause);
        pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pauses
    }

    pub(crate) fn is_talking(&self) -> bool {
        *self.phase.borrow() == Phase::Talk
    }

    pub(crate) fn is_leaving(&self) -> bool {
        *self.phase.borrow() == Phase::Leave
    }
}

/// A frame as JSON has it.
#[derive(Debug, Deserialize)]
struct FromServer {
    payload: Stamp,
}

/// What the text of a frame says.
pub(crate) fn stamp(text: &str) -> Option<Stamp> {
    serde_json::from_str::<FromServer>(text).ok().map(|frame| frame.payload)
}

/// The text of a client's message.
pub(crate) fn message(number: u64) -> String {
    format!(r#"{{"event":"u","payload":{number}}}"#)
}

/// A WebSocket.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Shakes hands, with these subprotocols offered.
async fn dial(seat: &Seat, offers: &str) -> Option<(Socket, Response<Option<Vec<u8>>>)> {
    let mut request = seat.url().into_client_request().ok()?;
    if !offers.is_empty() {
        let offers = HeaderValue::from_str(offers).ok()?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offers);
    }
    timeout(HANDSHAKE, async {
        let stream = TcpStream::connect(seat.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        client_async(request, stream).await.ok()
    })
    .await
    .ok()?
}

/// Runs clients on all seats, until the last one has left. One that fails does not end the others.
async fn run_each<F>(seats: Vec<Seat>, live: impl Fn(Seat) -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut clients: JoinSet<_> = seats.into_iter().map(live).collect();
    let mut faults = Vec::new();
    while let Some(ended) = clients.join_next().await {
        faults.extend(ended.map_err(|error| error.to_string()).and_then(|ended| ended).err());
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// Between two attempts.
async fn wait() {
    let millis = rand::rng().random_range(20..400);
    sleep(Duration::from_millis(millis)).await;
}
