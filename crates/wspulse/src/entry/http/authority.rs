//! What a request or an origin names: a host with or without a port.

use std::net::Ipv6Addr;

use http::uri::Authority;

/// A host and its port, if it names one.
#[derive(Clone, Copy)]
pub(crate) struct HostAndPort<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> HostAndPort<'a> {
    /// `None` if there is more, such as user information, or if one of the two is none. `Authority`
    /// itself lets any text in brackets be a host, and any after a colon a port.
    pub(crate) fn of(authority: &'a Authority) -> Option<Self> {
        let text = authority.as_str();
        let host_bytes = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, _) = rest.split_once(']')?;
                // RFC 3986 §3.2.2 leaves room for other addresses, `[v1.fe]`, and has those refused
                // whose version one does not know. There is none yet.
                address.parse::<Ipv6Addr>().ok()?;
                address.len() + "[]".len()
            }
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(host_bytes);
        if host.is_empty() || host.contains('@') {
            return None;
        }
        let port = match port {
            // RFC 3986 §3.2.3: the port's digits may be missing.
            "" | ":" => None,
            port => Some(number(port.strip_prefix(':')?)?),
        };
        Some(Self { host, port })
    }
}

/// A port of digits alone: `parse` takes a sign too.
fn number(port: &str) -> Option<u16> {
    port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))
}
