//! Requests and answers, over sockets and without.

use std::net::SocketAddr;

use ::http::{HeaderMap, Request, StatusCode, request};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wspulse::Server;
use wspulse::http::Response;
use wspulse::testing::request_parts;

use super::logs;

/// The answer to the key of the test client's handshakes (RFC 6455 §1.3).
pub(crate) const ACCEPT_KEY: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The head of a valid handshake with these headers set.
pub(crate) fn head_with(headers: &[(&'static str, &str)]) -> request::Parts {
    let mut parts = request_parts("/ws");
    for (name, value) in headers {
        parts.headers.insert(*name, value.parse().expect("a header value"));
    }
    parts
}

/// The head of a valid handshake without these headers.
pub(crate) fn head_without(headers: &[&str]) -> request::Parts {
    let mut parts = request_parts("/ws");
    for name in headers {
        parts.headers.remove(*name);
    }
    parts
}

/// An HTTP response, with all of its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body in memory").to_bytes();
        let body = String::from_utf8(body.into()).expect("text");
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// The answer to a handshake that is refused before or by the connect function.
    pub(crate) async fn to(server: &Server, parts: request::Parts) -> Self {
        logs::listen();
        let refused = match server.handshake(parts) {
            Ok(handshake) => handshake.connect().await.expect_err("a refusal"),
            Err(refused) => refused,
        };
        Self::of(refused).await
    }

    /// What the server answers as a tower service.
    pub(crate) async fn served(server: &Server, parts: request::Parts) -> Self {
        Self::of(server.serve(Request::from_parts(parts, ())).await).await
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("visible ASCII"))
    }

    /// Status and body, the two things that tell refusals apart.
    pub(crate) fn summary(&self) -> (u16, &str) {
        (self.status.as_u16(), &self.body)
    }
}

/// Serves over a socket on a free port, until the test ends.
pub(crate) async fn serve(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Serves at `/ws` over a socket on a free port.
pub(crate) async fn serve_at_ws(server: &Server) -> SocketAddr {
    serve(axum::Router::new().route_service("/ws", server.clone())).await
}

/// Connects a socket and writes these bytes at once.
pub(crate) async fn write_to(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(bytes).await.expect("it reads");
    stream
}

/// Reads until the server ends the connection, be it with a reset; what came before is returned.
pub(crate) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        bytes.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(bytes).expect("text")
}

/// Reads a response with a `Content-Length`, head and body.
pub(crate) async fn read_response(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut body).await.expect("a whole body");
    (head, String::from_utf8(body).expect("text"))
}
