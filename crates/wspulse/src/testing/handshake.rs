//! A client's side of the opening handshake.

use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{Request, StatusCode, request};

use crate::entry::http::Response;

/// The key of RFC 6455 §1.3; servers only hash it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The server's answer to a client that it does not want.
#[derive(Debug, thiserror::Error)]
#[error("refused with status {}", .0.status())]
pub struct Refused(pub Response);

impl Refused {
    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The answer's body as text, with its line's end.
    pub fn body(&self) -> String {
        let body = self.0.body().clone().into_inner().unwrap_or_default();
        String::from_utf8_lossy(&body).into_owned()
    }
}

/// The head of a valid handshake, to be changed at will.
///
/// # Panics
///
/// If `target` is no request target.
pub fn request_parts(target: &str) -> request::Parts {
    let request = Request::builder()
        .uri(target)
        .header(HOST, "localhost")
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, KEY)
        .body(())
        .expect("the target is valid");
    request.into_parts().0
}

/// The head of a valid handshake as HTTP/1.1 writes it, with its empty line. It has the headers of
/// [`request_parts`].
pub fn request_head(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}
