//! The answers to requests that do not become connections.

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

pub(crate) fn server_closed() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "server closed")
}

impl From<Refused> for Response {
    fn from(refused: Refused) -> Self {
        let (status, line) = match refused {
            Refused::ServerClosed => return server_closed(),
            Refused::TooManyConnections => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many connections")
            }
            Refused::TooManyFromAddress => {
                (StatusCode::TOO_MANY_REQUESTS, "too many connections from this address")
            }
            Refused::TooManyOfUser => {
                (StatusCode::TOO_MANY_REQUESTS, "too many connections of this user")
            }
            Refused::UnknownAddress => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the client's address is unknown")
            }
            Refused::TooManyEnding => (StatusCode::SERVICE_UNAVAILABLE, "too many are ending"),
            Refused::TooManyRooms => (StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
            Refused::OtherUser => (StatusCode::FORBIDDEN, "the session is another user's"),
            Refused::OtherRoom => (StatusCode::CONFLICT, "the session is in another room"),
        };
        // At DEBUG, lest a flood of clients becomes a flood of lines; `upgrade_refused` counts.
        tracing::debug!(status = status.as_u16(), "client refused: {line}");
        let mut response = refusal(status, line);
        if refused == Refused::TooManyEnding {
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
