//! A small client of `wspulse.1`, written from `docs/protocol.md` alone.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::time::{Instant, interval, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;

use super::{Kind, Running, Seat, Socket, dial, message, run_each, stamp, wait};

/// The small client.
pub(crate) struct Protocol;

const SUBPROTOCOL: &str = "wspulse.1+json";
/// A socket that takes nothing for so long is given up.
const WRITE: Duration = Duration::from_secs(20);
/// Nothing has come for so long: ask.
const SILENCE: Duration = Duration::from_secs(8);
/// Without an answer for so long, the link is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// The server is asked after so many messages.
const ASK_MESSAGES: u64 = 64;

impl Kind for Protocol {
    fn name(&self) -> &'static str {
        "protocol"
    }

    fn speaks_protocol(&self) -> bool {
        true
    }

    fn run(&self, seats: Vec<Seat>) -> Running {
        Box::pin(run_each(seats, |seat| Client::new(seat).live()))
    }
}

struct Client {
    seat: Seat,
    token: Option<String>,
    /// The server's messages of this session that were handed on.
    received: u64,
    /// The client's messages of this session that are handled.
    handled: u64,
    /// What is not, the oldest first.
    outbox: VecDeque<String>,
}

/// What is known of a transport.
struct Transport {
    socket: Socket,
    /// The number in the session of the next message to be written; none before the hello.
    next: Option<u64>,
    heard_at: Instant,
    asked_at: Option<Instant>,
    /// Written since the server was asked.
    unasked: u64,
}

/// Why a client does not go on with a transport.
enum Stop {
    Lost,
    /// The peer broke the protocol.
    Broken(String),
    Left,
}

impl Client {
    fn new(seat: Seat) -> Self {
        Self { seat, token: None, received: 0, handled: 0, outbox: VecDeque::new() }
    }

    async fn live(mut self) -> Result<(), String> {
        // A server that chooses none of the offers fails the handshake in this library, as in
        // browsers: as long as there is no session, every second attempt offers none.
        let mut attempt = 0_u64;
        loop {
            let offers = match &self.token {
                None if attempt % 2 == 1 => String::new(),
                None => SUBPROTOCOL.to_owned(),
                Some(token) => {
                    format!("{SUBPROTOCOL}, wspulse.1.resume.{token}.{}", self.received)
                }
            };
            attempt += 1;
            if let Some((socket, response)) = dial(&self.seat, &offers).await {
                let is_chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL).is_some();
                // Once there are none, they are not asked for again.
                attempt -= u64::from(!is_chosen);
                let now = Instant::now();
                let mut transport =
                    Transport { socket, next: None, heard_at: now, asked_at: None, unasked: 0 };
                if !is_chosen {
                    self.seat.ledger.opened();
                    transport.next = Some(self.handled + 1);
                }
                let stop = self.use_link(&mut transport, is_chosen).await;
                self.seat.ledger.closed();
                match stop {
                    Stop::Lost => {}
                    Stop::Left => return Ok(()),
                    Stop::Broken(why) => return Err(format!("{}: {why}", self.seat.url())),
                }
            }
            if self.seat.is_leaving() {
                return Ok(());
            }
            wait().await;
        }
    }

    async fn use_link(&mut self, transport: &mut Transport, is_chosen: bool) -> Stop {
        let mut pause = self.seat.pauses();
        let mut look = interval(Duration::from_secs(1));
        let mut phase = self.seat.phase.clone();
        loop {
            let done = tokio::select! {
                received = transport.socket.next() => match received {
                    Some(Ok(message)) => self.hear(message, transport).await,
                    Some(Err(_)) | None => Err(Stop::Lost),
                },
                _ = pause.tick(), if self.seat.is_talking() => {
                    self.outbox.push_back(message(self.seat.ledger.next_number()));
                    self.flush(transport, is_chosen).await
                }
                _ = look.tick(), if is_chosen => transport.look().await,
                _ = phase.changed() => {
                    if self.seat.is_leaving() {
                        let _ = timeout(WRITE, transport.socket.close(None)).await;
                        return Stop::Left;
                    }
                    Ok(())
                }
            };
            if let Err(stop) = done {
                return stop;
            }
        }
    }

    async fn hear(&mut self, message: Message, transport: &mut Transport) -> Result<(), Stop> {
        transport.heard_at = Instant::now();
        match message {
            Message::Text(text) if text.starts_with('[') => self.obey(&text, transport).await,
            Message::Text(text) => {
                if transport.next.is_none() {
                    return Err(Stop::Broken("a frame before the hello".to_owned()));
                }
                self.received += 1;
                if let Some(stamp) = stamp(&text) {
                    self.seat.ledger.got(stamp);
                }
                Ok(())
            }
            Message::Close(Some(close)) if u16::from(close.code) == 4_410 => {
                self.token = None;
                Err(Stop::Lost)
            }
            Message::Close(Some(close)) if u16::from(close.code) == 1_002 => {
                Err(Stop::Broken(close.reason.to_string()))
            }
            Message::Close(_)
            | Message::Binary(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Frame(_) => Ok(()),
        }
    }

    async fn obey(&mut self, text: &str, transport: &mut Transport) -> Result<(), Stop> {
        let broken = |why: &str| Err(Stop::Broken(format!("{why}: {text}")));
        let Ok(Value::Array(control)) = serde_json::from_str(text) else {
            return broken("no control message");
        };
        match (control[0].as_str(), control.get(1)) {
            (Some("hello"), Some(hello)) => self.greet(hello, transport).await,
            (Some("ask"), _) => transport.write(format!(r#"["ack",{}]"#, self.received)).await,
            (Some("ack"), Some(count)) => {
                let Some(count) = count.as_u64().filter(|count| *count >= self.handled) else {
                    return broken("less is handled than before");
                };
                transport.asked_at = None;
                self.settle(count).or_else(|()| broken("more is handled than was sent"))
            }
            _ => Ok(()),
        }
    }

    /// Forgets what is handled.
    fn settle(&mut self, handled: u64) -> Result<(), ()> {
        while self.handled < handled {
            self.outbox.pop_front().ok_or(())?;
            self.handled += 1;
        }
        Ok(())
    }

    async fn greet(&mut self, hello: &Value, transport: &mut Transport) -> Result<(), Stop> {
        let broken = || Stop::Broken(format!("a hello that cannot be: {hello}"));
        let token = hello["token"].as_str().ok_or_else(broken)?;
        let received = hello["received"].as_u64().ok_or_else(broken)?;
        if hello["session"] == "new" {
            if self.token.is_some() {
                self.seat.ledger.began_session();
            }
            (self.received, self.handled) = (0, 0);
        }
        if received < self.handled {
            return Err(broken());
        }
        self.token = Some(token.to_owned());
        // What was received will be handled, even if this transport is lost.
        self.settle(received).map_err(|()| broken())?;
        self.seat.ledger.opened();
        transport.next = Some(received + 1);
        self.flush(transport, true).await
    }

    /// Writes what was not written on this transport.
    async fn flush(&mut self, transport: &mut Transport, is_chosen: bool) -> Result<(), Stop> {
        let Some(next) = transport.next else { return Ok(()) };
        let written = usize::try_from(next - self.handled - 1).unwrap_or(usize::MAX);
        for text in self.outbox.iter().skip(written).cloned().collect::<Vec<_>>() {
            transport.next = transport.next.map(|next| next + 1);
            transport.unasked += 1;
            transport.write(text).await?;
        }
        if !is_chosen {
            // Nobody will tell whether it has come.
            self.handled += self.outbox.len() as u64;
            self.outbox.clear();
        }
        if transport.unasked >= ASK_MESSAGES { transport.ask().await } else { Ok(()) }
    }
}

impl Transport {
    /// Asks, if it is time to, and gives the link up if nobody answers.
    async fn look(&mut self) -> Result<(), Stop> {
        if self.asked_at.is_some_and(|asked_at| asked_at.elapsed() > PATIENCE)
            && self.heard_at.elapsed() > PATIENCE
        {
            return Err(Stop::Lost);
        }
        if self.next.is_none() {
            return if self.heard_at.elapsed() > SILENCE { Err(Stop::Lost) } else { Ok(()) };
        }
        if self.unasked > 0 || self.heard_at.elapsed() > SILENCE {
            return self.ask().await;
        }
        Ok(())
    }

    /// At most one question is on its way.
    async fn ask(&mut self) -> Result<(), Stop> {
        if self.asked_at.is_some() {
            return Ok(());
        }
        self.asked_at = Some(Instant::now());
        self.unasked = 0;
        self.write(r#"["ask"]"#.to_owned()).await
    }

    async fn write(&mut self, text: String) -> Result<(), Stop> {
        match timeout(WRITE, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Stop::Lost),
        }
    }
}
