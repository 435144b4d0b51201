//! The opening handshake: over HTTP/1.1 (RFC 6455 §4.2), and what is answered in either version.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Uri, Version, request};
use http_body_util::Full;
use sha1::{Digest, Sha1};

use super::authority::HostAndPort;
#[cfg(feature = "http2")]
use super::extended_connect;
use super::response::{Response, bad_handshake, refusal};
use crate::settings::compression::{Agreed, Compressing, MalformedOffers};
use crate::settings::options::admission::AdmissionOptions;

/// What the accept key is made with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Reads keys whose last character has bits set beyond the 16th byte, as that of the RFC's own
/// example does (§4.1).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

pub(super) const NO_BODY: &str = "Bad Request: a handshake has no body";
pub(super) const ONE_HOST: &str = "Bad Request: Host must be a host with or without a port, once";

/// What HTTP/1.1 writes around a request line (RFC 9112 §3) and a header field (§5).
const REQUEST_LINE_EXTRA_BYTES: usize = "  HTTP/1.1\r\n\r\n".len();
const HEADER_EXTRA_BYTES: usize = ": \r\n".len();

/// Makes one field of all that have cookies. Over HTTP/2 a client may send each cookie in a field of its own
/// (RFC 9113 §8.2.3), and whoever asks for the field would see the first alone.
pub(super) fn join_cookies(parts: &mut request::Parts) {
    if parts.version != Version::HTTP_2 {
        return;
    }
    let fields = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let fields: Vec<_> = fields.collect();
    if fields.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&fields.join(&b"; "[..]))
    {
        parts.headers.insert(COOKIE, joined);
    }
}

/// Whether a head is within its bounds, at a cost that grows with the number of its fields.
///
/// # Errors
///
/// The response that tells which limit it is over.
pub(super) fn check_head_size(
    parts: &request::Parts,
    limits: &AdmissionOptions,
) -> Result<(), Response> {
    let request_line_bytes =
        parts.method.as_str().len() + target_bytes(&parts.uri) + REQUEST_LINE_EXTRA_BYTES;
    let headers = parts.headers.iter();
    let header_bytes: usize =
        headers.map(|(name, value)| name.as_str().len() + value.len() + HEADER_EXTRA_BYTES).sum();
    if parts.headers.len() > limits.request_headers_max
        || request_line_bytes + header_bytes > limits.request_header_bytes_max
    {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(refusal(status, "Request Header Fields Too Large"));
    }
    Ok(())
}

/// How long a target is, also in absolute form.
fn target_bytes(target: &Uri) -> usize {
    let scheme = target.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = target.authority().map_or(0, |authority| authority.as_str().len());
    let path = target.path_and_query().map_or(0, |path| path.as_str().len());
    scheme + authority + path
}

/// How a client asks for its WebSocket, with what the answer needs of that.
pub(super) enum Opening {
    /// By an upgrade of its HTTP/1.1 connection.
    Upgrade { accept_key: HeaderValue },
    /// By a stream of its HTTP/2 connection.
    #[cfg(feature = "http2")]
    ExtendedConnect,
}

impl Opening {
    /// That of a valid handshake.
    ///
    /// # Errors
    ///
    /// The response that tells what is wrong with the request.
    pub(super) fn of(parts: &request::Parts) -> Result<Self, Response> {
        #[cfg(feature = "http2")]
        if extended_connect::is_meant(parts) {
            return extended_connect::check(parts).map(|()| Self::ExtendedConnect);
        }
        accept_key(parts).map(|accept_key| Self::Upgrade { accept_key })
    }

    /// The response that opens the connection: an extension and a subprotocol if they were chosen.
    pub(super) fn response(
        self,
        protocol: Option<HeaderValue>,
        extension: Option<HeaderValue>,
    ) -> Response {
        let mut response = Response::new(Full::<Bytes>::default());
        match self {
            Self::Upgrade { accept_key } => {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                let headers = response.headers_mut();
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept_key);
            }
            // 200, and none of HTTP/1.1's fields (RFC 8441 §5).
            #[cfg(feature = "http2")]
            Self::ExtendedConnect => {}
        }
        let headers = response.headers_mut();
        if let Some(protocol) = protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        if let Some(extension) = extension {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, extension);
        }
        response
    }
}

/// The value of `Sec-WebSocket-Accept` for a valid handshake.
///
/// # Errors
///
/// The response that tells what is wrong with the request.
fn accept_key(parts: &request::Parts) -> Result<HeaderValue, Response> {
    if parts.method != Method::GET {
        if parts.version > Version::HTTP_11 {
            return Err(no_upgrade(parts.version));
        }
        let allow = [(ALLOW, "GET")];
        return Err(bad_handshake(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", &allow));
    }
    let headers = &parts.headers;
    // Before HTTP/1.1 there is no Upgrade, and RFC 6455 §4.1 demands it.
    let offers_upgrade = parts.version >= Version::HTTP_11
        && has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &CONNECTION, "upgrade");
    if !offers_upgrade && parts.version > Version::HTTP_11 {
        return Err(no_upgrade(parts.version));
    }
    if !offers_upgrade {
        // Whoever sends Upgrade names it in Connection (RFC 9110 §7.8).
        let upgrade = [(UPGRADE, "websocket"), (CONNECTION, "Upgrade")];
        return Err(bad_handshake(StatusCode::UPGRADE_REQUIRED, "Upgrade Required", &upgrade));
    }
    // The frames of the new protocol begin behind the body (RFC 9110 §7.8), which nobody reads: its
    // bytes would be taken for frames.
    if has_body(headers) {
        return Err(bad_request(NO_BODY));
    }
    // RFC 9112 §3.2.
    if !sole(headers, &HOST).is_some_and(is_host) {
        return Err(bad_request(ONE_HOST));
    }
    check_version(headers)?;
    // RFC 6455 §11.3.1: it must not come twice.
    let Some(key) = sole(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_nonce(key)) else {
        return Err(bad_request("Bad Request: Sec-WebSocket-Key must be 16 bytes in base64, once"));
    };
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Ok(HeaderValue::try_from(BASE64.encode(digest)).expect("base64 is visible ASCII"))
}

/// What is answered where nothing can be upgraded (RFC 9113 §8.6), and so nobody told to: the method is
/// another one there, or no WebSocket is spoken over this version at all.
fn no_upgrade(version: Version) -> Response {
    if cfg!(feature = "http2") && version == Version::HTTP_2 {
        let allow = [(ALLOW, "CONNECT")];
        return bad_handshake(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", &allow);
    }
    let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
    bad_handshake(status, "HTTP Version Not Supported", &[])
}

/// What is agreed on with the client beside the protocol itself.
///
/// # Errors
///
/// The response that tells that its offers cannot be read.
pub(super) fn agreed(parts: &request::Parts, compressing: Compressing) -> Result<Agreed, Response> {
    Agreed::of(compressing, &parts.headers).map_err(|MalformedOffers| {
        bad_request("Bad Request: Sec-WebSocket-Extensions must be a list of extensions")
    })
}

/// Whether a header's comma-separated values contain a token, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    // As nearly all clients send it.
    let first = headers.get(name).map(HeaderValue::as_bytes);
    if first.is_some_and(|value| value.eq_ignore_ascii_case(token.as_bytes())) {
        return true;
    }
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

pub(super) fn bad_request(line: &str) -> Response {
    bad_handshake(StatusCode::BAD_REQUEST, line, &[])
}

/// RFC 6455 §4.2.1 and §11.3.5: one number, once.
///
/// # Errors
///
/// The response that tells so.
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), Response> {
    match sole(headers, &SEC_WEBSOCKET_VERSION) {
        Some(version) if version == "13" => Ok(()),
        _ => Err(bad_request("Bad Request: Sec-WebSocket-Version must be 13, once")),
    }
}

fn is_nonce(key: &HeaderValue) -> bool {
    BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

/// A header's value, if it has come exactly once.
pub(super) fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a body follows the head (RFC 9112 §6.3).
pub(super) fn has_body(headers: &HeaderMap) -> bool {
    let is_zero = |length: &HeaderValue| {
        !length.is_empty() && length.as_bytes().iter().all(|digit| *digit == b'0')
    };
    headers.contains_key(TRANSFER_ENCODING) || !headers.get_all(CONTENT_LENGTH).iter().all(is_zero)
}

/// Whether a value is a host with an optional port, and no user information (RFC 9110 §7.2).
pub(super) fn is_host(value: &HeaderValue) -> bool {
    Authority::try_from(value.as_bytes())
        .is_ok_and(|authority| HostAndPort::of(&authority).is_some())
}
