//! The answer to a client that is not let in.

use std::borrow::Cow;
use std::error::Error;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::QueryError;

/// A refused client: what it is told.
///
/// Every error converts into one, by `?` as well, as do strings and `anyhow`'s errors. A
/// [`QueryError`] is answered 400, also as the [source](Error::source) of an error of yours, whose own
/// text the client is not told; any other error is no answer to the client: that is told 500
/// `internal error`, and the error's text goes to the log, at ERROR. Another status for such errors
/// is [`ServerBuilder::reject_errors_with`](crate::ServerBuilder::reject_errors_with); for one of
/// them, `map_err`.
///
/// ```
/// use wspulse::Rejection;
/// use wspulse::http::header::{HeaderValue, WWW_AUTHENTICATE};
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

    /// Answers this status with this body, as one line of plain text; with a `Content-Type` of
    /// [yours](Self::header), with the body as it is.
    ///
    /// The status's type is that of the crate `http`, which is also `axum::http`; it is here as
    /// [`wspulse::http::StatusCode`](crate::http::StatusCode).
    ///
    /// ```
    /// use wspulse::Rejection;
    /// use wspulse::http::StatusCode;
    /// use wspulse::http::header::{CONTENT_TYPE, HeaderValue};
    ///
    /// let full = Rejection::with_status(StatusCode::CONFLICT, "the game has begun");
    /// // A body of another kind:
    /// let full = Rejection::with_status(StatusCode::CONFLICT, r#"{"error":"begun"}"#)
    ///     .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    /// ```
    ///
    /// A status below 300 is no refusal: 101 would let the client believe that it was let in. It is
    /// answered 500 instead, and the log says so.
    pub fn with_status(status: StatusCode, body: impl Into<Cow<'static, str>>) -> Self {
        if status.is_informational() || status.is_success() {
            return Self::internal(format!("a rejection must not have the status {status}").into());
        }
        Self::new(status, body.into())
    }

    fn internal(cause: Box<dyn Error + Send + Sync>) -> Self {
        let internal = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error".into());
        Self { cause: Some(cause), ..internal }
    }

    const fn new(status: StatusCode, body: Cow<'static, str>) -> Self {
        Self { status, body, headers: None, cause: None }
    }

    /// Adds a header to the answer, such as `WWW-Authenticate` or `Retry-After`. A name may be
    /// given several times. `Content-Type` and `X-Content-Type-Options` take the place of those
    /// that each refusal has.
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
    /// decided upon stays, and what is the client's fault.
    pub(crate) fn or_for_errors(mut self, status: Option<StatusCode>) -> Self {
        if let (Some(status), Some(_)) = (status, &self.cause)
            && self.status == StatusCode::INTERNAL_SERVER_ERROR
        {
            self.status = status;
            let reason = status.canonical_reason().unwrap_or("refused");
            self.body = reason.to_ascii_lowercase().into();
        }
        self
    }
}

/// The first error of a chain that is a [`QueryError`].
fn query_error_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a QueryError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Rejection {
    fn from(error: E) -> Self {
        let error = error.into();
        // The client's own fault, which it may be told; what the application says around it, it
        // may not.
        match query_error_in(&*error).map(ToString::to_string) {
            Some(fault) => {
                let rejection = Self::new(StatusCode::BAD_REQUEST, fault.into());
                Self { cause: Some(error), ..rejection }
            }
            None => Self::internal(error),
        }
    }
}
