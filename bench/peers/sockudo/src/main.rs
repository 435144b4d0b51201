//! Measures sockudo-ws under axum: echo, room fan-out by its own topics, and counting.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::routing::any;
use axum::serve::ListenerExt;
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use sockudo_ws::axum_integration::{WebSocket, WebSocketUpgrade};
use sockudo_ws::pubsub::PubSub;
use sockudo_ws::{Compression, Config, Message};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

const BACKLOG: u32 = 4096;
const PING_SECONDS: u32 = 10;

/// The defaults of 64 and 16 MiB are more than a server of small messages should take.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Where the payload starts in `{"event":"m","payload":"…"}`.
const PAYLOAD_AT: usize = 24;

#[derive(Debug, Clone, Parser)]
struct Args {
    #[arg(long, value_enum)]
    mode: Mode,
    /// 0 for a free one.
    #[arg(long)]
    port: u16,
    /// Whether messages are compressed.
    #[arg(long)]
    deflate: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Echo,
    Room,
    Count,
}

#[derive(Clone)]
struct App {
    mode: Mode,
    compression: Compression,
    topics: Arc<PubSub>,
}

#[derive(Debug, Deserialize)]
struct Params {
    room: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Args { mode, port, deflate } = Args::parse();
    let listener = listen(port)?;
    println!("LISTENING {}", listener.local_addr()?.port());

    let compression = if deflate { Compression::Shared } else { Compression::Disabled };
    let app = App { mode, compression, topics: Arc::new(PubSub::new()) };
    let app = Router::new().route("/ws", any(upgrade)).with_state(app);
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
    State(App { mode, compression, topics }): State<App>,
    Query(Params { room }): Query<Params>,
    upgrade: WebSocketUpgrade,
) -> impl IntoResponse {
    let config = Config::builder()
        .max_payload_length(MESSAGE_BYTES_MAX)
        .ping_interval(PING_SECONDS)
        .compression(compression)
        .build();
    upgrade.config(config).on_upgrade(async move |socket| match mode {
        Mode::Echo => answer(socket, Some).await,
        Mode::Room => publish(socket, &room, &topics).await,
        Mode::Count => answer(socket, counting()).await,
    })
}

fn counting() -> impl FnMut(Bytes) -> Option<Bytes> {
    let mut count = 0_u64;
    move |text| {
        if text.get(PAYLOAD_AT) == Some(&b'?') {
            return Some(std::mem::take(&mut count).to_string().into());
        }
        count += 1;
        None
    }
}

/// It sends its Pings and Pongs itself.
async fn answer(mut socket: WebSocket, mut answer: impl FnMut(Bytes) -> Option<Bytes>) {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message
            && let Some(text) = answer(text)
            && socket.send(Message::Text(text)).await.is_err()
        {
            return;
        }
    }
}

async fn publish(mut socket: WebSocket, room: &str, topics: &PubSub) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let member = topics.create_subscriber(sender);
    topics.subscribe(member, room);
    loop {
        tokio::select! {
            biased;
            message = receiver.recv() => {
                let Some(message) = message else { break };
                if write_all(&mut socket, message, &mut receiver).await.is_err() {
                    break;
                }
            }
            message = socket.next() => match message {
                Some(Ok(message @ Message::Text(_))) => {
                    topics.publish(room, message);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
        }
    }
    topics.remove_subscriber(member);
}

/// One flush for all that is there.
async fn write_all(
    socket: &mut WebSocket,
    first: Message,
    receiver: &mut mpsc::UnboundedReceiver<Message>,
) -> Result<(), sockudo_ws::Error> {
    socket.feed(first).await?;
    while let Ok(message) = receiver.try_recv() {
        socket.feed(message).await?;
    }
    socket.flush().await
}
