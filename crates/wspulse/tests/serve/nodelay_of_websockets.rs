//! A WebSocket has `TCP_NODELAY` whatever `serve` was told for the other connections.

#![cfg(unix)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use wspulse::serve::Listener;
use wspulse::serve::tls::TlsListener;
use wspulse::serve::tls::rustls::pki_types::ServerName;
use wspulse::testing::{TestClient, request_head};
use wspulse::{Admission, Server};

use crate::support::certificates::{OLD, client_config, server_config};
use crate::support::http::read_response;

/// Keeps another descriptor of the newest socket, to look at its options.
#[derive(Clone, Default)]
struct Newest(Arc<Mutex<Option<OwnedFd>>>);

impl Newest {
    fn has_nodelay(&self) -> bool {
        let descriptor = self.0.lock().as_ref().expect("accepted").try_clone().expect("open");
        std::net::TcpStream::from(descriptor).nodelay().expect("an open socket")
    }

    /// The option is set beside the answer that lets the client in.
    async fn gets_nodelay(&self) {
        let wait = async {
            while !self.has_nodelay() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it has TCP_NODELAY");
    }
}

struct Watched(TcpListener, Newest);

impl Listener for Watched {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, address) = self.0.accept().await?;
        *self.1.0.lock() = Some(stream.as_fd().try_clone_to_owned()?);
        Ok((stream, Some(address)))
    }

    fn tcp_stream(stream: &TcpStream) -> Option<&TcpStream> {
        Some(stream)
    }
}

/// A listener that does not tell which socket is in a stream.
struct Untold(Watched);

impl Listener for Untold {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        self.0.accept().await
    }
}

/// A listener of an application's own, whose streams are more than a socket.
struct Wrapping(Watched);

struct Wrapped(TcpStream);

impl Listener for Wrapping {
    type Stream = Wrapped;

    async fn accept(&mut self) -> io::Result<(Wrapped, Option<SocketAddr>)> {
        let (stream, address) = self.0.accept().await?;
        Ok((Wrapped(stream), address))
    }

    fn tcp_stream(stream: &Wrapped) -> Option<&TcpStream> {
        Some(&stream.0)
    }
}

impl AsyncRead for Wrapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wrapped {
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

async fn watched() -> (SocketAddr, Newest, Watched) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, newest) = (listener.local_addr().unwrap(), Newest::default());
    (address, newest.clone(), Watched(listener, newest))
}

/// Serves WebSockets under `/ws`, and a page beside them, until the test ends.
fn serve_with_delay<L: Listener>(listener: L) {
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby"))).build().unwrap();
    let app = Router::new().route_service("/ws", server).route("/", get(|| async { "hello" }));
    tokio::spawn(wspulse::serve(listener, app).tcp_nodelay(false).into_future());
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> TestClient<S> {
    let mut client = TestClient::new(stream);
    client.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    assert!(client.read_response_head().await.unwrap().starts_with("HTTP/1.1 101"));
    client
}

#[tokio::test]
async fn a_page_has_what_serve_was_told() {
    let (address, newest, listener) = watched().await;
    serve_with_delay(listener);
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(read_response(&mut client).await.1, "hello");
    assert!(!newest.has_nodelay());
}

#[tokio::test]
async fn a_plain_websocket_has_nodelay() {
    let (address, newest, listener) = watched().await;
    serve_with_delay(listener);
    let _ann = upgrade(TcpStream::connect(address).await.unwrap()).await;
    newest.gets_nodelay().await;
}

#[tokio::test]
async fn a_websocket_on_a_stream_of_the_applications_own_has_nodelay() {
    let (address, newest, listener) = watched().await;
    serve_with_delay(Wrapping(listener));
    let _ann = upgrade(TcpStream::connect(address).await.unwrap()).await;
    newest.gets_nodelay().await;
}

#[tokio::test]
async fn a_websocket_whose_socket_its_listener_does_not_tell_has_nodelay() {
    let (address, newest, listener) = watched().await;
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby"))).build().unwrap();
    tokio::spawn(wspulse::serve(Untold(listener), server).into_future());
    let client = TcpStream::connect(address).await.unwrap();
    let _ann = upgrade(client).await;
    newest.gets_nodelay().await;
}

#[tokio::test]
async fn an_encrypted_websocket_has_nodelay() {
    let (address, newest, listener) = watched().await;
    serve_with_delay(TlsListener::new(listener, server_config(OLD)));
    let name = ServerName::try_from("old.example").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let stream =
        TlsConnector::from(Arc::new(client_config(OLD))).connect(name, stream).await.unwrap();
    let _ann = upgrade(stream).await;
    newest.gets_nodelay().await;
}
