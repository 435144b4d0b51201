//! Where a client connects to, and what its handshake says.

use std::fmt;

use http::uri::{Authority, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A server's URL with the headers and subprotocols of the handshake.
///
/// ```
/// use wspulse_client::Target;
///
/// let target = Target::new("wss://chat.example/ws?room=lobby")
///     .header("authorization", "Bearer c2VjcmV0")
///     .protocol("chat.v2");
/// # drop(target);
/// ```
#[derive(Clone)]
pub struct Target {
    url: String,
    headers: Vec<(String, String)>,
    protocols: Vec<String>,
}

impl Target {
    /// A server by its URL: `ws://`, or `wss://` with the feature `rustls`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new(), protocols: Vec::new() }
    }

    /// Adds a header, such as `authorization`, `cookie` or `origin`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers a subprotocol beside those of `wspulse.1`. If the server chooses it, the connection
    /// is a plain one.
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    pub(crate) fn check(&self) -> Result<Destination, TargetError> {
        // The fragment is the application's own matter, and never sent (RFC 6455 §3).
        let url = self.url.split('#').next().unwrap_or_default();
        let uri: Uri = url.parse().map_err(TargetError::Url)?;
        let is_tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") if cfg!(feature = "rustls") => true,
            Some("wss") => return Err(TargetError::NoTls),
            Some(_) | None => return Err(TargetError::Scheme),
        };
        let authority = uri.authority().ok_or(TargetError::Scheme)?.clone();
        if authority.as_str().contains('@') {
            return Err(TargetError::Credentials);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Destination {
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority,
            is_tls,
            path,
            headers: self.checked_headers()?,
            protocols: self.checked_protocols()?,
        })
    }

    fn checked_headers(&self) -> Result<HeaderMap, TargetError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || TargetError::Header { name: name.clone() };
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let is_ours = [header::CONNECTION, header::UPGRADE, header::HOST].contains(&parsed)
                || parsed.as_str().starts_with("sec-websocket-");
            if is_ours {
                return Err(wrong());
            }
            headers.append(parsed, HeaderValue::from_str(value).map_err(|_| wrong())?);
        }
        Ok(headers)
    }

    fn checked_protocols(&self) -> Result<Vec<String>, TargetError> {
        for protocol in &self.protocols {
            // A token of HTTP (RFC 9110 §5.6.2), which is what a method is as well.
            let is_token = http::Method::from_bytes(protocol.as_bytes()).is_ok();
            if !is_token || protocol.starts_with("wspulse.") {
                return Err(TargetError::Protocol { protocol: protocol.clone() });
            }
        }
        Ok(self.protocols.clone())
    }
}

impl From<&str> for Target {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for Target {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for Target {
    /// Queries, headers and subprotocols hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("Target").field("url", &url).finish_non_exhaustive()
    }
}

/// A target that no handshake can be made for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is no URL.
    #[error("not a URL: {_0}")]
    Url(#[source] http::uri::InvalidUri),
    /// It is a URL of something else.
    #[error("not a URL of a WebSocket: it must begin with ws:// or wss://")]
    Scheme,
    /// The client was built without TLS.
    #[error("wss:// takes the feature `rustls`")]
    NoTls,
    /// A user and a password in front of the host.
    #[error("a URL of a WebSocket has no user in it: use the header `authorization`")]
    Credentials,
    /// A name or value that is none, or a header that the handshake sets itself.
    #[error("header {name:?} cannot be set")]
    #[non_exhaustive]
    Header {
        /// Its name.
        name: String,
    },
    /// No token of HTTP, or one of `wspulse.1`'s own.
    #[error("subprotocol {protocol:?} cannot be offered")]
    #[non_exhaustive]
    Protocol {
        /// The subprotocol.
        protocol: String,
    },
}

/// A target whose parts are known to be right.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) authority: Authority,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) protocols: Vec<String>,
}

impl Destination {
    /// The host without the brackets of an IPv6 address.
    pub(crate) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_hosts_ports_and_paths() {
        for (url, host, port, path) in [
            ("ws://a", "a", 80, "/"),
            ("ws://a:81/b?c=d#e", "a", 81, "/b?c=d"),
            ("ws://[::1]:82/", "::1", 82, "/"),
            ("ws://a?x=1", "a", 80, "/?x=1"),
        ] {
            let destination = Target::new(url).check().unwrap();
            assert_eq!((destination.host(), destination.port), (host, port), "{url}");
            assert_eq!(destination.path, path, "{url}");
        }
    }

    #[test]
    fn what_no_handshake_can_be_made_for_is_told() {
        for url in ["", "a", "/ws", "http://a/", "ws:///b", "ws://u:p@a/", "ws://a b/"] {
            assert!(Target::new(url).check().is_err(), "{url}");
        }
        for (name, value) in
            [("host", "b"), ("sec-websocket-key", "x"), ("a b", "c"), ("a", "b\r\nc: d")]
        {
            assert!(Target::new("ws://a").header(name, value).check().is_err(), "{name}");
        }
        for protocol in ["", "a b", "a,b", "wspulse.1+json"] {
            assert!(Target::new("ws://a").protocol(protocol).check().is_err(), "{protocol}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let target = Target::new("ws://a/b?token=secret").header("authorization", "secret");
        assert!(!format!("{target:?}").contains("secret"));
    }
}
