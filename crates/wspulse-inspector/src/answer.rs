//! Responses.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use wspulse::http::Response;

/// The page loads and connects to nothing but where it came from, and is in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    // Who it was is gone from the browser with the page.
    (CACHE_CONTROL, "no-store"),
];

pub(crate) fn asset(content_type: &'static str, body: &'static str) -> Response {
    with(content_type, Response::new(Full::from(body)))
}

pub(crate) fn json<T: Serialize>(body: &T) -> Response {
    match serde_json::to_string(body) {
        Ok(json) => with("application/json", Response::new(Full::from(json))),
        Err(error) => {
            tracing::error!("wspulse-inspector: an answer is no JSON: {error}");
            line(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        }
    }
}

/// One line of text.
pub(crate) fn line(status: StatusCode, text: &str) -> Response {
    let mut response =
        with("text/plain; charset=utf-8", Response::new(Full::from(format!("{text}\n"))));
    *response.status_mut() = status;
    response
}

fn with(content_type: &'static str, response: Response) -> Response {
    let mut response = guarded(response);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// With the headers that all have.
pub(crate) fn guarded(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
