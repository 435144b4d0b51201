//! One client's transport: it comes, reads, dawdles, answers or does not, and breaks off.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, timeout};
use wspulse::testing::{Received, TestClient, masked, request_parts};
use wspulse::{CloseCode, CloseFrame, Connection, Server};

use super::app::App;
use super::heard::{Heard, request_id};
use super::journal::life;
use super::link::{End, Link};
use super::mischief::{self, Aftermath};
use super::plan::{Character, UpgradeDelay};
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
    /// The server's close frame.
    pub(crate) close: Option<CloseFrame>,
    /// It read up to the end of the stream.
    pub(crate) to_the_end: bool,
    /// It always read and answered at once and never went by itself: it must have been told why.
    pub(crate) well_behaved: bool,
}

/// A client that is yet to dial.
pub(crate) struct Dialer {
    pub(crate) app: Arc<App>,
    pub(crate) server: Server,
    pub(crate) id: usize,
    pub(crate) room: usize,
    pub(crate) after: Duration,
    /// How long it may stay.
    pub(crate) time: Option<Duration>,
    /// Its place among all clients.
    pub(crate) number: usize,
    pub(crate) character: Character,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) rng: SmallRng,
}

struct Client {
    app: Arc<App>,
    stream: TestClient<End>,
    orders: UnboundedReceiver<Order>,
    has_orders: bool,
    character: Character,
    rng: SmallRng,
    seen: Seen,
    said: usize,
    /// What it has begun to write it could not finish, so that nothing more makes sense.
    is_mute: bool,
}

/// Longer than any server here keeps a transport that takes nothing.
const PATIENCE: Duration = Duration::from_mins(1);

impl Dialer {
    /// Lives until its transport ends or nobody gives orders any more; `None` if it was not let in.
    pub(crate) async fn run(mut self) -> Option<Seen> {
        sleep(self.after).await;
        let begun = Instant::now();
        let handshake = match self.server.handshake(request_parts(&self.target())) {
            Ok(handshake) => handshake,
            Err(refusal) => return self.check_refusal(&refusal),
        };
        let accepted = match handshake.connect().await {
            Ok(accepted) => accepted,
            Err(refusal) => return self.check_refusal(&refusal),
        };
        // Between the registration and this there is no await: it is still there.
        let connection = self.server.connection(&self.id.to_string()).expect("registered");
        self.enter(&connection);
        let transport = self.app.transports.fetch_add(1, Ordering::Relaxed);
        let (link, ours, theirs) = Link::new(self.character.conditions, self.rng.fork());
        let mut client = Client {
            app: self.app,
            stream: TestClient::new(ours),
            orders: self.orders,
            has_orders: true,
            character: self.character,
            rng: self.rng,
            seen: Seen {
                transport,
                begun,
                connection,
                link,
                frames: Vec::new(),
                close: None,
                to_the_end: false,
                well_behaved: self.character.is_prompt(),
            },
            said: 0,
            is_mute: false,
        };
        // The client must not keep the server that it talks to.
        drop(self.server);
        match self.character.upgrade {
            UpgradeDelay::None => {
                // Some do not wait for the response to their request.
                let early = client.rng.random_bool(0.2).then(|| client.next_message());
                accepted.attach(theirs, &early.unwrap_or_default());
            }
            UpgradeDelay::Late(time) => {
                sleep(time).await;
                accepted.attach(theirs, &[]);
            }
            UpgradeDelay::Never(time) => {
                sleep(time).await;
                return Some(client.seen);
            }
        }
        Some(client.run().await)
    }

    fn target(&self) -> String {
        let target = format!("/ws?room={}&id={}", self.room, self.id);
        match self.time {
            Some(time) => format!("{target}&client={}&time={}", self.number, time.as_millis()),
            None => target,
        }
    }

    /// It was let in just now, and nothing has happened since.
    fn enter(&self, connection: &Connection) {
        let app = &self.app;
        assert!(!self.server.is_draining(), "it takes nobody any more");
        if life(connection).is_new() {
            app.truth.here.enter(connection);
            app.give_first_histories(connection);
        }
        if self.time.is_some() {
            let until = app.admitted_until.lock().unwrap().remove(&self.number);
            app.truth.deadlines.set(connection.id(), until.expect("it was admitted so"));
        }
    }

    /// Nobody is refused without a reason.
    fn check_refusal<T>(&self, refusal: &Response<impl Sized>) -> Option<T> {
        let may_come_back = refusal.headers().contains_key(RETRY_AFTER);
        match refusal.status() {
            StatusCode::TOO_MANY_REQUESTS => {
                assert!(self.app.truth.here.is_full_for(&self.id.to_string()), "there is a place");
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                // The connect function outlasts its time now and then.
                let is_slow = self.app.plan.odd_admissions > 0;
                assert!(self.server.is_draining() || may_come_back || is_slow, "it may come in");
            }
            // The application does so, or takes too long.
            StatusCode::UNAUTHORIZED | StatusCode::INTERNAL_SERVER_ERROR => {}
            status => panic!("refused with {status}"),
        }
        None
    }
}

impl Client {
    async fn run(mut self) -> Seen {
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
                return self.seen;
            }
        }
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
                    let half = self.rng.random_range(1..message.len());
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
            Received::Message(_, payload) => {
                let heard = Heard::parse(&payload);
                let (what, number) = heard.traced();
                self.note(what, number);
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
            self.write(&masked(0x81, text.as_bytes())).await;
        }
    }

    async fn close(&mut self, frame: Option<&CloseFrame>) {
        let payload = frame.map_or_else(Vec::new, |frame| {
            [&frame.code().as_u16().to_be_bytes()[..], frame.reason().as_bytes()].concat()
        });
        self.write(&masked(0x88, &payload)).await;
    }

    /// The next numbered message, at times in fragments with a Ping in between.
    fn next_message(&mut self) -> Vec<u8> {
        let text = format!("{{\"event\":\"{} {}\"}}", self.seen.transport, self.said);
        self.said += 1;
        if self.rng.random_bool(0.9) {
            return masked(0x81, text.as_bytes()).to_vec();
        }
        let (front, back) = text.as_bytes().split_at(self.rng.random_range(0..text.len()));
        [masked(0x01, front), masked(0x89, b""), masked(0x80, back)].concat()
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
