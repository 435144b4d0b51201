//! What the tests of the wire share: an echo server, ways to reach it, and eyes and ears.

#![allow(dead_code, reason = "every file of tests uses a part of it")]

pub(crate) mod ledger;
pub(crate) mod logs;

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode, request};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use wspulse::http::Response;
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{
    Admission, CloseCode, CloseFrame, ConnectRequest, Frame, MessageKind, Rejection, Server,
    ServerBuilder,
};

pub(crate) type Client = TestClient<DuplexStream>;

/// The default of `write_wait`, which is how long a closing handshake may take.
pub(crate) const WRITE_WAIT: Duration = Duration::from_secs(10);

/// The answer to the key of the test client's handshakes (RFC 6455 §1.3).
pub(crate) const ACCEPT_KEY: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Lets everybody into `lobby`, with the query's `id`, if any.
pub(crate) fn admit(request: &ConnectRequest) -> Admission {
    let admission = Admission::room("lobby");
    match request.query("id") {
        Some(id) => admission.id(&*id),
        None => admission,
    }
}

/// A builder whose connect function is [`admit`].
pub(crate) fn open_house() -> ServerBuilder {
    logs::listen();
    Server::builder_sync(|request| Ok::<_, Rejection>(admit(&request)))
}

/// A builder for a server that sends every frame back.
pub(crate) fn echo() -> ServerBuilder {
    open_house().on_message(|connection, frame| connection.send(frame).expect("room for an echo"))
}

/// Connects in memory with this id.
pub(crate) async fn dial(server: &Server, id: &str) -> Client {
    logs::listen();
    TestClient::connect(server, &format!("/ws?id={id}")).await.expect("admitted")
}

/// A frame that carries a number.
pub(crate) fn numbered(number: usize) -> Frame {
    Frame::new("n").json(&number).expect("numbers are JSON")
}

/// Sends a frame to an echo server and waits for it to come back.
pub(crate) async fn echoes<S>(client: &mut TestClient<S>, number: usize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    client.send(&numbered(number)).await.expect("the server reads");
    assert_eq!(client.frame().await.expect("an echo"), numbered(number));
}

/// The next Close frame, other things passed over; nothing is answered.
pub(crate) async fn close_frame<S>(client: &mut TestClient<S>) -> Option<CloseFrame>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match client.receive().await.expect("frames until a close") {
            Received::Close(frame) => return frame,
            Received::Message(..) | Received::Ping(_) | Received::Pong(_) => {}
            Received::End => panic!("the stream ended without a close frame"),
        }
    }
}

/// A close frame by its number.
pub(crate) fn close(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame::new(CloseCode::new(code).expect("a valid code"), reason)
}

/// A text message as the client receives it.
pub(crate) fn text(payload: &'static str) -> Received {
    Received::Message(MessageKind::Text, payload.into())
}

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

/// Reads a response with a `Content-Length`: its head and its body.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; len.map_or(0, |len| len.parse().expect("a length"))];
    stream.read_exact(&mut body).await.expect("a whole body");
    (head, String::from_utf8(body).expect("text"))
}

/// Lets every other task do what it can do at this instant of virtual time.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Asserts how much virtual time has passed, to some ticks of the runtime's timers.
#[track_caller]
pub(crate) fn assert_passed(since: Instant, expected: Duration) {
    let passed = since.elapsed();
    assert!(
        passed.abs_diff(expected) <= Duration::from_millis(5),
        "{passed:?} passed, not {expected:?}"
    );
}
