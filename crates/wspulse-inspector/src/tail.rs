//! The tail of a connection, for one page: what passes it, as it passes.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use wspulse::{Connection, Direction, Frame, SendError, Server, Tapped};

use crate::listing::millis_of;

/// How many messages wait for a page, and how many it gets at once.
const WAITING_MAX: usize = 512;
const AT_ONCE_MAX: usize = 100;

/// A page is told no more often: nobody reads faster.
const EVERY: Duration = Duration::from_millis(200);

const EVENT_CHARS_MAX: usize = 128;
const PAYLOAD_BYTES_MAX: usize = 512;

/// Those of all pages, one for each at the most.
pub(crate) struct Tails {
    inspected: Server,
    shows_payloads: bool,
    running: Mutex<HashMap<String, AbortHandle>>,
}

impl Tails {
    pub(crate) fn new(inspected: Server, shows_payloads: bool) -> Self {
        Self { inspected, shows_payloads, running: Mutex::default() }
    }

    /// Begins one, in place of the one that the page has.
    pub(crate) fn begin(&self, page: &Connection, id: &str) {
        self.end(page);
        let Some(connection) = self.inspected.connection(id) else {
            let _ = page.send(over(id));
            return;
        };
        let task = tokio::spawn(tail(page.clone(), connection, self.shows_payloads));
        self.running.lock().insert(page.id().to_owned(), task.abort_handle());
    }

    /// Ends the one that the page has.
    pub(crate) fn end(&self, page: &Connection) {
        if let Some(task) = self.running.lock().remove(page.id()) {
            task.abort();
        }
    }
}

/// It ends with the connection, or is aborted: with the page, or for another tail.
async fn tail(page: Connection, connection: Connection, shows_payloads: bool) {
    let mut tap = connection.tap(WAITING_MAX);
    let mut left_out = 0;
    while let Some(first) = tap.next().await {
        let more = std::iter::from_fn(|| tap.try_next()).take(AT_ONCE_MAX - 1);
        let messages: Vec<_> = std::iter::once(first)
            .chain(more)
            .map(|message| Message::of(&message, shows_payloads))
            .collect();
        let of_these: u64 = messages.iter().map(|message| message.left_out + 1).sum();
        let told = Told { id: connection.id(), left_out, messages };
        left_out = match Frame::new("tail").json(&told).map(|frame| page.send(frame)) {
            Ok(Ok(())) => 0,
            // The page is slow: the next that it gets tells.
            Ok(Err(SendError::Full { .. })) | Err(_) => left_out + of_these,
            Ok(Err(_)) => return,
        };
        sleep(EVERY).await;
    }
    let _ = page.send(over(connection.id()));
}

fn over(id: &str) -> Frame {
    Frame::new("tail_over").json(id).unwrap_or_default()
}

#[derive(Serialize)]
struct Told<'a> {
    id: &'a str,
    /// How many were left out before the first of these.
    left_out: u64,
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Message {
    at: u64,
    way: &'static str,
    bytes: usize,
    left_out: u64,
    /// None if it is no frame.
    event: Option<String>,
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

impl Message {
    fn of(message: &Tapped, shows_payloads: bool) -> Self {
        let way = match message.direction() {
            Direction::FromClient => "in",
            Direction::ToClient => "out",
        };
        let frame = message.decode().ok();
        let start = |text: &str| text.chars().take(EVENT_CHARS_MAX).collect::<String>();
        Self {
            at: millis_of(message.at()),
            way,
            bytes: message.bytes(),
            left_out: message.left_out(),
            event: frame.as_ref().map(|frame| start(frame.event())),
            id: frame.as_ref().map(|frame| start(frame.id())).filter(|id| !id.is_empty()),
            payload: frame.filter(|_| shows_payloads).map(|frame| payload_of(&frame)),
        }
    }
}

fn payload_of(frame: &Frame) -> String {
    let payload = frame.payload();
    let shown = &payload[..payload.len().min(PAYLOAD_BYTES_MAX)];
    let mut text = String::from_utf8_lossy(shown).into_owned();
    if shown.len() < payload.len() {
        text.push('…');
    }
    text
}
