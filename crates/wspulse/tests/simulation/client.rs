//! One client's transport: it comes, reads, dawdles, answers or does not, and breaks off.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, timeout};
use wspulse::testing::{Received, TestClient, masked};
use wspulse::{CloseCode, CloseFrame, Connection};

use super::app::App;
use super::exchange::{Exchange, Kind, Known};
use super::heard::{Heard, request_id};
use super::journal::life;
use super::link::{End, Link};
use super::mischief::{self, Aftermath};
use super::plan::Character;
use super::trace::Who;

/// What the scenario tells a client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Send so many messages, one after the other.
    Say(usize),
    /// Send so many messages and Pings, all at once.
    Flood(usize),
    /// Send what no client may.
    Misbehave,
    /// Read nothing for so long.
    Dawdle(Duration),
    /// Send a close frame.
    Leave,
    Break(Break),
}

/// How a client breaks off.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Break {
    /// It ends its stream, perhaps in the middle of a message.
    End,
    Reset,
    /// The link fails after so many more bytes from the server.
    After(usize),
    /// It is gone, and nobody is told.
    Silence,
}

/// What a client saw of its transport.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Its place among all transports, in the order of their registration.
    pub(crate) transport: usize,
    /// When its handshake began.
    pub(crate) begun: Instant,
    pub(crate) connection: Connection,
    pub(crate) link: Link,
    /// The frames that came.
    pub(crate) frames: Vec<Heard>,
    /// What it knows of its session, if it speaks `wspulse.1`.
    pub(crate) exchanged: Option<Known>,
    /// The server's close frame.
    pub(crate) close: Option<CloseFrame>,
    /// It read up to the end of the stream.
    pub(crate) to_the_end: bool,
    /// It always read and answered at once and never went by itself: it must have been told why.
    pub(crate) well_behaved: bool,
}

/// A client at its transport.
pub(crate) struct Client {
    pub(crate) app: Arc<App>,
    pub(crate) id: usize,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) stream: TestClient<End>,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) has_orders: bool,
    pub(crate) character: Character,
    pub(crate) rng: SmallRng,
    pub(crate) seen: Seen,
    pub(crate) said: usize,
    /// What it has begun to write it could not finish, so that nothing more makes sense.
    pub(crate) is_mute: bool,
}

/// Longer than any server here keeps a transport that takes nothing.
const PATIENCE: Duration = Duration::from_mins(1);

impl Client {
    pub(crate) async fn run(mut self) -> Seen {
        loop {
            let goes_on = tokio::select! {
                biased;
                order = self.orders.recv(), if self.has_orders => {
                    if let Some(order) = order {
                        self.obey(order).await
                    } else {
                        // Who reads goes on until the server ends the stream.
                        self.has_orders = false;
                        self.character.reads
                    }
                }
                received = self.stream.receive(), if self.character.reads => match received {
                    Ok(received) => self.take(received).await,
                    Err(error) => {
                        self.note(format!("cut off: {:?}", error.kind()), 0);
                        false
                    }
                },
            };
            if !goes_on {
                return self.leave();
            }
        }
    }

    /// What it has seen; what it knows of its session is there for the next one of its id.
    pub(crate) fn leave(mut self) -> Seen {
        if let Some(Exchange { known, .. }) = self.exchange.take() {
            self.seen.exchanged = Some(known.clone());
            self.app.clients.put_back(self.id, known);
        }
        self.seen
    }

    fn note(&self, what: impl Into<Cow<'static, str>>, number: usize) {
        self.app.trace.note(Who::Transport(self.seen.transport), what, number);
    }

    async fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Say(messages) => {
                for _ in 0..messages {
                    let message = self.next_message();
                    self.write(&message).await;
                }
                let question = self.exchange.as_ref().map(Exchange::question);
                self.write(&question.unwrap_or_default()).await;
                true
            }
            Order::Flood(messages) => {
                self.seen.well_behaved = false;
                let flood: Vec<u8> = (0..messages)
                    .flat_map(|_| [self.next_message(), masked(0x89, b"now").to_vec()].concat())
                    .collect();
                self.write(&flood).await;
                true
            }
            // Whoever counts says nothing that nobody can count.
            Order::Misbehave if self.exchange.is_some() => true,
            Order::Misbehave => {
                self.seen.well_behaved = false;
                let (bytes, aftermath) = mischief::draw(&mut self.rng);
                self.write(&bytes).await;
                self.is_mute |= aftermath == Aftermath::Nothing;
                true
            }
            Order::Dawdle(time) => {
                self.seen.well_behaved = false;
                sleep(time).await;
                true
            }
            Order::Leave => {
                self.seen.well_behaved = false;
                let frame = CloseFrame::new(CloseCode::NORMAL, "");
                let has_code = self.rng.random_bool(0.5);
                self.close(has_code.then_some(&frame)).await;
                self.is_mute |= self.rng.random_bool(0.9);
                true
            }
            Order::Break(how) => self.break_off(how).await,
        }
    }

    async fn break_off(&mut self, how: Break) -> bool {
        self.seen.well_behaved = false;
        match how {
            Break::End => {
                if self.rng.random_bool(0.3) {
                    let message = self.next_message();
                    let half = self.rng.random_range(0..=message.len());
                    self.write(&message[..half]).await;
                }
                false
            }
            Break::Reset => {
                self.seen.link.reset();
                false
            }
            Break::After(bytes) => {
                self.seen.link.break_after(bytes);
                true
            }
            Break::Silence => {
                self.seen.link.fall_silent();
                false
            }
        }
    }

    async fn take(&mut self, received: Received) -> bool {
        match received {
            Received::Message(_, payload) if Heard::is_control(&payload) => {
                let session = life(&self.seen.connection).number;
                let exchange = self.exchange.as_mut().expect("it speaks the protocol");
                let answer = exchange.control(&payload, self.seen.transport, session);
                self.app.clients.acknowledge(&exchange.known);
                self.write(&answer).await;
                true
            }
            Received::Message(_, payload) => {
                let heard = Heard::parse(&payload);
                let (what, number) = heard.traced();
                self.note(what, number);
                if let Some(exchange) = &mut self.exchange {
                    exchange.hear(heard.clone());
                }
                self.seen.frames.push(heard);
                if let Some(id) = request_id(&payload) {
                    self.answer(id).await;
                }
                true
            }
            Received::Ping(payload) => {
                if self.character.answers_pings {
                    self.write(&masked(0x8a, &payload)).await;
                }
                true
            }
            Received::Pong(_) => true,
            Received::Close(close) => {
                self.note("close", close.as_ref().map_or(0, |close| close.code().as_u16().into()));
                self.seen.close.clone_from(&close);
                // Some never answer.
                if self.rng.random_bool(0.8) {
                    self.close(close.as_ref()).await;
                }
                true
            }
            Received::End => {
                self.note("end", 0);
                self.seen.to_the_end = true;
                false
            }
        }
    }

    /// Some answer twice, some never.
    async fn answer(&mut self, id: &str) {
        let text = format!("{{\"id\":\"{id}\",\"event\":\"reply\"}}");
        for _ in 0..[1, 1, 1, 1, 0, 2][self.rng.random_range(0..6)] {
            let reply = masked(0x81, text.as_bytes()).to_vec();
            let reply = self.say(reply, Kind::Reply);
            self.write(&reply).await;
        }
    }

    /// What of a message is to be written now.
    fn say(&mut self, message: Vec<u8>, kind: Kind) -> Vec<u8> {
        match &mut self.exchange {
            Some(exchange) => exchange.say(message, kind),
            None => message,
        }
    }

    async fn close(&mut self, frame: Option<&CloseFrame>) {
        let payload = frame.map_or_else(Vec::new, |frame| {
            [&frame.code().as_u16().to_be_bytes()[..], frame.reason().as_bytes()].concat()
        });
        self.write(&masked(0x88, &payload)).await;
    }

    /// The next numbered message, at times in fragments with a Ping in between.
    pub(crate) fn next_message(&mut self) -> Vec<u8> {
        let alone = (self.seen.transport, self.said);
        let (key, number) = self.exchange.as_ref().map_or(alone, Exchange::next_number);
        // Some ask.
        let asks = self.rng.random_bool(0.2);
        let id = if asks { format!("\"id\":\"{key} {number}\",") } else { String::new() };
        let text = format!("{{{id}\"event\":\"{key} {number}\"}}");
        self.said += 1;
        if self.rng.random_bool(0.9) {
            return self.say(masked(0x81, text.as_bytes()).to_vec(), Kind::Numbered);
        }
        let (front, back) = text.as_bytes().split_at(self.rng.random_range(0..text.len()));
        let pieces = [masked(0x01, front), masked(0x89, b""), masked(0x80, back)].concat();
        self.say(pieces, Kind::Numbered)
    }

    async fn write(&mut self, bytes: &[u8]) {
        if self.is_mute {
            return;
        }
        let before = Instant::now();
        let written = timeout(PATIENCE, self.stream.write_raw(bytes)).await;
        // What has come already can still be read.
        self.is_mute = !matches!(written, Ok(Ok(())));
        self.seen.well_behaved &= before.elapsed().is_zero();
    }
}
