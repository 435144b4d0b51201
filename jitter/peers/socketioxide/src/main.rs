//! socketioxide under links that fail, told what to do by the lines that `src/server.rs` obeys.
//!
//! It has no connection state recovery, so a client that is back has a new session. Its clients are
//! those of Socket.IO, in `../socketio`, with their retries: each message is acknowledged.

mod book;

use std::error::Error;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Query;
use axum::serve::ListenerExt;
use clap::Parser;
use serde::{Deserialize, Serialize};
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::handler::ConnectHandler;
use socketioxide::{SocketIo, TransportType};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::book::Book;

const ROOM: &str = "room";

/// As many frames as may wait for a client of ours. The default of 128 loses what is beyond.
const BUFFERED_PACKETS_MAX: usize = 4_096;

/// What can be set.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// How many clients there are.
    #[arg(long)]
    clients: u64,
    /// Broadcasts per second.
    #[arg(long)]
    ticks_per_second: u64,
    /// A client gets a direct frame at one of so many ticks.
    #[arg(long)]
    direct_every: u64,
}

#[derive(Debug, Deserialize)]
struct Visitor {
    id: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let book = Arc::new(Book::default());
    let (layer, io) = SocketIo::builder()
        // The one path that nginx lets through.
        .req_path("/ws")
        .transports([TransportType::Websocket])
        // A silent client is given up after 15 s, as by the others.
        .ping_interval(Duration::from_secs(5))
        .ping_timeout(Duration::from_secs(10))
        .max_buffer_size(BUFFERED_PACKETS_MAX)
        .build_layer();
    // A middleware runs before the client is told that it is connected. A connect handler runs after
    // it, when the client's first message may have come already.
    let visitors = Arc::clone(&book);
    io.ns("/", (async || ()).with(move |socket: SocketRef| ready(welcome(&socket, &visitors))));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("LISTENING {}", listener.local_addr()?.port());
    let listener = listener.tap_io(|stream| {
        // Fails only for a connection that is gone already.
        let _ = stream.set_nodelay(true);
    });
    let serving = axum::serve(listener, Router::new().layer(layer)).into_future();
    tokio::select! {
        served = serving => Ok(served?),
        done = obey(io, &options, &book) => done,
    }
}

fn welcome(socket: &SocketRef, book: &Arc<Book>) -> Result<(), String> {
    let Query(Visitor { id }) =
        Query::try_from_uri(&socket.req_parts().uri).map_err(|error| error.to_string())?;
    socket.join(vec![ROOM.to_owned(), own_room(id)]);
    book.sent().sessions += 1;
    let book = Arc::clone(book);
    // The work is done before there is a future: the futures of a connection's messages are tasks,
    // which may run in another order.
    socket.on("u", move |Data::<usize>(number), ack: AckSender| {
        book.hear(id, number);
        // Fails when the connection is gone or does not read; the client asks again.
        let _ = ack.send(&());
        ready(())
    });
    Ok(())
}

/// The room that a client is alone in.
fn own_room(client: u64) -> String {
    format!("c{client}")
}

async fn obey(io: SocketIo, options: &Options, book: &Arc<Book>) -> Result<(), Box<dyn Error>> {
    let (go, going) = watch::channel(true);
    let mut sender = None;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match line.as_str() {
            "start" => {
                let sending = send(io.clone(), options.clone(), Arc::clone(book), going.clone());
                sender = Some(tokio::spawn(sending));
            }
            "pause" => {
                go.send_replace(false);
                if let Some(sender) = sender.take() {
                    sender.await?;
                }
                say(&*book.sent())?;
            }
            "heard" => say(&book.heard())?,
            "end" => break,
            other => return Err(format!("{other:?} is nothing to ask for").into()),
        }
    }
    Ok(())
}

/// Sends what the schedule says, tick by tick, all from one task.
async fn send(io: SocketIo, options: Options, book: Arc<Book>, mut going: watch::Receiver<bool>) {
    let mut ticks = interval(Duration::from_micros(1_000_000 / options.ticks_per_second));
    // A process that was stopped does not make up for it.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0.. {
        tokio::select! {
            _ = going.changed() => return,
            _ = ticks.tick() => {}
        }
        // An error tells of those who did not get it, such as who has just left.
        let _ = io.to(ROOM).emit("n", &stamp(tick, 0)[..]).await;
        let directed = |client: &u64| (tick + client).is_multiple_of(options.direct_every);
        for client in (0..options.clients).filter(directed) {
            if io.to(own_room(client)).emit("n", &stamp(tick, 1)[..]).await.is_err() {
                book.sent().refused.push((client, tick));
            }
        }
        book.sent().ticks = tick + 1;
    }
}

/// What is in a frame: the tick, 1 if it is sent directly, and when, in microseconds.
fn stamp(tick: u64, direct: u64) -> [u64; 3] {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    [tick, direct, u64::try_from(since.as_micros()).unwrap_or(u64::MAX)]
}

fn say(value: &impl Serialize) -> serde_json::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
