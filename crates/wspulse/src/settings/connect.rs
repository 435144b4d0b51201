//! Who may connect, to which room and under which id.

mod data;
mod expiry;
mod rejection;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{Extensions, HeaderMap, Method, Uri, Version, request};
use tokio::time::Instant;
use wspulse_core::protocol::ResumeOffer;

use crate::settings::codecs::CodecId;

pub(crate) use data::Data;
pub use rejection::Rejection;

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

    /// The method of a valid handshake: GET, or CONNECT over HTTP/2.
    pub const fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The version of HTTP that it came by.
    pub const fn version(&self) -> Version {
        self.parts.version
    }

    /// The request target, as the HTTP framework passes it on.
    ///
    /// Under [`serve`](crate::serve()) or hyper that is what the client sent. Under axum's `nest`
    /// it lacks the prefix that was matched; the whole of it is then axum's `OriginalUri`, among
    /// the [`extensions`](Self::extensions). The query is there in either case.
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

    /// The subprotocols that the client offers, in its order of preference.
    ///
    /// Browsers can set no header but this one, so clients commonly offer a token besides the name
    /// of a protocol. Choose the name with [`Admission::protocol`], never the token: the response
    /// would repeat it.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        offered_protocols(&self.parts.headers)
    }

    /// What middleware in front put there.
    pub const fn extensions(&self) -> &Extensions {
        &self.parts.extensions
    }

    /// The first query parameter of this name, percent-decoded; `None` if it is absent or no UTF-8.
    ///
    /// [`try_query`](Self::try_query) tells the two apart.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.try_query(name).ok().flatten()
    }

    /// The first query parameter of this name, percent-decoded; `None` if it is absent.
    ///
    /// ```
    /// # fn admit(request: &wspulse::ConnectRequest) -> Result<(), wspulse::Rejection> {
    /// // Answered 400 if it is no UTF-8.
    /// let room = request.try_query("room")?.unwrap_or("lobby".into());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`QueryError`] if the parameter is no UTF-8. It becomes a [`Rejection`] that answers 400, also
    /// where it is the source of another error.
    pub fn try_query(&self, name: &str) -> Result<Option<Cow<'_, str>>, QueryError> {
        let pairs = self.parts.uri.query().unwrap_or_default().split('&');
        // Decoding changes none that is not encoded, which nearly all are.
        let is_encoded = |text: &str| text.bytes().any(|byte| matches!(byte, b'%' | b'+'));
        for pair in pairs {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !is_encoded(key) {
                if key != name || pair.is_empty() {
                    continue;
                }
                if !is_encoded(value) {
                    return Ok(Some(value.into()));
                }
            }
            let decoded = form_urlencoded::parse(pair.as_bytes()).next();
            if let Some((_, value)) = decoded.filter(|(key, _)| key == name) {
                // What is no UTF-8 was decoded to this; so was what had it from the beginning.
                if value.contains(char::REPLACEMENT_CHARACTER) && !decodes_to_utf8(pair) {
                    return Err(QueryError { name: name.to_owned() });
                }
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The peer's address, if [`ServerBuilder::peer_addr`](crate::ServerBuilder::peer_addr) finds
    /// it in the request or the HTTP server has left it there as a [`PeerAddr`](crate::PeerAddr).
    pub const fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }
}

/// The values of `Sec-WebSocket-Protocol` (RFC 6455 §11.3.4).
fn offered_protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let lists = lists.filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).filter(|protocol| !protocol.is_empty())
}

/// Whether what is percent-encoded is UTF-8.
fn decodes_to_utf8(text: &str) -> bool {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, behind @ ..] = rest {
        let digits = (digit(behind.first()), digit(behind.get(1)));
        let (byte, len) = match (first, digits) {
            (b'%', (Some(high), Some(low))) => (u8::try_from(high << 4 | low).unwrap_or(0), 3),
            (literal, _) => (*literal, 1),
        };
        decoded.push(byte);
        rest = &rest[len..];
    }
    std::str::from_utf8(&decoded).is_ok()
}

/// A query parameter that is no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("query parameter {name:?} is no UTF-8")]
pub struct QueryError {
    name: String,
}

impl QueryError {
    /// The parameter's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a connection gets when it is let in: rooms, and an optional id, user and data.
///
/// A client that is admitted with the id of a suspended connection gets that session with its
/// buffered frames. So give an id only to whom it belongs.
///
/// ```
/// use wspulse::{Admission, ConnectRequest, Rejection};
///
/// struct User {
///     name: String,
/// }
///
/// fn connect(request: &ConnectRequest) -> Result<Admission, Rejection> {
///     // Verify a token here.
///     let name = request.query("user").ok_or_else(Rejection::unauthorized)?.into_owned();
///     let room = request.query("room").unwrap_or("lobby".into());
///     // Callbacks find it: `conn.data::<User>()`.
///     Ok(Admission::room(room).id(name.clone()).data(User { name }))
/// }
/// ```
#[derive(Clone)]
pub struct Admission {
    pub(crate) room: Option<Arc<str>>,
    pub(crate) also_in: Vec<Arc<str>>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) id: Option<Arc<str>>,
    pub(crate) data: Data,
    pub(crate) protocol: Option<Arc<str>>,
    pub(crate) expires_at: Option<Instant>,
}

impl Admission {
    /// Lets the client into a room; the empty name is a room like any other.
    pub fn room(room: impl AsRef<str>) -> Self {
        Self { room: Some(room.as_ref().into()), ..Self::without_room() }
    }

    /// Lets the client in without a home room: [`also_in`](Self::also_in) and
    /// [`Connection::join`](crate::Connection::join) name its rooms, if any.
    pub const fn without_room() -> Self {
        Self {
            room: None,
            also_in: Vec::new(),
            user: None,
            id: None,
            data: Data::NONE,
            protocol: None,
            expires_at: None,
        }
    }

    /// Has the client join more rooms, before it is answered. At most
    /// [`max_rooms_per_connection`](crate::ServerBuilder::max_rooms_per_connection) in all, else the
    /// client is answered 500 and the log says so at ERROR; a room that is named twice counts once. A
    /// session that is resumed keeps the rooms that it has.
    #[must_use]
    pub fn also_in<R: AsRef<str>>(mut self, rooms: impl IntoIterator<Item = R>) -> Self {
        self.also_in.extend(rooms.into_iter().map(|room| Arc::from(room.as_ref())));
        self
    }

    /// Says whose the connection is. A user may have many connections, which
    /// [`Server::user`](crate::Server::user) reaches together.
    ///
    /// An id belongs to one user: a client that comes under the id of another user's connection is
    /// answered 403. So a user `ann:x` with the id `y` never gets the session of the user `ann` with
    /// the id `x:y`.
    #[must_use]
    pub fn user(mut self, user: impl AsRef<str>) -> Self {
        self.user = Some(user.as_ref().into());
        self
    }

    /// Gives the connection an id that is the same at every reconnect of this client, which is
    /// what sessions are resumed by. Without one, or with an empty one, the id is a random UUID.
    #[must_use]
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.id = Some(id.as_ref()).filter(|id| !id.is_empty()).map(Arc::from);
        self
    }

    /// Attaches application data, to be read by
    /// [`Connection::data`](crate::Connection::data). A resumed session keeps its first;
    /// `on_transport_restore` is [given](crate::Restored::data) the new ones.
    #[must_use]
    pub fn data<T: Any + Send + Sync>(mut self, data: T) -> Self {
        self.data = Data::new(data);
        self
    }

    /// Chooses a subprotocol, one of those that the [client offers](ConnectRequest::protocols), for
    /// the `Sec-WebSocket-Protocol` of the 101. Default: none.
    ///
    /// One that the client does not offer, letter by letter, is not sent, for a client must fail
    /// such a connection (RFC 6455 §4.1); the connection comes up without a subprotocol, and the
    /// log has a line at DEBUG. A browser that has offered some goes on without any.
    #[must_use]
    pub fn protocol(mut self, protocol: impl AsRef<str>) -> Self {
        self.protocol = Some(protocol.as_ref().into());
        self
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("room", &self.room)
            .field("also_in", &self.also_in)
            .field("user", &self.user)
            .field("id", &self.id)
            .field("has_data", &self.data.get().is_some())
            .field("protocol", &self.protocol)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// What a client was admitted with, beside its id.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) room: Arc<str>,
    pub(crate) data: Data,
}

/// What a client that speaks `wspulse.1` has said of itself in its handshake.
pub(crate) struct Exchange {
    pub(crate) codec: CodecId,
    /// What it offers to resume, if it has a session.
    pub(crate) resume: Option<ResumeOffer>,
}
