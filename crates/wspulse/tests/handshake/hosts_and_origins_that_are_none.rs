//! Hosts and origins that only look like some: an IPv6 address that is none, a port that is none.

use wspulse::origin::same_origin;

use crate::support::house::open_house;
use crate::support::http::{Answer, head_with};

/// The status that a page of this origin gets, or a client that comes from no page.
fn status(host: &str, origin: Option<&str>) -> u16 {
    let server = open_house().check_origin(same_origin()).build().unwrap();
    let mut parts = head_with(&[("host", host)]);
    parts.headers.remove("origin");
    if let Some(origin) = origin {
        parts.headers.insert("origin", origin.parse().unwrap());
    }
    match server.handshake(parts) {
        Ok(_) => 101,
        Err(refused) => refused.status().as_u16(),
    }
}

#[test]
fn malformed_hosts_are_refused() {
    for host in [
        "localhost:+80",
        "localhost:-1",
        "localhost:80:80",
        "localhost:99999",
        ":80",
        "::1",
        "[]",
        "[zz]",
        "[1.2.3.4]",
        "[::1",
        "[::1]x",
        "[::1]:x",
        "[::1]:+80",
        "[::1%25eth0]",
        // RFC 3986 §3.2.2: an address of a version that nobody knows is answered by an error.
        "[v1.fe]",
        "[v1.fe]:80",
        "[V1.fe]",
        "[::1][::1]",
        "user@host",
        "user@[::1]",
        "host/path",
        "host?x",
        "host#x",
        "h\"ost",
        "a%zz",
        "a%2",
        "%",
    ] {
        assert_eq!(status(host, None), 400, "{host}");
    }
}

#[test]
fn well_formed_hosts_are_not() {
    for host in [
        "localhost",
        "LOCALHOST:80",
        "127.0.0.1:1",
        "xn--a.b",
        "[::1]",
        "[::1]:3000",
        "[::ffff:192.0.2.1]",
        // A port may be empty or begin with zeros (RFC 3986 §3.2.3).
        "a:",
        "[::1]:",
        "localhost:000080",
        "localhost:65535",
    ] {
        assert_eq!(status(host, None), 101, "{host}");
    }
}

#[test]
fn same_origin_refuses_origins_that_are_none() {
    for origin in [
        "http://localhost:+80",
        "http://localhost:99999",
        "http://localhost:x",
        "http://localhost@evil.test",
        "http://evil@localhost",
        "http://localhost:80@localhost",
        "http://localhost, http://evil.test",
    ] {
        assert_eq!(status("localhost", Some(origin)), 403, "{origin}");
    }
    assert_eq!(status("localhost", Some("http://localhost:80")), 101);
}

#[tokio::test]
async fn same_origin_refuses_a_target_whose_authority_is_none() {
    let server = open_house().check_origin(same_origin()).build().unwrap();
    for target in ["http://localhost:99999/ws", "http://evil@localhost/ws", "http://[zz]/ws"] {
        let mut parts = head_with(&[("origin", "http://localhost"), ("host", "localhost")]);
        parts.uri = target.parse().unwrap();
        assert_eq!(Answer::to(&server, parts).await.status, 403, "{target}");
    }
}
