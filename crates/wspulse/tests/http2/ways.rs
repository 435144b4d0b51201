//! Clients of either version of HTTP.

use axum::Router;
use bytes::Bytes;
use http::header::SEC_WEBSOCKET_VERSION;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use wspulse::serve::{Http2, Serve};
use wspulse::testing::{Dialler, MemoryListener, TestClient, request_head};
use wspulse::{ConfigError, Server};

use crate::support::listener::serve_in_memory;

pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

pub(crate) type Client = TestClient<Box<dyn ByteStream>>;

/// How a client comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Http1,
    Http2,
}

/// A client that was let in, and the head of the answer.
pub(crate) struct LetIn {
    pub(crate) client: Client,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Ends with it.
    _connection: Option<Connection>,
}

/// One connection of HTTP/2.
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    pub(crate) driver: JoinHandle<hyper::Result<()>>,
}

/// Serves a server at `/ws` in memory, in both versions.
pub(crate) fn serve_both(
    server: &Server,
    configure: impl FnOnce(Serve<MemoryListener, Router>) -> Serve<MemoryListener, Router>,
) -> (Dialler, JoinHandle<Result<(), ConfigError>>) {
    let app = Router::new().route_service("/ws", server.clone());
    serve_in_memory(app, |serve| configure(serve.http2(Http2::new())))
}

/// A request for a WebSocket over HTTP/2.
pub(crate) fn extended_connect(target: &str) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri(format!("http://localhost{target}"))
        .header(SEC_WEBSOCKET_VERSION, "13")
        .extension(Protocol::from_static("websocket"))
        .body(Empty::new())
        .expect("a request")
}

/// A request for a page.
pub(crate) fn get(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("http://localhost{path}");
    Request::builder().uri(uri).body(Empty::new()).expect("a request")
}

impl Connection {
    pub(crate) async fn over(stream: impl ByteStream + 'static) -> Self {
        Self::with(stream, |_| {}).await
    }

    /// With settings of its own.
    pub(crate) async fn with(
        stream: impl ByteStream + 'static,
        configure: impl FnOnce(&mut Builder<TokioExecutor>),
    ) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        configure(&mut builder);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.expect("a preface is taken");
        let mut connection = Self { sender, driver: tokio::spawn(connection) };
        // Once this is answered, the server's settings are known.
        connection.get("/nothing").await;
        connection
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response<Incoming> {
        self.send(get(path)).await.expect("an answer")
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        self.sender.send_request(request).await
    }

    /// Opens a WebSocket in it.
    pub(crate) async fn open(&mut self, target: &str) -> Client {
        let response = self.send(extended_connect(target)).await.expect("an answer");
        assert_eq!(response.status(), 200);
        websocket(response).await
    }
}

/// The WebSocket that an answer opens.
pub(crate) async fn websocket(response: Response<Incoming>) -> Client {
    let upgraded = hyper::upgrade::on(response).await.expect("a stream");
    TestClient::new(Box::new(TokioIo::new(upgraded)))
}

impl Way {
    /// Tries to come in, with more headers.
    pub(crate) async fn dial(
        self,
        dialler: &Dialler,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<LetIn, (StatusCode, String)> {
        match self {
            Self::Http1 => {
                let io = TokioIo::new(dialler.dial());
                let (mut sender, driver) =
                    hyper::client::conn::http1::handshake(io).await.expect("a connection");
                tokio::spawn(driver.with_upgrades());
                let mut request =
                    Request::builder().uri(target).body(Empty::<Bytes>::new()).expect("a request");
                for line in request_head(target).lines().skip(1).filter(|line| !line.is_empty()) {
                    let (name, value) = line.split_once(": ").expect("a field");
                    let name: http::HeaderName = name.parse().expect("a name");
                    request.headers_mut().insert(name, value.parse().expect("a value"));
                }
                add(&mut request, headers);
                let answer = sender.send_request(request).await.expect("an answer");
                let_in(answer, StatusCode::SWITCHING_PROTOCOLS, None).await
            }
            Self::Http2 => {
                let mut connection = Connection::over(dialler.dial()).await;
                let mut request = extended_connect(target);
                add(&mut request, headers);
                let answer = connection.send(request).await.expect("an answer");
                let_in(answer, StatusCode::OK, Some(connection)).await
            }
        }
    }

    /// Comes in.
    pub(crate) async fn connect(self, dialler: &Dialler, target: &str) -> LetIn {
        match self.dial(dialler, target, &[]).await {
            Ok(let_in) => let_in,
            Err(refused) => panic!("refused: {refused:?}"),
        }
    }
}

fn add(request: &mut Request<Empty<Bytes>>, headers: &[(&'static str, &str)]) {
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a value"));
    }
}

async fn let_in(
    answer: Response<Incoming>,
    expected: StatusCode,
    connection: Option<Connection>,
) -> Result<LetIn, (StatusCode, String)> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    if status != expected {
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        return Err((status, String::from_utf8_lossy(&body).into_owned()));
    }
    let client = websocket(answer).await;
    Ok(LetIn { client, status, headers, _connection: connection })
}
