//! Who may connect, to which room and under which id.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
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

/// A refused client: what it is told.
///
/// Every error converts into one, by `?` as well, and is no answer to the client: that is told 500
/// `internal error`, and the error's text goes to the log, at ERROR. Another status for such errors
/// is [`ServerBuilder::reject_errors_with`](crate::ServerBuilder::reject_errors_with).
///
/// ```
/// use http::header::{HeaderValue, WWW_AUTHENTICATE};
/// use wspulse::Rejection;
///
/// let challenge = HeaderValue::from_static("Bearer");
/// let rejection = Rejection::unauthorized().header(WWW_AUTHENTICATE, challenge);
/// ```
#[derive(Debug)]
pub struct Rejection {
    status: StatusCode,
    body: Cow<'static, str>,
    /// Boxed, since there are none most of the time.
    headers: Option<Box<HeaderMap>>,
    /// What the application did not decide upon.
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
        Self { status, body, headers: None, cause: None }
    }

    /// Adds a header to the answer, such as `WWW-Authenticate` or `Retry-After`. A name may be
    /// given several times.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().append(name, value);
        self
    }

    /// The answer's status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer's body, without the line's end.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The headers that were added.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.headers.as_deref()
    }

    /// The error that led to it.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// Has an error of the application's answered with this status; what the application has
    /// decided upon stays.
    pub(crate) fn or_for_errors(mut self, status: Option<StatusCode>) -> Self {
        if let (Some(status), Some(_)) = (status, &self.cause) {
            self.status = status;
            let reason = status.canonical_reason().unwrap_or("refused");
            self.body = reason.to_ascii_lowercase().into();
        }
        self
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Rejection {
    fn from(error: E) -> Self {
        let internal = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error".into());
        Self { cause: Some(Box::new(error)), ..internal }
    }
}
