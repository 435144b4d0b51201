//! A game whose state goes out 30 times a second, in MessagePack.
//!
//! ```text
//! cargo run -p example-game [-- 127.0.0.1:3000]
//! ```
//!
//! Pages say where they steer, and draw. The server moves all players. Its states are volatile, with a
//! key: a slow link gets the newest one and skips those before, and nobody who is away gets any.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::{Router, response::Html, routing::get};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use wspulse::codec::MessagePackCodec;
use wspulse::router::{MsgPack, Router as Events, RouterError, State};
use wspulse::{
    Admission, ConnectRequest, Connection, Frame, Rejection, Server, ServerBuilder, origin,
};

const ROOM: &str = "field";
const STEPS_PER_SECOND: u32 = 30;
const SPEED: f32 = 0.4; // of the field's width, in a second

/// Callbacks and the clock share it; nobody holds it for long.
#[derive(Default)]
struct Game {
    eaten: u32,
    players: BTreeMap<u32, Player>,
}

/// Places are from 0 to 1, in both directions.
#[derive(Default)]
struct Player {
    at: (f32, f32),
    steers: (f32, f32),
    score: u32,
}

/// What goes out, the dot and the players. In MessagePack a tuple is an array: no names, few bytes.
type Seen = ((f32, f32), Vec<(u32, f32, f32, u32)>);

impl Game {
    fn steer(&mut self, number: u32, (x, y): (f32, f32)) {
        let length = x.hypot(y).max(1.0); // nobody is faster for saying so
        if let Some(player) = self.players.get_mut(&number).filter(|_| length.is_finite()) {
            player.steers = (x / length, y / length);
        }
    }

    fn step(&mut self) -> Seen {
        let way = SPEED / STEPS_PER_SECOND as f32;
        for player in self.players.values_mut() {
            player.at.0 = (player.at.0 + player.steers.0 * way).clamp(0.0, 1.0);
            player.at.1 = (player.at.1 + player.steers.1 * way).clamp(0.0, 1.0);
            let dot = dot(self.eaten);
            if (player.at.0 - dot.0).hypot(player.at.1 - dot.1) < 0.04 {
                player.score += 1;
                self.eaten += 1;
            }
        }
        let players = self.players.iter().map(|(&number, p)| (number, p.at.0, p.at.1, p.score));
        (dot(self.eaten), players.collect())
    }
}

/// Where the next dot is, once so many are eaten: all over the field, and the same in each game.
fn dot(eaten: u32) -> (f32, f32) {
    [0.618, 0.414].map(|step| (0.3 + eaten as f32 * step).fract()).into()
}

type Shared = Arc<Mutex<Game>>;

fn builder(game: &Shared) -> Result<ServerBuilder, RouterError> {
    let events = Events::builder().state(game.clone()).on("steer", steer).build()?;
    let (entered, dropped, left) = (game.clone(), game.clone(), game.clone());
    Ok(Server::builder_sync(admit)
        .codec(MessagePackCodec)
        .on_connect(move |conn| {
            let player = Player { at: (0.5, 0.5), ..Player::default() };
            entered.lock().players.insert(number(&conn), player);
            if let Ok(frame) = Frame::new("you").msgpack(&number(&conn)) {
                let _ = conn.send(frame); // an error says that it has gone already
            }
        })
        .on_transport_drop(move |conn, _| dropped.lock().steer(number(&conn), (0.0, 0.0)))
        .on_disconnect(move |conn, _| {
            left.lock().players.remove(&number(&conn));
        })
        .router(events)
        .check_origin(origin::same_origin())
        .resume_window(Duration::from_secs(10))) // who is back by then goes on playing
}

/// `/ws?tab=1`.
fn admit(request: ConnectRequest) -> Result<Admission, Rejection> {
    static NEWEST: AtomicU32 = AtomicU32::new(0);
    let tab = request.query("tab").ok_or_else(Rejection::unauthorized)?;
    Ok(Admission::room(ROOM).id(tab).data(NEWEST.fetch_add(1, Ordering::Relaxed) + 1))
}

fn number(conn: &Connection) -> u32 {
    conn.data().copied().unwrap_or_default()
}

fn steer(conn: Connection, State(game): State<Shared>, MsgPack(to): MsgPack<(f32, f32)>) {
    game.lock().steer(number(&conn), to);
}

/// The game's clock.
async fn play(server: Server, game: Shared) {
    let mut steps = interval(Duration::from_secs(1) / STEPS_PER_SECOND);
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip); // what is late is not made up for
    loop {
        steps.tick().await;
        let seen = game.lock().step();
        if let Ok(frame) = Frame::new("seen").msgpack(&seen) {
            // An error says that nobody is there, or that the server closes.
            let _ = server.broadcast(ROOM, frame.conflate("seen").volatile());
        }
    }
}

fn app(server: Server) -> Router {
    let script = |text: &'static str| get(([(CONTENT_TYPE, "text/javascript")], text));
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/client.js", script(include_str!("../../chat/client.js"))) // `@wspulse/client`
        .route("/msgpack.js", script(include_str!("msgpack.js")))
        .route_service("/ws", server)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let game = Shared::default();
    let server = builder(&game)?.build()?;
    tokio::spawn(play(server.clone(), game));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("open http://{}/", listener.local_addr()?);
    Ok(wspulse::serve(listener, app(server)).await?)
}

#[cfg(test)]
mod tests;
