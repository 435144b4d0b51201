//! What the page's buttons do.

use std::time::Duration;

use http::StatusCode;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use wspulse::http::Response;
use wspulse::{Escaped, Server};

use crate::answer;
use crate::query::Query;

/// Pages of other origins cannot send this without asking first (the CORS preflight), and nobody
/// answers that.
const HEADER: &str = "x-wspulse-inspector";

/// Longer than anybody waits for a deploy.
const DRAIN_SECONDS_MAX: usize = 3600;

pub(crate) fn perform(server: &Server, parts: &Parts, may_act: bool) -> Response {
    let is_own = parts.headers.contains_key(HEADER)
        && parts.headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin")
        && is_of_own_origin(parts);
    if !is_own {
        return answer::line(StatusCode::FORBIDDEN, "only the inspector's own page may do this");
    }
    if !may_act {
        return answer::line(StatusCode::FORBIDDEN, "you may only look");
    }
    let query = Query::of(&parts.uri);
    match query.wanted() {
        "kick" => with_connection(&query, "kick", |id| server.kick(id).is_ok()),
        "cut" => with_connection(&query, "cut", |id| {
            server.connection(id).is_some_and(|connection| {
                connection.cut();
                true
            })
        }),
        "drain" => match query.number("seconds").filter(|seconds| *seconds <= DRAIN_SECONDS_MAX) {
            Some(seconds) => drain(server, Duration::from_secs(seconds as u64)),
            None => answer::line(StatusCode::BAD_REQUEST, "seconds must be 0 to 3600"),
        },
        _ => answer::line(StatusCode::NOT_FOUND, "no such action"),
    }
}

/// Whether the page that sends this, if one says that it does, is of the host that it is sent to. To
/// hosts without TLS browsers say no `Sec-Fetch-Site`.
fn is_of_own_origin(parts: &Parts) -> bool {
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
    origins.next().is_none()
        && origin.zip(host).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
}

fn with_connection(query: &Query<'_>, action: &str, act: impl FnOnce(&str) -> bool) -> Response {
    let Some(id) = query.get("id") else {
        return answer::line(StatusCode::BAD_REQUEST, "no id is given");
    };
    if !act(&id) {
        return answer::line(StatusCode::NOT_FOUND, "no connection has this id");
    }
    tracing::info!(action, id = Escaped::new(&id).as_str(), "by the inspector");
    answer::line(StatusCode::OK, "done")
}

fn drain(server: &Server, window: Duration) -> Response {
    tracing::info!(action = "drain", ?window, "by the inspector");
    let server = server.clone();
    // Once it was polled, the drain goes on without this.
    tokio::spawn(async move { server.drain(window).await });
    answer::line(StatusCode::ACCEPTED, "draining")
}
