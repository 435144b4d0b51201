//! A client that comes: what it asks for, and whether it may be let in or turned away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use http::{Response, StatusCode, request};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep};
use wspulse::testing::{TestClient, request_parts};
use wspulse::{Connection, Server};

use super::app::App;
use super::client::{Client, Order, Seen};
use super::exchange::{Exchange, Known};
use super::journal::life;
use super::link::Link;
use super::plan::{Character, UpgradeDelay};

/// A client that is yet to dial.
pub(crate) struct Dialer {
    pub(crate) app: Arc<App>,
    pub(crate) server: Server,
    pub(crate) id: usize,
    pub(crate) room: usize,
    pub(crate) after: Duration,
    /// How long it may stay.
    pub(crate) time: Option<Duration>,
    /// It speaks `wspulse.1`.
    pub(crate) exchanges: bool,
    /// Its place among all clients.
    pub(crate) number: usize,
    pub(crate) character: Character,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) rng: SmallRng,
}

impl Dialer {
    /// Lives until its transport ends or nobody gives orders any more; `None` if it was not let in.
    pub(crate) async fn run(mut self) -> Option<Seen> {
        sleep(self.after).await;
        let begun = Instant::now();
        let mut known = self.exchanges.then(|| self.app.clients.take(self.id)).flatten();
        self.note_dispute(known.as_ref());
        let handshake = match self.server.handshake(self.request(known.as_ref())) {
            Ok(handshake) => handshake,
            Err(refusal) => return self.turn_back(known, &refusal),
        };
        let accepted = match handshake.connect().await {
            Ok(accepted) => accepted,
            Err(refusal) => return self.turn_back(known, &refusal),
        };
        // Between the registration and this there is no await: it is still there.
        let connection = self.server.connection(&self.id.to_string()).expect("registered");
        self.enter(&connection);
        let transport = self.app.transports.fetch_add(1, Ordering::Relaxed);
        let (link, ours, theirs) = Link::new(self.character.conditions, self.rng.fork());
        let mut client = Client {
            app: self.app,
            id: self.id,
            exchange: self.exchanges.then(|| Exchange::new(known.take(), transport)),
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
                exchanged: None,
                close: None,
                to_the_end: false,
                // Another one may come with its token, and take its session.
                well_behaved: self.character.is_prompt() && !self.exchanges,
            },
            said: 0,
            is_mute: false,
        };
        // The client must not keep the server that it talks to.
        drop(self.server);
        match self.character.upgrade {
            UpgradeDelay::None => {
                // Some do not wait for the response to their request.
                let is_early = client.rng.random_bool(0.2);
                let early = is_early.then(|| client.next_message());
                accepted.attach(theirs, &early.unwrap_or_default());
            }
            UpgradeDelay::Late(time) => {
                sleep(time).await;
                accepted.attach(theirs, &[]);
            }
            UpgradeDelay::Never(time) => {
                sleep(time).await;
                return Some(client.leave());
            }
        }
        Some(client.run().await)
    }

    /// The session ends for lack of frames if it is shared, and one client has what the other lacks.
    fn note_dispute(&self, known: Option<&Known>) {
        let (id, disputed) = (self.id.to_string(), known.and_then(|it| self.app.clients.offer(it)));
        let current = self.server.connection(&id).map(|connection| life(&connection).number);
        if disputed.is_some() && disputed == current {
            self.app.truth.frame_lacks(&id);
        }
    }

    fn request(&self, known: Option<&Known>) -> request::Parts {
        let mut parts = request_parts(&self.target());
        if self.exchanges {
            let offers = Known::offers(known).parse().unwrap();
            parts.headers.insert(SEC_WEBSOCKET_PROTOCOL, offers);
        }
        parts
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
        let is_new = life(connection).is_new();
        if is_new {
            app.truth.here.enter(connection);
            app.give_first_histories(connection);
        }
        if self.time.is_some() {
            let until = app.admitted_until.lock().unwrap().remove(&self.number);
            let until = until.expect("it was admitted so");
            // One that was overtaken by another handshake, which may be on its way, renews nothing.
            if is_new || connection.expires_in() == Some(until - Instant::now()) {
                app.truth.deadlines.set(connection.id(), until);
            }
        }
    }

    /// Nobody is refused without a reason. What the client knows is there for the next one.
    fn turn_back<T>(&self, known: Option<Known>, refusal: &Response<impl Sized>) -> Option<T> {
        if let Some(known) = known {
            self.app.clients.put_back(self.id, known);
        }
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
