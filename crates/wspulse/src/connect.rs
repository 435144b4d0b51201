//! Who may connect, to which room and under which id.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Extensions, HeaderMap, Method, StatusCode, Uri, request};

/// The request of a client that wants to connect: a valid WebSocket handshake whose origin was
/// accepted.
#[derive(Debug, Clone)]
pub struct ConnectRequest {
    parts: request::Parts,
    peer_addr: Option<SocketAddr>,
}

impl ConnectRequest {
    pub(crate) const fn new(parts: request::Parts, peer_addr: Option<SocketAddr>) -> Self {
        Self { parts, peer_addr }
    }

    pub(crate) const fn set_peer_addr(&mut self, peer_addr: Option<SocketAddr>) {
        self.peer_addr = peer_addr;
    }

    /// The method; GET for every valid handshake.
    pub const fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The request target as the client sent it.
    pub const fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// The request's headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// A header's value; `None` if it is absent or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// What middleware in front put there.
    pub const fn extensions(&self) -> &Extensions {
        &self.parts.extensions
    }

    /// The first query parameter of this name, percent-decoded.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let query = self.parts.uri.query()?;
        form_urlencoded::parse(query.as_bytes())
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The peer's address, if [`ServerBuilder::peer_addr`](crate::ServerBuilder::peer_addr) finds
    /// it in the request or the HTTP server has left it there as a [`PeerAddr`](crate::PeerAddr).
    pub const fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }
}

/// What a connection gets when it is let in: a room, an optional id, optional data.
///
/// Whoever is admitted with the id of a suspended connection inherits that session with its
/// buffered frames, so an id must be handed out only to whom it belongs.
#[derive(Clone)]
pub struct Admission {
    pub(crate) room: Arc<str>,
    pub(crate) id: Option<Arc<str>>,
    pub(crate) data: Option<Arc<dyn Any + Send + Sync>>,
}

impl Admission {
    /// Lets the client into a room; the empty name is a room like any other.
    pub fn room(room: impl Into<Arc<str>>) -> Self {
        Self { room: room.into(), id: None, data: None }
    }

    /// Gives the connection an id that is the same at every reconnect of this client, which is
    /// what sessions are resumed by. Without one, or with an empty one, the id is a random UUID.
    #[must_use]
    pub fn id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = Some(id.into()).filter(|id: &Arc<str>| !id.is_empty());
        self
    }

    /// Attaches application data, to be read by
    /// [`Connection::data`](crate::Connection::data). A resumed session keeps its first.
    #[must_use]
    pub fn data<T: Any + Send + Sync>(mut self, data: T) -> Self {
        self.data = Some(Arc::new(data));
        self
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("room", &self.room)
            .field("id", &self.id)
            .field("has_data", &self.data.is_some())
            .finish()
    }
}

/// A refused client. Every error converts into one that answers 401 `unauthorized`; the error's
/// own text is only logged.
#[derive(Debug)]
pub struct Rejection {
    status: StatusCode,
    body: Cow<'static, str>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Rejection {
    /// Answers 401 `unauthorized`.
    pub const fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Cow::Borrowed("unauthorized"))
    }

    /// Answers this status with this body, as one line of plain text.
    pub fn with_status(status: StatusCode, body: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status, body.into())
    }

    const fn new(status: StatusCode, body: Cow<'static, str>) -> Self {
        Self { status, body, cause: None }
    }

    /// The answer's status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer's body, without the line's end.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The error that led to it.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self { cause: Some(Box::new(error)), ..Self::unauthorized() }
    }
}
