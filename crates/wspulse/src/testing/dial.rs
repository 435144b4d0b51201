//! The way in: by HTTP, as any client comes.

use std::fmt;
use std::io;
use std::panic::Location;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::handshake::{Refused, request_parts};
use super::inbox::Inbox;
use super::link::Link;
use super::live::LiveClient;

/// A client that is about to connect: [`TestServer::client`](super::TestServer::client) makes it.
#[derive(Debug)]
#[must_use = "nobody connects before `connect`"]
pub struct Dial {
    inbox: Inbox,
    link: Link,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Dial {
    pub(super) const fn new(inbox: Inbox, link: Link) -> Self {
        Self { inbox, link, headers: Vec::new() }
    }

    /// Adds a header to its request, such as `authorization`, `cookie` or `origin`.
    ///
    /// # Panics
    ///
    /// If the name or the value is none that HTTP allows.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("the name of a header");
        let value = HeaderValue::try_from(value).expect("the value of a header");
        self.headers.push((name, value));
        self
    }

    /// Has it come from this address, as the server sees it. In memory only: over TCP the socket's
    /// address counts.
    ///
    /// # Panics
    ///
    /// If it is not an address and a port, as `192.0.2.1:50000`.
    #[track_caller]
    pub fn from(self, address: &str) -> Self {
        self.link.set_address(address.parse().expect("an address and a port"));
        self
    }

    /// Connects; `target` is the request's path and query, as `/ws?room=lobby`.
    ///
    /// # Panics
    ///
    /// If the server refuses it, or does not answer within [`patience`](super::TestServer::patience).
    #[track_caller]
    pub fn connect(self, target: &str) -> impl Future<Output = LiveClient> {
        let (at, request) = (Location::caller(), self.request(target));
        async move {
            let stream = open(&self.inbox, &self.link, &request, at).await;
            let stream = stream.unwrap_or_else(|refused| {
                self.inbox.fail(at, format_args!("was to be let in: {refused}"))
            });
            LiveClient::new(self.inbox, self.link, request, stream)
        }
    }

    /// Tries to connect, and is refused: returns the answer.
    ///
    /// # Panics
    ///
    /// If the server lets it in, or does not answer within
    /// [`patience`](super::TestServer::patience).
    #[track_caller]
    pub fn refused(self, target: &str) -> impl Future<Output = Refused> {
        let (at, request) = (Location::caller(), self.request(target));
        async move {
            match open(&self.inbox, &self.link, &request, at).await {
                Err(NotOpened::Refused(refused)) => refused,
                Err(NotOpened::Lost(error)) => {
                    self.inbox.fail(at, format_args!("was to be answered: {error}"))
                }
                Ok(_) => self.inbox.fail(at, "was to be refused, and was let in"),
            }
        }
    }

    fn request(&self, target: &str) -> request::Parts {
        let mut request = request_parts(target);
        for (name, value) in &self.headers {
            request.headers.append(name, value.clone());
        }
        request
    }
}

/// Why there is no WebSocket.
pub(super) enum NotOpened {
    Refused(Refused),
    Lost(io::Error),
}

/// Opens a transport and makes the handshake.
pub(super) async fn open(
    inbox: &Inbox,
    link: &Link,
    request: &request::Parts,
    at: &'static Location<'static>,
) -> Result<impl AsyncRead + AsyncWrite + Send + use<>, NotOpened> {
    inbox.note(format_args!("connects: GET {}", request.uri));
    let mut head = Request::new(Full::default());
    *head.uri_mut() = request.uri.clone();
    *head.headers_mut() = request.headers.clone();
    let patience = inbox.trace().patience();
    let Ok(answer) = timeout(patience, exchange(link, head)).await else {
        inbox.fail(at, format_args!("got no answer to its handshake within {patience:?}"))
    };
    let (answer, serving) = answer.map_err(NotOpened::Lost)?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgraded = hyper::upgrade::on(answer).await;
        drop(serving);
        return upgraded
            .map(TokioIo::new)
            .map_err(|error| NotOpened::Lost(io::Error::other(error)));
    }
    let refused = Refused(whole(answer).await.map_err(NotOpened::Lost)?.map(Full::new));
    inbox.note(&refused);
    Err(NotOpened::Refused(refused))
}

/// Sends a request by a transport of its own, and gets the head of the answer, and the task that
/// reads the rest.
pub(super) async fn exchange(
    link: &Link,
    request: Request<Full<Bytes>>,
) -> io::Result<(Response<hyper::body::Incoming>, AbortOnDropHandle<()>)> {
    let io = TokioIo::new(link.dial()?);
    let (mut sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    let serving = AbortOnDropHandle::new(tokio::spawn(async move {
        // The request's own answer is the error that counts.
        let _ = connection.with_upgrades().await;
    }));
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok((answer, serving))
}

/// The answer with all of its body.
pub(super) async fn whole(answer: Response<hyper::body::Incoming>) -> io::Result<Response<Bytes>> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "{refused}: {}", refused.body().trim_end()),
            Self::Lost(error) => write!(f, "{error}"),
        }
    }
}
