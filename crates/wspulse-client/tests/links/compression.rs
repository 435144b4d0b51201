//! Compressed messages with the real server, over sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use wspulse::{Admission, Delivery, Server, ServerBuilder};
use wspulse_client::{
    Client, ClientBuilder, Compression, Event, Frame, Messages, Proxy, SessionStart,
};

/// A server that sends back what comes.
fn echo(delivery: Delivery) -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
        .on_message(|connection, frame| drop(connection.send(frame)))
        .delivery(delivery)
        .max_message_size(1_000_000)
        .resume_window(Duration::from_mins(1))
}

fn compressing(delivery: Delivery) -> Server {
    echo(delivery).compression(wspulse::Compression::shared()).build().unwrap()
}

async fn listen(server: Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { wspulse::serve(listener, server).await });
    address
}

/// What goes over a relay to the server.
struct Wire {
    up: AtomicUsize,
    down: AtomicUsize,
    /// Whether a handshake was seen that offers compression.
    is_offered: AtomicBool,
    /// Whether offers are made unreadable, as by a proxy that knows no extensions.
    is_opaque: AtomicBool,
    cuts: watch::Sender<u32>,
}

impl Wire {
    async fn to(server: SocketAddr) -> (Arc<Self>, String) {
        let wire = Arc::new(Self {
            up: AtomicUsize::new(0),
            down: AtomicUsize::new(0),
            is_offered: AtomicBool::new(false),
            is_opaque: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let relay = Arc::clone(&wire);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let wire = Arc::clone(&relay);
                tokio::spawn(async move { wire.carry(client, server).await });
            }
        });
        (wire, url)
    }

    async fn carry(&self, mut client: TcpStream, server: SocketAddr) {
        let mut cuts = self.cuts.subscribe();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if client.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let mut head = String::from_utf8(head).unwrap();
        self.is_offered.fetch_or(head.contains("permessage-deflate"), Ordering::Relaxed);
        if self.is_opaque.load(Ordering::Relaxed) {
            head = head.replace("permessage-deflate", "permessage-unknown");
        }
        let mut server = TcpStream::connect(server).await.unwrap();
        server.write_all(head.as_bytes()).await.unwrap();
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = pass(from_client, to_server, &self.up) => {}
            () = pass(from_server, to_client, &self.down) => {}
            _ = cuts.changed() => {}
        }
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn passed(&self) -> [usize; 2] {
        [&self.up, &self.down].map(|passed| passed.load(Ordering::Relaxed))
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    sum: &AtomicUsize,
) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        sum.fetch_add(read, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn client(url: &str) -> ClientBuilder {
    let moment = Duration::from_millis(1);
    Client::builder(url).proxy(Proxy::None).backoff(moment, moment)
}

/// Some 50 kB of JSON that gets much smaller.
fn long(number: usize) -> Frame {
    Frame::new("n").json(&vec![number; 10_000 + number]).unwrap()
}

/// What is heard up to the next message, and that.
async fn next_message(messages: &mut Messages) -> (Vec<SessionStart>, Frame) {
    let mut sessions = Vec::new();
    loop {
        let event = messages.next().await.expect("a message before the end");
        if let Event::Message(frame) = event {
            return (sessions, frame);
        } else if let Event::Session { session, .. } = event {
            sessions.push(session);
        }
    }
}

/// Sends a long message, and hears it.
async fn exchange(builder: ClientBuilder) {
    let (client, mut messages) = builder.connect().unwrap();
    client.send(long(1_234)).await.unwrap();
    assert_eq!(next_message(&mut messages).await.1, long(1_234));
    client.close().await;
}

#[tokio::test]
async fn messages_go_both_ways_compressed_once_the_server_agrees() {
    for delivery in [Delivery::AtMostOnce, Delivery::ExactlyOnce] {
        let (wire, url) = Wire::to(listen(compressing(delivery)).await).await;
        exchange(client(&url).compression(Compression::new())).await;
        let passed = wire.passed();
        assert!(passed.iter().all(|bytes| *bytes < 3_000), "{passed:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_not_asked_to_offers_nothing() {
    let (wire, url) = Wire::to(listen(compressing(Delivery::ExactlyOnce)).await).await;
    exchange(client(&url)).await;
    let passed = wire.passed();
    assert!(!wire.is_offered.load(Ordering::Relaxed));
    assert!(passed.iter().all(|bytes| *bytes > 50_000), "{passed:?}");
}

#[tokio::test]
async fn with_a_server_that_does_not_compress_messages_go_as_they_are() {
    let server = echo(Delivery::ExactlyOnce).build().unwrap();
    let (wire, url) = Wire::to(listen(server).await).await;
    exchange(client(&url).compression(Compression::new())).await;
    let passed = wire.passed();
    assert!(wire.is_offered.load(Ordering::Relaxed));
    assert!(passed.iter().all(|bytes| *bytes > 50_000), "{passed:?}");
}

#[tokio::test]
async fn a_client_may_take_compressed_messages_and_send_its_own_as_they_are() {
    let (wire, url) = Wire::to(listen(compressing(Delivery::ExactlyOnce)).await).await;
    exchange(client(&url).compression(Compression::new().min_bytes(usize::MAX))).await;
    let [up, down] = wire.passed();
    assert!(up > 50_000 && down < 3_000, "{up} {down}");
}

#[tokio::test]
async fn a_session_goes_on_whatever_its_transports_agree_on() {
    let (wire, url) = Wire::to(listen(compressing(Delivery::ExactlyOnce)).await).await;
    let builder = client(&url).compression(Compression::new());
    let (client, mut messages) = builder.connect().unwrap();
    let mut sessions = Vec::new();
    for round in 0..6 {
        let passed = wire.passed();
        for number in 10 * round..10 * (round + 1) {
            client.send(long(number)).await.unwrap();
            let (begun, frame) = next_message(&mut messages).await;
            sessions.extend(begun);
            assert_eq!(frame, long(number));
        }
        let more = wire.passed().iter().sum::<usize>() - passed.iter().sum::<usize>();
        assert_eq!(more < 100_000, round % 2 == 0, "{round}: {more} bytes");
        wire.is_opaque.store(round % 2 == 0, Ordering::Relaxed);
        wire.cut();
    }
    assert_eq!(sessions[0], SessionStart::New);
    assert_eq!(sessions[1..], [SessionStart::Resumed; 5]);
}
