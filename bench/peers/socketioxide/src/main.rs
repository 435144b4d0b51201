//! Measures socketioxide: echo, room fan-out and counting of Socket.IO events.

use std::error::Error;
use std::future::ready;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::Query;
use axum::serve::ListenerExt;
use clap::{Parser, ValueEnum};
use futures_util::FutureExt;
use serde::Deserialize;
use socketioxide::extract::{Data, SocketRef};
use socketioxide::handler::ConnectHandler;
use socketioxide::{SocketIo, TransportType};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{self, Runtime};

const BACKLOG: u32 = 4096;

/// The default of 128 packets loses what a burst to a room has beyond them; a place costs nothing
/// until it is taken.
const BUFFERED_PACKETS_MAX: usize = 10_000;

/// The defaults of 64 and 16 MiB are more than a server of small messages should take.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

const EVENT: &str = "m";

// As the contract of the modes says.
const MOVES: u32 = 100;
const VISITED: &str = "room0";
const EVERYBODY: &str = "everybody";

#[derive(Debug, Parser)]
struct Args {
    #[arg(long, value_enum)]
    mode: Mode,
    /// 0 for a free one.
    #[arg(long)]
    port: u16,
    /// One per core by default, as with `#[tokio::main]`.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Echo,
    Room,
    Count,
    Moving,
    Audience,
}

#[derive(Debug, Deserialize)]
struct Params {
    room: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    runtime(args.threads)?.block_on(serve(args))
}

fn runtime(threads: Option<usize>) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        Some(1) => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

async fn serve(Args { mode, port, .. }: Args) -> Result<(), Box<dyn Error>> {
    let listener = listen(port)?;
    println!("LISTENING {}", listener.local_addr()?.port());

    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        .max_buffer_size(BUFFERED_PACKETS_MAX)
        .ws_max_message_size(MESSAGE_BYTES_MAX)
        .ws_max_frame_size(MESSAGE_BYTES_MAX)
        .build_layer();
    // A middleware runs before the client is told that it is connected, a connect handler after it,
    // when its first message may come already.
    io.ns("/", (async || ()).with(move |socket: SocketRef| ready(welcome(&socket, mode))));

    let listener = listener.tap_io(|stream| {
        // Fails only for a connection that is gone already.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().layer(layer)).await?;
    Ok(())
}

/// `TcpListener::bind` would have a backlog of 1,024.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

// Handlers do their work before they return a future: the futures of a connection's messages are
// spawned as tasks, which may run in another order.

fn welcome(socket: &SocketRef, mode: Mode) -> Result<(), String> {
    let Query(Params { room }) =
        Query::try_from_uri(&socket.req_parts().uri).map_err(|error| error.to_string())?;
    socket.join(room.clone());
    match mode {
        Mode::Echo => socket.on(EVENT, |socket: SocketRef, Data::<String>(payload)| {
            // Fails when the connection is gone or does not read.
            let _ = socket.emit(EVENT, &payload);
            ready(())
        }),
        Mode::Room => socket.on(EVENT, |socket: SocketRef, Data::<String>(payload)| {
            // The local adapter is done at once.
            let _ = socket.within(room).emit(EVENT, &payload).now_or_never();
            ready(())
        }),
        Mode::Moving => socket.on(EVENT, |socket: SocketRef, Data::<String>(payload)| {
            for _ in 0..MOVES {
                socket.join(VISITED);
                socket.leave(VISITED);
            }
            let _ = socket.emit(EVENT, &payload);
            ready(())
        }),
        Mode::Audience => {
            socket.join(EVERYBODY);
            socket.on(EVENT, |socket: SocketRef, Data::<String>(payload)| {
                // Leaves the sender out.
                let audience = socket.to([room, EVERYBODY.to_owned()]);
                let _ = audience.emit(EVENT, &payload).now_or_never();
                ready(())
            });
        }
        Mode::Count => {
            let count = Arc::new(AtomicU64::new(0));
            socket.on(EVENT, move |socket: SocketRef, Data::<String>(payload)| {
                if payload.starts_with('?') {
                    let count = count.swap(0, Ordering::Relaxed);
                    let _ = socket.emit(EVENT, &count.to_string());
                } else {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                ready(())
            });
        }
    }
    Ok(())
}
