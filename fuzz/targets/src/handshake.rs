//! The head of a request through the opening handshake.

use std::cell::OnceCell;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Uri, Version, request};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tungstenite::handshake::derive_accept_key;
use wspulse::{Admission, Compression, ConnectRequest, Server, origin};

use crate::reference_offers::agreed;

/// Reads the bytes loosely as a request's head and asks a server for a handshake. It must accept
/// what RFC 6455 §4.2.1 wants and nothing else, tell what is wrong with the rest, prove the
/// client's key, and answer what it offers of compression. A head of an odd length is asked of a server
/// that has none.
///
/// # Panics
///
/// If the library has a fault.
pub fn handshake(head: &[u8]) {
    thread_local! {
        static STAGE: OnceCell<(Runtime, [Server; 2])> = const { OnceCell::new() };
    }
    let Some(parts) = request_parts(head) else {
        return;
    };
    STAGE.with(|stage| {
        let (runtime, servers) = stage.get_or_init(set_up);
        let compresses = head.len().is_multiple_of(2);
        runtime.block_on(shake(&servers[usize::from(compresses)], compresses, parts));
    });
}

/// Of the servers the second compresses.
fn set_up() -> (Runtime, [Server; 2]) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let builder = || {
        Server::builder_sync(|request| Ok(admission(&request))).check_origin(origin::same_origin())
    };
    let builders = [builder(), builder().compression(Compression::shared())];
    let servers = builders.map(|builder| builder.build().expect("valid options"));
    (runtime.expect("a runtime"), servers)
}

fn admission(request: &ConnectRequest) -> Admission {
    let text = |name| request.query(name).or_else(|| request.header(name).map(Into::into));
    Admission::room(text("room").unwrap_or_default()).id(text("id").unwrap_or_default())
}

async fn shake(server: &Server, compresses: bool, parts: request::Parts) {
    let answer = if compresses { offered(&parts.headers) } else { Ok(None) };
    let expected = match (verdict(&parts), &answer) {
        (101, Err(())) => 400,
        (status, Ok(_) | Err(())) => status,
    };
    let key = parts.headers.get(SEC_WEBSOCKET_KEY).cloned();
    let has_origin = parts.headers.contains_key(ORIGIN);
    let handshake = match server.handshake(parts) {
        Ok(handshake) => handshake,
        Err(refused) => {
            let status = refused.status().as_u16();
            assert!(status == expected || (status == 403 && expected == 101 && has_origin));
            return;
        }
    };
    assert_eq!(expected, 101);
    let accepted = handshake.connect().await.expect("everybody is admitted");
    assert_eq!(accepted.response().status(), 101);
    let proof = accepted.response().headers().get(SEC_WEBSOCKET_ACCEPT);
    let key = key.expect("a key that was accepted");
    assert_eq!(proof.expect("a proof").as_bytes(), derive_accept_key(key.as_bytes()).as_bytes());
    let answered = accepted.response().headers().get(SEC_WEBSOCKET_EXTENSIONS);
    let answered = answered.map(|answered| answered.to_str().expect("ASCII").to_owned());
    assert_eq!(Ok(answered), answer);

    assert_eq!(server.connection_count(), 1, "registered before the response is written");
    drop(accepted);
    all_are_gone(server).await;
}

/// Waits until every connection has found out that it gets no stream.
pub(crate) async fn all_are_gone(server: &Server) {
    for _ in 0..TURNS_MAX {
        if server.connection_count() == 0 {
            return;
        }
        yield_now().await;
    }
    panic!("a connection without a stream stays");
}

/// More than a connection needs for that.
const TURNS_MAX: usize = 100;

/// Lines of a method, a target and a version, then of headers; what is no header is left out.
fn request_parts(head: &[u8]) -> Option<request::Parts> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut first = lines.next()?.split(|byte| *byte == b' ');
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(first.next()?).ok()?;
    parts.uri = Uri::try_from(first.next()?).ok()?;
    parts.version = version(first.next()?)?;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            parts.headers.append(name, value);
        }
    }
    Some(parts)
}

fn version(text: &[u8]) -> Option<Version> {
    match text {
        b"HTTP/0.9" => Some(Version::HTTP_09),
        b"HTTP/1.0" => Some(Version::HTTP_10),
        b"HTTP/1.1" => Some(Version::HTTP_11),
        b"HTTP/2.0" => Some(Version::HTTP_2),
        b"HTTP/3.0" => Some(Version::HTTP_3),
        _ => None,
    }
}

// ---- the reference ----

/// The server's default. That of bytes is more than inputs have.
const HEADERS_MAX: usize = 100;

/// The status that the request should get, its origin left aside.
fn verdict(parts: &request::Parts) -> u16 {
    let headers = &parts.headers;
    if headers.len() > HEADERS_MAX {
        return 431;
    }
    if parts.method.as_str() == "CONNECT" && parts.version == Version::HTTP_2 {
        // These bytes name no `:protocol`.
        return 400;
    }
    let offers_upgrade = !matches!(parts.version, Version::HTTP_09 | Version::HTTP_10)
        && lists(headers, &UPGRADE, b"websocket")
        && lists(headers, &CONNECTION, b"upgrade");
    let is_get = parts.method.as_str() == "GET";
    if !is_get || !offers_upgrade {
        return match parts.version {
            Version::HTTP_3 => 505,
            // It must be CONNECT there.
            Version::HTTP_2 => 405,
            _ if is_get => 426,
            _ => 405,
        };
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let is_zero = |length: &HeaderValue| length.as_bytes().iter().all(|byte| *byte == b'0');
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || lengths.any(|length| length.is_empty() || !is_zero(length));
    let all = |name| headers.get_all(name).iter().collect::<Vec<&HeaderValue>>();
    match (&all(HOST)[..], &all(SEC_WEBSOCKET_VERSION)[..], &all(SEC_WEBSOCKET_KEY)[..]) {
        ([host], [version], [key])
            if !has_body
                && is_host(host.as_bytes())
                && version.as_bytes() == b"13"
                && is_16_bytes_in_base64(key.as_bytes()) =>
        {
            101
        }
        _ => 400,
    }
}

/// What is to be answered to the offers, if anything; an error if they are no list.
fn offered(headers: &HeaderMap) -> Result<Option<String>, ()> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    let values: Result<Vec<_>, _> = values.map(HeaderValue::to_str).collect();
    agreed(&values.map_err(|_| ())?)
}

/// Whether a host, which the `http` crate parses, stands alone or before a colon and a port.
fn is_host(value: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(value) else {
        return false;
    };
    let text = authority.as_str();
    let port = text.strip_prefix(authority.host()).and_then(|rest| match rest.strip_prefix(':') {
        Some(port) => Some(port),
        None => rest.is_empty().then_some(""),
    });
    let is_number = |port: &str| {
        port.is_empty()
            || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    !authority.host().is_empty() && !text.contains('@') && port.is_some_and(is_number)
}

/// Whether one of a list's values is this one. A header that is not ASCII counts for nothing.
fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &[u8]) -> bool {
    let is_ascii = |value: &&HeaderValue| value.as_bytes().is_ascii();
    let mut lists = headers.get_all(name).iter().filter(is_ascii);
    lists.any(|list| {
        let mut values = list.as_bytes().split(|byte| *byte == b',');
        values.any(|value| value.trim_ascii().eq_ignore_ascii_case(wanted))
    })
}

/// 22 characters of six bits each are 16 bytes and four bits, whatever those are.
fn is_16_bytes_in_base64(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key[..22].iter().all(digit) && key.ends_with(b"==")
}
