//! Clients that fail in their TLS handshake, wherever that is, cost their own connection: others
//! are served, nothing of them is left, and the log tells of them at DEBUG, in its own words.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use wspulse::serve::Listener;
use wspulse::serve::tls::TlsListener;
use wspulse::serve::tls::rustls::ClientConnection;
use wspulse::serve::tls::rustls::pki_types::ServerName;
use wspulse::testing::{TestClient, memory_listener, request_head};

use crate::support::certificates::{OLD, client_config, server_config};
use crate::support::clients::echoes;
use crate::support::house::echo;
use crate::support::http::read_to_end;
use crate::support::logs::Logs;

/// What no log may show: a line's end, and what clears the screen.
const EVIL: &str = "GET /\u{1b}[2J HTTP/1.1\r\nhost: WARN forged\u{1b}[2J\r\n\r\n";

/// Knows how many of its streams are there.
struct Counted(TcpListener, Arc<()>);

struct CountedStream(TcpStream, #[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Listener for Counted {
    type Stream = CountedStream;

    async fn accept(&mut self) -> io::Result<(CountedStream, Option<SocketAddr>)> {
        let (stream, address) = self.0.accept().await?;
        Ok((CountedStream(stream, Arc::clone(&self.1)), Some(address)))
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from("old.example").unwrap()
}

/// What a client says first (RFC 8446 §4.1.2).
fn client_hello() -> Vec<u8> {
    let mut bytes = Vec::new();
    ClientConnection::new(Arc::new(client_config(OLD)), name())
        .unwrap()
        .write_tls(&mut bytes)
        .unwrap();
    bytes
}

fn app() -> Router {
    Router::new().route_service("/ws", echo().build().unwrap())
}

async fn serve_counted() -> (SocketAddr, Arc<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(()));
    let listener = TlsListener::new(Counted(listener, Arc::clone(&count)), server_config(OLD));
    tokio::spawn(wspulse::serve(listener, app()).into_future());
    (address, count)
}

/// A client that does all as it should is let in and served.
async fn assert_serves<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let stream =
        TlsConnector::from(Arc::new(client_config(OLD))).connect(name(), stream).await.unwrap();
    let mut client = TestClient::new(stream);
    client.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    assert!(client.read_response_head().await.unwrap().starts_with("HTTP/1.1 101"));
    echoes(&mut client, 1).await;
}

/// The listener has one share, and the test another.
async fn until_none_is_left(count: &Arc<()>) {
    let wait = async {
        while Arc::strong_count(count) > 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.expect("all streams are dropped");
}

#[track_caller]
fn assert_quiet(logs: &Logs) {
    for level in ["ERROR", "WARN", "INFO"] {
        let lines = logs.all(level, "");
        let mut lines = lines.iter().filter(|line| !line.contains("every origin may connect"));
        assert_eq!(lines.next(), None);
    }
    let lines = logs.all("DEBUG", "HTTP connection failed");
    assert!(!lines.is_empty(), "they are told at DEBUG");
    for line in &lines {
        let is_plain =
            line.chars().all(|character| character == ' ' || character.is_ascii_graphic());
        assert!(is_plain && !line.contains("forged"), "{line:?}");
    }
}

#[tokio::test]
async fn clients_that_reset_anywhere_in_their_handshake_leave_nothing_and_others_are_served() {
    let logs = Logs::capture();
    let (address, count) = serve_counted().await;
    let hello = client_hello();
    let stages = [0, 1, 3, 5, 6, 43, hello.len() / 2, hello.len() - 1, hello.len()];
    let waits_for_answer = |stage: usize| stage == hello.len();
    for stage in stages {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&hello[..stage]).await.unwrap();
        if waits_for_answer(stage) {
            // The server has said its part, and waits for the client's last.
            client.read_u8().await.unwrap();
        }
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_serves(TcpStream::connect(address).await.unwrap()).await;
    }
    until_none_is_left(&count).await;
    assert_quiet(&logs);
}

#[tokio::test]
async fn clients_that_speak_http_to_the_port_of_tls_leave_nothing_and_others_are_served() {
    let logs = Logs::capture();
    let (address, count) = serve_counted().await;
    for request in [&request_head("/ws"), EVIL] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "an alert at most");
        assert_serves(TcpStream::connect(address).await.unwrap()).await;
    }
    until_none_is_left(&count).await;
    assert_quiet(&logs);
}

#[tokio::test]
async fn clients_that_say_nonsense_behind_their_hello_leave_nothing_and_others_are_served() {
    let logs = Logs::capture();
    let (address, count) = serve_counted().await;
    let alert = [21, 3, 3, 0, 2, 2, 0x1b];
    for nonsense in [EVIL.as_bytes(), &alert, &[0; 64], &client_hello()] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&client_hello()).await.unwrap();
        let _ = client.write_all(nonsense).await;
        let _ = client.read_to_end(&mut Vec::new()).await;
        drop(client);
        assert_serves(TcpStream::connect(address).await.unwrap()).await;
    }
    until_none_is_left(&count).await;
    assert_quiet(&logs);
}

/// More of them at once than one address may have pending, had they stayed.
#[tokio::test]
async fn clients_that_fail_free_the_places_of_their_address() {
    let (address, count) = serve_counted().await;
    for _ in 0..3 {
        for _ in 0..100 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(EVIL.as_bytes()).await.unwrap();
        }
        until_none_is_left(&count).await;
    }
    assert_serves(TcpStream::connect(address).await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_silent_behind_its_hello_is_cut_off_in_time() {
    let logs = Logs::capture();
    let (dialler, listener) = memory_listener();
    let listener = TlsListener::new(listener, server_config(OLD));
    let serve = wspulse::serve(listener, app()).handshake_timeout(Duration::from_secs(5));
    tokio::spawn(serve.into_future());
    let started = tokio::time::Instant::now();
    let mut client = dialler.dial();
    client.write_all(&client_hello()).await.unwrap();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    assert_eq!(started.elapsed().as_secs(), 5);
    assert_quiet(&logs);
    let mut idle = dialler.dial();
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_serves(dialler.dial()).await;
}
