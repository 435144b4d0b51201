//! What a handler returns goes back to whoever asked, as the reply.

use std::fmt;

use bytestring::ByteString;
use serde::Serialize;
use wspulse_core::{Frame, Outgoing};

use super::context::Context;
use super::error::{ExtractError, HandlerError};
use super::extract::Json;
#[cfg(feature = "msgpack")]
use super::extract::MsgPack;
use super::handler::HandlerResult;
use crate::app::connection::Connection;

/// What a handler may return for whoever asked: `()`, [`Json<T>`](Json), `MsgPack<T>` with the
/// feature `msgpack`, or a [`Reply`].
///
/// It goes out as a frame with the request's id and the event `reply`
/// ([`reply_events`](crate::ServerBuilder::reply_events)). A frame without an id is no request: what
/// its handler returns is dropped. `()` sends nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no reply",
    note = "a handler returns `()`, `Json<T>`, `Reply`, or a `Result` of one of them"
)]
pub trait IntoReply: sealed::IntoReply {}

pub(super) mod sealed {
    use super::{Caller, HandlerResult};

    pub trait IntoReply {
        /// Whether it may send anything.
        const ANSWERS: bool;

        fn reply(self, caller: Caller) -> HandlerResult;
    }
}

impl IntoReply for () {}

impl sealed::IntoReply for () {
    const ANSWERS: bool = false;

    fn reply(self, _caller: Caller) -> HandlerResult {
        Ok(())
    }
}

impl<T: Serialize> IntoReply for Json<T> {}

impl<T: Serialize> sealed::IntoReply for Json<T> {
    const ANSWERS: bool = true;

    fn reply(self, caller: Caller) -> HandlerResult {
        caller.answer(Frame::default().json(&self.0)?)
    }
}

#[cfg(feature = "msgpack")]
impl<T: Serialize> IntoReply for MsgPack<T> {}

#[cfg(feature = "msgpack")]
impl<T: Serialize> sealed::IntoReply for MsgPack<T> {
    const ANSWERS: bool = true;

    fn reply(self, caller: Caller) -> HandlerResult {
        caller.answer(Frame::default().msgpack(&self.0)?)
    }
}

/// A reply that is made by hand, or one that comes later.
///
/// ```
/// use wspulse::Frame;
/// use wspulse::router::{Reply, Router};
///
/// let router = Router::builder()
///     .on("echo", |frame: Frame| Reply::new(frame))
///     .build()?;
/// # Ok::<(), wspulse::router::RouterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Option<Outgoing>);

impl Reply {
    /// Replies with this frame's payload. Its id and its event are those of the reply, whatever the
    /// frame has. It may be marked, as [`uncompressed`](Frame::uncompressed) for one.
    pub fn new(payload: impl Into<Outgoing>) -> Self {
        Self(Some(payload.into()))
    }

    /// Replies with nothing but the fact.
    pub fn empty() -> Self {
        Self(Some(Frame::default().into()))
    }

    /// Sends nothing now: the application calls [`Connection::reply`] later, or never.
    pub const fn later() -> Self {
        Self(None)
    }
}

impl IntoReply for Reply {}

impl sealed::IntoReply for Reply {
    const ANSWERS: bool = true;

    fn reply(self, caller: Caller) -> HandlerResult {
        self.0.map_or(Ok(()), |frame| caller.answer(frame))
    }
}

/// An error that a client may hear of: it goes out with the request's id and the event `error`, as
/// `{"code": …, "text": …}`. Any other error stays inside.
///
/// A handler or a middleware returns it; what it is answered to is no failure, and
/// [`on_error`](super::RouterBuilder::on_error) is not called. It is, if the frame has no id.
///
/// ```
/// use wspulse::router::{Json, ReplyError, Router};
///
/// fn halve(Json(number): Json<u32>) -> Result<Json<u32>, ReplyError> {
///     match number % 2 {
///         0 => Ok(Json(number / 2)),
///         _ => Err(ReplyError::new("odd", "the number must be even")),
///     }
/// }
///
/// let router = Router::builder().on("halve", halve).build()?;
/// # Ok::<(), wspulse::router::RouterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyError {
    code: ByteString,
    text: ByteString,
}

impl ReplyError {
    /// The code of a request for whose event there is no handler.
    pub const UNKNOWN_EVENT: &'static str = "unknown_event";
    /// The code of a request whose payload does not fit its event.
    pub const BAD_PAYLOAD: &'static str = "bad_payload";
    /// The code of a request that is no frame.
    pub const UNDECODABLE: &'static str = "undecodable";
    /// The code of a request that failed for a reason which clients are not told.
    pub const INTERNAL: &'static str = "internal";

    /// An error with a code for programs and a text for people.
    pub fn new(code: impl Into<ByteString>, text: impl Into<ByteString>) -> Self {
        Self { code: code.into(), text: text.into() }
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a client may be told of a failure: nothing of its text.
    pub(super) fn of(error: &HandlerError) -> Self {
        let code = match error {
            HandlerError::Extract(ExtractError::Payload(_)) => Self::BAD_PAYLOAD,
            HandlerError::Extract(
                ExtractError::MissingExtension { .. }
                | ExtractError::MissingState { .. }
                | ExtractError::MissingData { .. },
            )
            | HandlerError::Application(_)
            | HandlerError::Panicked(_) => Self::INTERNAL,
        };
        Self::new(code, error.for_client())
    }

    fn to_frame(&self) -> Frame {
        let Self { code, text } = self;
        // Texts can always be written.
        Frame::default().json(&Told { code, text }).unwrap_or_default()
    }
}

/// A [`ReplyError`] on its way.
#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    text: &'a str,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl std::error::Error for ReplyError {}

/// Whoever waits for what a handler returns.
pub struct Caller {
    connection: Connection,
    request: Frame,
}

impl Caller {
    /// `None` for a frame without an id.
    pub(super) fn of(context: &Context) -> Option<Self> {
        let (connection, frame) = (context.connection(), context.frame());
        let asks = !frame.id().is_empty();
        asks.then(|| Self { connection: connection.clone(), request: frame.clone() })
    }

    fn answer(self, payload: impl Into<Outgoing>) -> HandlerResult {
        Ok(self.connection.reply(&self.request, payload)?)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("request", &self.request.id()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Answers a request of the client's: sends `payload`'s payload with the request's id and the
    /// event `reply` ([`reply_events`](crate::ServerBuilder::reply_events)). A frame without an id is
    /// no request: then nothing is sent. Nothing is remembered of requests: a second reply is sent too.
    /// It may be marked, as [`uncompressed`](Frame::uncompressed) for one.
    ///
    /// # Errors
    ///
    /// See [`send`](Self::send).
    pub fn reply(
        &self,
        request: &Frame,
        payload: impl Into<Outgoing>,
    ) -> Result<(), crate::SendError> {
        let event = self.server().options().requests.reply_event.clone();
        self.answer(request, payload.into(), event)
    }

    /// Answers a request of the client's with an error, whose event is `error`.
    ///
    /// # Errors
    ///
    /// See [`send`](Self::send).
    pub fn reply_error(&self, request: &Frame, error: &ReplyError) -> Result<(), crate::SendError> {
        let event = self.server().options().requests.error_event.clone();
        self.answer(request, error.to_frame().into(), event)
    }

    fn answer(
        &self,
        request: &Frame,
        mut payload: Outgoing,
        event: ByteString,
    ) -> Result<(), crate::SendError> {
        if request.id().is_empty() {
            return Ok(());
        }
        payload.frame = payload.frame.with_id(request.id()).with_event(event);
        self.send(payload)
    }
}
