//! The opening handshake (RFC 6455 §4.1).
//!
//! By hand, because a server that chooses no subprotocol is a plain one here and no error.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stream::BoxedStream;
use super::{SocketOptions, Transport};
use crate::compression::{Agreed, AnswerError, offer};
use crate::event::{Cause, LEAST_DELAY_MAX};
use crate::target::Destination;

/// The longest head of an answer; as much as HTTP servers take of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// More headers than any server sends.
const HEADERS_MAX: usize = 64;

/// A WebSocket, and the subprotocol that the server has chosen.
pub(crate) struct Opened {
    pub(crate) transport: Box<Transport>,
    pub(crate) protocol: Option<String>,
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("the server hung up before it had answered")]
    Eof,
    #[error("the server's answer is not HTTP/1.1: {0}")]
    NotHttp(#[from] httparse::Error),
    #[error("the head of the server's answer is longer than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    #[error("the server's header {0:?} is missing or wrong")]
    Header(HeaderName),
    #[error("the server has chosen the subprotocol {0:?}, which was not offered")]
    Protocol(String),
    #[error(transparent)]
    Extension(#[from] AnswerError),
    #[error("no answer could be read: {0}")]
    Io(#[from] std::io::Error),
}

/// Makes a WebSocket of a stream.
pub(super) async fn shake_hands(
    mut stream: BoxedStream,
    destination: &Destination,
    offers: &[String],
    options: &SocketOptions,
) -> Result<Opened, Cause> {
    let key = BASE64.encode(rand::random::<[u8; 16]>());
    let request = request_head(destination, offers, offer(options.compressing), &key);
    let answer = ask(&mut stream, &request).await;
    let (head, unread) = answer.map_err(Cause::unreachable)?;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        let retry_after = retry_after(&head);
        return Err(Cause::Refused { status: head.status.as_u16(), retry_after });
    }
    let protocol = check(&head.headers, &key, offers).map_err(Cause::unreachable)?;
    let agreed = Agreed::of(options.compressing, &head.headers)
        .map_err(|error| Cause::unreachable(HandshakeError::from(error)))?;
    let transport = Transport::new(stream, &unread, options, agreed);
    Ok(Opened { transport: Box::new(transport), protocol })
}

fn request_head(
    destination: &Destination,
    offers: &[String],
    extensions: Option<&str>,
    key: &str,
) -> Vec<u8> {
    let mut head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
        destination.path, destination.authority
    );
    if !offers.is_empty() {
        // Writing to a string does not fail.
        let _ = write!(head, "Sec-WebSocket-Protocol: {}\r\n", offers.join(", "));
    }
    if let Some(extensions) = extensions {
        let _ = write!(head, "Sec-WebSocket-Extensions: {extensions}\r\n");
    }
    let mut head = head.into_bytes();
    for (name, value) in &destination.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

/// Sends the request and reads the head of the answer, and what has come behind it.
async fn ask(stream: &mut BoxedStream, request: &[u8]) -> Result<(Head, Vec<u8>), HandshakeError> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut read = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(HandshakeError::Eof);
        }
        if let Some((head, head_bytes)) = parse(&read)? {
            return Ok((head, read.split_off(head_bytes)));
        }
        if read.len() > HEAD_BYTES_MAX {
            return Err(HandshakeError::TooLong);
        }
    }
}

fn parse(read: &[u8]) -> Result<Option<(Head, usize)>, HandshakeError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = response.parse(read)? else {
        return Ok(None);
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(httparse::Error::Status)?;
    let mut headers = HeaderMap::new();
    for header in response.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(httparse::Error::HeaderValue.into());
        };
        headers.append(name, value);
    }
    Ok(Some((Head { status, headers }, head_bytes)))
}

/// The chosen subprotocol, if all is as it must be.
fn check(
    headers: &HeaderMap,
    key: &str,
    offers: &[String],
) -> Result<Option<String>, HandshakeError> {
    let has_word = |name: &HeaderName, wanted: &str| {
        let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    for (name, wanted) in [(header::UPGRADE, "websocket"), (header::CONNECTION, "upgrade")] {
        if !has_word(&name, wanted) {
            return Err(HandshakeError::Header(name));
        }
    }
    let accepted = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| *accepted != accept(key)) {
        return Err(HandshakeError::Header(header::SEC_WEBSOCKET_ACCEPT));
    }
    let Some(chosen) = headers.get(header::SEC_WEBSOCKET_PROTOCOL) else { return Ok(None) };
    let chosen = String::from_utf8_lossy(chosen.as_bytes()).into_owned();
    if offers.contains(&chosen) { Ok(Some(chosen)) } else { Err(HandshakeError::Protocol(chosen)) }
}

/// What a server makes of this key (RFC 6455 §4.2.2).
fn accept(key: &str) -> String {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// How long an overloaded server asks to stay away (RFC 9110 §10.2.3).
fn retry_after(head: &Head) -> Option<Duration> {
    if ![StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&head.status) {
        return None;
    }
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let value = text(header::RETRY_AFTER)?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LEAST_DELAY_MAX));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    // By the server's clock, where it tells the time.
    let date = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let wait = until.duration_since(date.unwrap_or_else(SystemTime::now)).unwrap_or_default();
    Some(wait.min(LEAST_DELAY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        parse(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
        for (headers, seconds) in [
            ("Retry-After: 7", Some(7)),
            ("Retry-After: 99999999999999999999", Some(3600)),
            ("Retry-After: soon", None),
            ("Retry-After: -1", None),
            ("Server: x", None),
            (
                "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT",
                Some(30),
            ),
            ("Retry-After: Sun, 06 Nov 1994 08:50:07 GMT", Some(0)),
        ] {
            let answer = head(&format!("HTTP/1.1 503 Busy\r\n{headers}\r\n\r\n"));
            assert_eq!(retry_after(&answer), seconds.map(Duration::from_secs), "{headers}");
        }
        assert_eq!(retry_after(&head("HTTP/1.1 500 No\r\nRetry-After: 7\r\n\r\n")), None);
    }

    #[test]
    fn an_answer_must_be_the_one_to_this_request() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let good = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let answer = |headers: &str| {
            let head = head(&format!("HTTP/1.1 101 Switching Protocols\r\n{headers}\r\n"));
            check(&head.headers, key, &["a".to_owned()])
        };
        assert_eq!(answer(good).unwrap(), None);
        let chosen = format!("{good}Sec-WebSocket-Protocol: a\r\n");
        assert_eq!(answer(&chosen).unwrap().as_deref(), Some("a"));
        assert!(answer(&format!("{good}Sec-WebSocket-Protocol: b\r\n")).is_err());
        for line in good.lines() {
            assert!(answer(&good.replace(&format!("{line}\r\n"), "")).is_err(), "without {line}");
        }
        assert!(answer(&good.replace("s3p", "S3p")).is_err());
    }
}
