//! Ready-made checks for [`ServerBuilder::check_origin`](crate::ServerBuilder::check_origin).
//!
//! Browsers let any web page open a WebSocket to any server and send the visitor's cookies along;
//! the `Origin` header tells which page it was (RFC 6455 §10.2). Clients that are no browsers send
//! none, or whatever they like.

use std::collections::HashSet;

use http::Uri;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

use crate::entry::http::authority::HostAndPort;
use crate::settings::connect::ConnectRequest;

/// Accepts pages of the very host and port that the request goes to, and requests without an
/// `Origin`, which come from no page.
///
/// Hosts are compared without regard to case, ports as given, with the scheme's default where one
/// is missing; whatever is no host with or without a port matches nothing. The scheme itself is not
/// compared: behind a proxy that ends TLS the server does not know it.
pub fn same_origin() -> impl Fn(&ConnectRequest) -> bool + Send + Sync + 'static {
    |request| {
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return true;
        };
        if origins.next().is_some() {
            return false;
        }
        let Some(origin) = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok())
        else {
            return false;
        };
        let (Some(scheme), Some(origin)) = (origin.scheme_str(), origin.authority()) else {
            return false;
        };
        let default_port = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return false,
        };
        let Some(target) = requested_host(request) else {
            return false;
        };
        let (Some(origin), Some(target)) = (HostAndPort::of(origin), HostAndPort::of(&target))
        else {
            return false;
        };
        origin.host.eq_ignore_ascii_case(target.host)
            && origin.port.unwrap_or(default_port) == target.port.unwrap_or(default_port)
    }
}

/// The host and port that a request goes to: those of its target where it names them, whatever
/// `Host` says (RFC 9112 §3.2.2).
fn requested_host(request: &ConnectRequest) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    Authority::try_from(host.as_bytes()).ok()
}

/// Accepts exactly these origins, such as `https://example.org`, as browsers write them: scheme and
/// host in lower case, no default port, no path. Requests without an `Origin` are refused.
pub fn allow_list<I>(origins: I) -> impl Fn(&ConnectRequest) -> bool + Send + Sync + 'static
where
    I: IntoIterator,
    I::Item: Into<String>,
{
    let allowed: HashSet<String> = origins.into_iter().map(Into::into).collect();
    move |request| {
        let mut origins = request.headers().get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => origin.to_str().is_ok_and(|origin| allowed.contains(origin)),
            (Some(_), Some(_)) | (None, _) => false,
        }
    }
}
