//! TLS for `serve`: clients that speak it, are slow with it, fail at it, and certificates that are
//! exchanged meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, advance, sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tungstenite::Message;
use wspulse::serve::tls::rustls::pki_types::ServerName;
use wspulse::serve::tls::{TlsConfig, TlsListener};
use wspulse::testing::memory_listener;
use wspulse::{Admission, Rejection, Server};

use crate::support::certificates::{NEW, OLD, Pair, client_config, server_config};
use crate::support::http::read_to_end;

fn connector(trusted: Pair, alpn: &[&[u8]]) -> TlsConnector {
    let mut config = client_config(trusted);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn handshake<IO: AsyncRead + AsyncWrite + Unpin>(
    connector: TlsConnector,
    name: &'static str,
    stream: IO,
) -> std::io::Result<TlsStream<IO>> {
    connector.connect(ServerName::try_from(name).expect("a name"), stream).await
}

fn echo() -> Router {
    let server = Server::builder(|request| async move {
        assert!(request.peer_addr().is_some(), "the address comes through TLS");
        Ok::<_, Rejection>(Admission::room("lobby"))
    })
    .on_message(|conn, frame| async move { conn.send(frame).expect("its client is there") })
    .build()
    .expect("valid options");
    Router::new().route_service("/ws", server)
}

/// Serves over TLS on a free port, with the old certificate, until the test ends.
async fn serve_echo() -> (SocketAddr, TlsConfig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let listener = TlsListener::new(listener, server_config(OLD));
    let config = listener.config();
    tokio::spawn(async move { wspulse::serve(listener, echo()).await });
    (address, config)
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("it listens")
}

/// Opens a WebSocket on an encrypted stream and has a message echoed.
async fn assert_echoes<IO: AsyncRead + AsyncWrite + Unpin>(stream: TlsStream<IO>) {
    let (mut client, _) =
        tokio_tungstenite::client_async("ws://old.example/ws", stream).await.expect("101");
    // Long enough for several TLS records (RFC 8446 §5.1: 16 KiB each at most).
    let text = format!(r#"{{"event":"say","payload":"{}"}}"#, "x".repeat(400));
    for _ in 0..100 {
        client.feed(Message::text(text.clone())).await.expect("connected");
    }
    client.flush().await.expect("connected");
    for _ in 0..100 {
        let echoed = client.next().await.expect("connected").expect("a message");
        assert_eq!(echoed, Message::text(text.clone()));
    }
    client.close(None).await.expect("connected");
    while client.next().await.is_some() {}
}

#[tokio::test]
async fn a_client_connects_over_tls_and_is_echoed() {
    let (address, _) = serve_echo().await;
    let stream = handshake(connector(OLD, &[]), "old.example", connect(address).await).await;
    assert_echoes(stream.expect("a handshake")).await;
}

#[tokio::test]
async fn http_1_1_is_what_alpn_agrees_on() {
    let (address, _) = serve_echo().await;
    let connector = connector(OLD, &[b"h2", b"http/1.1"]);
    let stream = handshake(connector, "old.example", connect(address).await).await;
    let stream = stream.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_echoes(stream).await;
}

#[tokio::test]
async fn a_client_that_insists_on_http_2_is_refused_in_its_handshake() {
    let (address, _) = serve_echo().await;
    let stream = handshake(connector(OLD, &[b"h2"]), "old.example", connect(address).await).await;
    let error = stream.expect_err("no protocol in common").to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[tokio::test]
async fn replaced_certificates_are_those_of_new_connections_and_old_ones_go_on() {
    let (address, config) = serve_echo().await;
    let before = handshake(connector(OLD, &[]), "old.example", connect(address).await).await;
    config.replace(server_config(NEW));
    let after = handshake(connector(NEW, &[]), "new.example", connect(address).await).await;
    assert_echoes(after.expect("a handshake with the new certificate")).await;
    assert_echoes(before.expect("a handshake with the old certificate")).await;
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_loses_its_connection_and_nobody_elses() {
    let (address, _) = serve_echo().await;
    let mut plain = connect(address).await;
    plain.write_all(b"GET /ws HTTP/1.1\r\nHost: old.example\r\n\r\n").await.expect("connected");
    let mut answer = vec![0; 0];
    let _ = tokio::io::copy(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "an alert at most");
    let stream = handshake(connector(OLD, &[]), "old.example", connect(address).await).await;
    assert_echoes(stream.expect("a handshake")).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_with_its_handshake_is_cut_off_at_the_deadline_of_requests() {
    let (dialler, listener) = memory_listener();
    let listener = TlsListener::new(listener, server_config(OLD));
    let serve = wspulse::serve(listener, echo()).handshake_timeout(Duration::from_secs(5));
    tokio::spawn(serve.into_future());
    let started = Instant::now();
    let mut slow = dialler.dial();
    slow.write_all(&[22, 3, 1]).await.expect("a record's first bytes");
    assert_eq!(read_to_end(&mut slow).await, "");
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_with_its_handshake_keeps_nobody_waiting() {
    let (dialler, listener) = memory_listener();
    let listener = TlsListener::new(listener, server_config(OLD));
    tokio::spawn(wspulse::serve(listener, echo()).into_future());
    let mut slow = dialler.dial();
    slow.write_all(&[22, 3, 1]).await.expect("a record's first bytes");
    let started = Instant::now();
    let quick = dialler.dial_from("192.0.2.7:1");
    let stream = handshake(connector(OLD, &[]), "old.example", quick).await;
    assert_echoes(stream.expect("a handshake")).await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_handshake_the_server_stood_still_in_is_echoed() {
    let (dialler, listener) = memory_listener();
    let listener = TlsListener::new(listener, server_config(OLD));
    tokio::spawn(wspulse::serve(listener, echo()).into_future());
    let stream = dialler.dial_from("192.0.2.7:1");
    // In one step, it is a stop of the server.
    sleep(Duration::from_secs(1)).await;
    advance(Duration::from_secs(35)).await;
    sleep(Duration::from_secs(1)).await;
    let stream = handshake(connector(OLD, &[]), "old.example", stream).await;
    assert_echoes(stream.expect("a handshake")).await;
}
