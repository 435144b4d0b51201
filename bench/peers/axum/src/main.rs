//! Measures axum's WebSockets: echo, room fan-out and counting over raw text messages.

mod rooms;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt;
use clap::{Parser, ValueEnum};
use futures_util::SinkExt;
use futures_util::stream::{SplitSink, StreamExt};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use rooms::Rooms;

const BACKLOG: u32 = 4096;
const PING_EVERY: Duration = Duration::from_secs(10);

/// The defaults of 64 and 16 MiB are more than a server of small messages should take.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// What tungstenite's documentation has for many connections with little to read on each.
const SMALL_READ_BUFFER_BYTES: usize = 4 * 1024;

/// Where the payload starts in `{"event":"m","payload":"…"}`.
const PAYLOAD_AT: usize = 24;

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, value_enum)]
    mode: Mode,
    /// 0 for a free one.
    #[arg(long)]
    port: u16,
    /// One per core by default, as with `#[tokio::main]`.
    #[arg(long)]
    threads: Option<usize>,
    #[arg(long, value_enum, default_value_t = ReadBuffer::Default)]
    read_buffer: ReadBuffer,
    /// One flush for all that waits, or one for each message, as axum's own chat example does.
    #[arg(long, value_enum, default_value_t = Flush::Batch)]
    flush: Flush,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Flush {
    Batch,
    Each,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Echo,
    Room,
    Count,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReadBuffer {
    /// 128 KiB for each connection, which each read clears beforehand.
    Default,
    Small,
}

#[derive(Debug, Clone)]
struct App {
    mode: Mode,
    read_buffer: ReadBuffer,
    flush: Flush,
    rooms: Arc<Rooms>,
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

async fn serve(args: Args) -> Result<(), Box<dyn Error>> {
    let Args { mode, port, read_buffer, flush, .. } = args;
    let listener = listen(port)?;
    println!("LISTENING {}", listener.local_addr()?.port());

    let app = Router::new().route("/ws", any(upgrade)).with_state(App {
        mode,
        read_buffer,
        flush,
        rooms: Arc::default(),
    });
    let listener = listener.tap_io(|stream| {
        // Fails only for a connection that is gone already.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

/// `TcpListener::bind` would have a backlog of 1,024.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

async fn upgrade(
    upgrade: WebSocketUpgrade,
    Query(Params { room }): Query<Params>,
    State(App { mode, read_buffer, flush, rooms }): State<App>,
) -> Response {
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX);
    let upgrade = match read_buffer {
        ReadBuffer::Default => upgrade,
        ReadBuffer::Small => upgrade.read_buffer_size(SMALL_READ_BUFFER_BYTES),
    };
    upgrade.on_upgrade(async move |socket| match mode {
        Mode::Echo => answer(socket, Some).await,
        Mode::Room => publish(socket, room, rooms, flush).await,
        Mode::Count => answer(socket, counting()).await,
    })
}

fn counting() -> impl FnMut(Utf8Bytes) -> Option<Utf8Bytes> {
    let mut count = 0_u64;
    move |text| {
        if text.as_bytes().get(PAYLOAD_AT) == Some(&b'?') {
            return Some(std::mem::take(&mut count).to_string().into());
        }
        count += 1;
        None
    }
}

/// Nobody else writes to this connection: it needs no channel, nor a task for one.
async fn answer(mut socket: WebSocket, mut answer: impl FnMut(Utf8Bytes) -> Option<Utf8Bytes>) {
    let mut heartbeat = heartbeat();
    loop {
        let message = tokio::select! {
            biased;
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => answer(text).map(Message::Text),
                Some(Ok(_)) => None,
                Some(Err(_)) | None => return,
            },
            _ = heartbeat.tick() => Some(Message::Ping(Bytes::new())),
        };
        if let Some(message) = message
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}

/// Reading and writing are tasks of their own, so that a delivery does not poll the reading half,
/// which would clear the read buffer.
async fn publish(socket: WebSocket, room: String, rooms: Arc<Rooms>, flush: Flush) {
    let (sink, mut stream) = socket.split();
    let (sender, receiver) = mpsc::unbounded_channel();
    let member = rooms.join(room, sender);
    tokio::spawn(write(sink, receiver, flush));
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Text(text) = message {
            member.broadcast(&text);
        }
    }
}

/// Ends when its member has left, or on an error, which the reading half gets to know as well.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut receiver: UnboundedReceiver<Utf8Bytes>,
    flush: Flush,
) {
    let mut heartbeat = heartbeat();
    loop {
        let message = tokio::select! {
            biased;
            text = receiver.recv() => match text {
                Some(text) => Message::Text(text),
                None => return,
            },
            _ = heartbeat.tick() => Message::Ping(Bytes::new()),
        };
        let written = match flush {
            Flush::Batch => write_all(&mut sink, message, &mut receiver).await,
            Flush::Each => sink.send(message).await,
        };
        if written.is_err() {
            return;
        }
    }
}

/// One flush, and so one system call, for all that is there.
async fn write_all(
    sink: &mut SplitSink<WebSocket, Message>,
    first: Message,
    receiver: &mut UnboundedReceiver<Utf8Bytes>,
) -> Result<(), axum::Error> {
    sink.feed(first).await?;
    while let Ok(text) = receiver.try_recv() {
        sink.feed(Message::Text(text)).await?;
    }
    sink.flush().await
}

fn heartbeat() -> Interval {
    let mut interval = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    // A connection that was blocked needs one Ping, not all that it missed.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
