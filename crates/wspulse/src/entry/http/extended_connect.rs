//! The opening handshake within an HTTP/2 connection (RFC 8441 §5).

use http::header::HOST;
use http::{Method, StatusCode, Version, request};
use hyper::ext::Protocol;

use super::authority::HostAndPort;
use super::handshake::{NO_BODY, ONE_HOST, bad_request, check_version, has_body, is_host, sole};
use super::response::{Response, bad_handshake};

/// Whether a request asks for a stream of its own, for whatever protocol.
pub(super) fn is_meant(parts: &request::Parts) -> bool {
    parts.method == Method::CONNECT && parts.version == Version::HTTP_2
}

/// # Errors
///
/// The response that tells what is wrong with the request.
pub(super) fn check(parts: &request::Parts) -> Result<(), Response> {
    let Some(protocol) = parts.extensions.get::<Protocol>() else {
        return Err(bad_request("Bad Request: CONNECT must name the :protocol websocket"));
    };
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        // As RFC 9220 §3 has it for HTTP/3.
        let line = "Not Implemented: the :protocol must be websocket";
        return Err(bad_handshake(StatusCode::NOT_IMPLEMENTED, line, &[]));
    }
    if has_body(&parts.headers) {
        return Err(bad_request(NO_BODY));
    }
    if !names_one_host(parts) {
        return Err(bad_request(ONE_HOST));
    }
    check_version(&parts.headers)
}

/// Whether `:authority`, `Host`, or both alike, name a host (RFC 9113 §8.3.1).
fn names_one_host(parts: &request::Parts) -> bool {
    let headers = &parts.headers;
    let Some(authority) = parts.uri.authority() else {
        return sole(headers, &HOST).is_some_and(is_host);
    };
    let says_the_same = !headers.contains_key(HOST)
        || sole(headers, &HOST).is_some_and(|host| {
            host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())
        });
    says_the_same && HostAndPort::of(authority).is_some()
}
