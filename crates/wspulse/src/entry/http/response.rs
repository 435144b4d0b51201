//! The answers to requests that do not become connections.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use http_body_util::Full;

use crate::membership::registry::Refused;
use crate::settings::connect::Rejection;

/// The server's HTTP responses.
pub type Response = http::Response<Full<Bytes>>;

/// A refusal: one line of plain text.
pub(crate) fn refusal(status: StatusCode, line: &str) -> Response {
    let mut response = Response::new(Full::from(format!("{line}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn server_closed() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "server closed")
}

/// The server is drained: whoever comes later, or to another one, is let in.
fn server_draining(retry: Duration) -> Response {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "server draining");
    // As long as those wait at the most that have been here.
    let seconds = (2 * retry).as_millis().div_ceil(1000).to_string();
    let retry_after = HeaderValue::try_from(seconds).expect("digits are visible ASCII");
    response.headers_mut().insert(RETRY_AFTER, retry_after);
    response
}

impl Refused {
    pub(crate) fn response(self, drain_retry: Duration) -> Response {
        let (status, line) = match self {
            Self::ServerClosed => return server_closed(),
            Self::Draining => return server_draining(drain_retry),
            Self::TooManyConnections => (StatusCode::SERVICE_UNAVAILABLE, "too many connections"),
            Self::TooManyFromAddress => {
                (StatusCode::TOO_MANY_REQUESTS, "too many connections from this address")
            }
            Self::TooManyOfUser => {
                (StatusCode::TOO_MANY_REQUESTS, "too many connections of this user")
            }
            Self::UnknownAddress => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the client's address is unknown")
            }
            Self::TooManyComing => (StatusCode::SERVICE_UNAVAILABLE, "too many are coming"),
            Self::TooManyEnding => (StatusCode::SERVICE_UNAVAILABLE, "too many are ending"),
            Self::Expired => (StatusCode::UNAUTHORIZED, "the admission has expired"),
            Self::SessionChanged => {
                (StatusCode::SERVICE_UNAVAILABLE, "the session has just changed")
            }
            Self::IsLeaving | Self::OutOfReach => {
                (StatusCode::SERVICE_UNAVAILABLE, "the session is at another server")
            }
            Self::OtherRoom => (StatusCode::CONFLICT, "the session is in another room"),
            Self::TooManyRooms => (StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
            Self::OtherUser => (StatusCode::FORBIDDEN, "the session is another user's"),
        };
        // At DEBUG, lest a flood of clients becomes a flood of lines; `upgrade_refused` counts.
        tracing::debug!(status = status.as_u16(), "client refused: {line}");
        let mut response = refusal(status, line);
        let comes_again = matches!(
            self,
            Self::TooManyEnding
                | Self::TooManyComing
                | Self::SessionChanged
                | Self::IsLeaving
                | Self::OutOfReach
        );
        if comes_again {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECS));
        }
        response
    }
}

/// When those that are ending may be done: handlers seldom take longer.
const RETRY_AFTER_SECS: &str = "1";

/// A refusal of a bad handshake, which tells the protocol version that is spoken
/// (RFC 6455 §4.2.2).
pub(crate) fn bad_handshake(
    status: StatusCode,
    line: &str,
    extra: &[(HeaderName, &'static str)],
) -> Response {
    let mut response = refusal(status, line);
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    for (name, value) in extra {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl From<Rejection> for Response {
    fn from(rejection: Rejection) -> Self {
        let mut response = refusal(rejection.status(), rejection.body());
        let Some(added) = rejection.headers() else {
            return response;
        };
        if added.contains_key(CONTENT_TYPE) {
            // Whoever says what the body is has written all of it.
            *response.body_mut() = Full::from(rejection.body().to_owned());
        }
        let headers = response.headers_mut();
        for name in added.keys() {
            headers.remove(name);
        }
        for (name, value) in added {
            headers.append(name, value.clone());
        }
        response
    }
}
