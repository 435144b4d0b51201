//! The server that is tested: a process of its own, told what to do by lines on standard input.
//!
//! `start` has it send, `pause` ends that and tells what was sent, `heard` tells what has come from
//! the clients, `end` closes it. Each answer is a line of JSON.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use wspulse::{
    Admission, ConfigError, Connection, Delivery, DuplicatePolicy, Frame, Rejection, Server,
};

use crate::ledger::Heard;
use crate::schedule::{self, ROOM, Slot, Stamp, is_directed};

/// What can be set.
#[derive(Debug, Clone, Parser)]
pub(crate) struct ServerOptions {
    /// What it promises.
    #[arg(long)]
    level: Level,
    /// How many clients there are: `c0`, `c1`, …
    #[arg(long)]
    clients: usize,
    /// Broadcasts per second.
    #[arg(long)]
    ticks_per_second: u64,
    /// A client gets a direct frame at one of so many ticks.
    #[arg(long)]
    direct_every: u64,
}

/// The levels of delivery.
#[allow(clippy::enum_variant_names, reason = "they are called so by the library")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

/// What was sent.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) ticks: u64,
    /// Client and tick of each direct frame that was refused to its sender.
    pub(crate) refused: Vec<(usize, u64)>,
    /// Sessions that have begun, and transports that took one over.
    pub(crate) sessions: u64,
    pub(crate) resumed: u64,
    /// How sessions have ended.
    pub(crate) ended: Vec<String>,
}

/// How long a session waits for its client: longer than any silence of a test.
const RESUME_WINDOW: Duration = Duration::from_mins(3);
/// Shorter than the longest silence and longer than most, so that a client comes back now before
/// the server has noticed its loss, now after.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(15);
/// The most that may wait for a client: a minute of frames must fit.
const SEND_BUFFER_FRAMES: usize = 4_096;

#[derive(Default)]
struct Book {
    sent: Mutex<Sent>,
    heard: Mutex<HashMap<usize, Numbers>>,
}

#[derive(Default)]
struct Numbers {
    came: Vec<bool>,
    twice: u64,
    disorder: u64,
}

impl Numbers {
    fn hear(&mut self, number: usize) {
        if number >= self.came.len() {
            self.came.resize(number + 1, false);
        } else if self.came[number] {
            self.twice += 1;
        } else {
            self.disorder += 1;
        }
        self.came[number] = true;
    }

    fn told(&self) -> Heard {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (number, _) in (0_u64..).zip(&self.came).filter(|(_, came)| **came) {
            match ranges.last_mut() {
                Some((_, end)) if *end == number => *end += 1,
                Some(_) | None => ranges.push((number, number + 1)),
            }
        }
        Heard { ranges, twice: self.twice, disorder: self.disorder }
    }
}

/// Serves until standard input ends or says so.
pub(crate) async fn run(options: ServerOptions) -> Result<(), Box<dyn Error>> {
    let book = Arc::new(Book::default());
    let server = room_server(options.level, &book)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("LISTENING {}", listener.local_addr()?.port());
    // Behind nginx all clients have one address.
    let serve = wspulse::serve(listener, server.clone()).max_pending_per_addr(8_192);
    tokio::select! {
        result = serve.into_future() => Ok(result?),
        done = obey(&server, &options, &book) => done,
    }
}

fn room_server(level: Level, book: &Arc<Book>) -> Result<Server, ConfigError> {
    let [heard, connected, restored, ended] = [book, book, book, book].map(Arc::clone);
    let delivery = match level {
        Level::AtMostOnce => Delivery::AtMostOnce,
        Level::AtLeastOnce => Delivery::AtLeastOnce,
        Level::ExactlyOnce => Delivery::ExactlyOnce,
    };
    Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room(ROOM).id(id))
    })
    .on_connect(move |_| connected.sent.lock().sessions += 1)
    .on_transport_restore(move |_, _| restored.sent.lock().resumed += 1)
    .on_disconnect(move |conn: Connection, end| {
        ended.sent.lock().ended.push(format!("{}: {end}", conn.id()));
    })
    .on_message(move |conn: Connection, frame: Frame| {
        let number = frame.to_json::<usize>();
        if let (Some(client), Ok(number)) = (schedule::client(conn.id()), number) {
            heard.heard.lock().entry(client).or_default().hear(number);
        }
    })
    .check_origin(|_| true)
    .delivery(delivery)
    .duplicates(DuplicatePolicy::Resume)
    .resume_window(RESUME_WINDOW)
    .heartbeat(PING, PONG)
    .send_buffer_size(SEND_BUFFER_FRAMES)
    .drain_timeout(Duration::from_secs(5))
    .build()
}

async fn obey(
    server: &Server,
    options: &ServerOptions,
    book: &Arc<Book>,
) -> Result<(), Box<dyn Error>> {
    let (go, going) = watch::channel(true);
    let mut sender = None;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.as_str() {
            "start" => {
                let sending =
                    send(server.clone(), options.clone(), Arc::clone(book), going.clone());
                sender = Some(tokio::spawn(sending));
            }
            "pause" => {
                go.send_replace(false);
                if let Some(sender) = sender.take() {
                    sender.await?;
                }
                println!("{}", serde_json::to_string(&*book.sent.lock())?);
            }
            "heard" => {
                let heard: HashMap<usize, Heard> =
                    book.heard.lock().iter().map(|(id, numbers)| (*id, numbers.told())).collect();
                println!("{}", serde_json::to_string(&heard)?);
            }
            "end" => break,
            other => return Err(format!("{other:?} is nothing to ask for").into()),
        }
    }
    server.close().await;
    Ok(())
}

/// Sends what the schedule says, tick by tick, all from one task.
async fn send(
    server: Server,
    options: ServerOptions,
    book: Arc<Book>,
    mut going: watch::Receiver<bool>,
) {
    let mut ticks = interval(Duration::from_micros(1_000_000 / options.ticks_per_second));
    // A process that was stopped does not make up for it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0.. {
        tokio::select! {
            _ = going.changed() => return,
            _ = ticks.tick() => {}
        }
        if let Some(frame) = frame(Slot { tick, is_direct: false }) {
            // Nobody is there before the first client.
            let _ = server.broadcast(ROOM, frame);
        }
        let directed = |client: &usize| is_directed(tick, *client, options.direct_every);
        for client in (0..options.clients).filter(directed) {
            let Some(frame) = frame(Slot { tick, is_direct: true }) else { continue };
            if server.send(&schedule::id(client), frame).is_err() {
                book.sent.lock().refused.push((client, tick));
            }
        }
        book.sent.lock().ticks = tick + 1;
    }
}

fn frame(slot: Slot) -> Option<Frame> {
    Frame::new("n").json(&Stamp::now(slot)).ok()
}
