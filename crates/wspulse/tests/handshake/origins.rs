//! The ready-made origin checks: which pages may connect.

use wspulse::origin::{allow_list, same_origin};
use wspulse::{ConnectRequest, Server};

use crate::support::house::open_house;
use crate::support::http::{head_with, head_without};

fn checking(check: impl Fn(&ConnectRequest) -> bool + Send + Sync + 'static) -> Server {
    open_house().check_origin(check).build().unwrap()
}

/// Whether a page of this origin may connect to this host.
fn accepts(server: &Server, origin: &str, host: &str) -> bool {
    server.handshake(head_with(&[("origin", origin), ("host", host)])).is_ok()
}

#[test]
fn same_origin_accepts_the_very_host_and_port() {
    let server = checking(same_origin());
    assert!(accepts(&server, "https://example.org", "example.org"));
    assert!(accepts(&server, "http://example.org:8080", "example.org:8080"));
    assert!(accepts(&server, "http://[::1]:8080", "[::1]:8080"));
}

#[test]
fn same_origin_takes_a_missing_port_for_the_schemes_own() {
    let server = checking(same_origin());
    assert!(accepts(&server, "https://example.org", "example.org:443"));
    assert!(accepts(&server, "https://example.org:443", "example.org"));
    assert!(accepts(&server, "http://example.org", "example.org:80"));
    assert!(!accepts(&server, "https://example.org", "example.org:80"));
    assert!(!accepts(&server, "http://example.org", "example.org:443"));
}

#[test]
fn same_origin_refuses_another_port() {
    let server = checking(same_origin());
    assert!(!accepts(&server, "https://example.org:8443", "example.org"));
    assert!(!accepts(&server, "http://example.org", "example.org:8080"));
}

#[test]
fn same_origin_looks_at_the_host_of_an_absolute_target() {
    let server = checking(same_origin());
    let accepts = |origin: &str, host: &str| {
        let mut parts = head_with(&[("origin", origin), ("host", host)]);
        parts.uri = "http://example.org:8080/ws".parse().unwrap();
        server.handshake(parts).is_ok()
    };
    assert!(accepts("http://example.org:8080", "proxy.test"));
    assert!(!accepts("http://proxy.test", "proxy.test"));
}

#[test]
fn same_origin_compares_hosts_in_any_case() {
    let server = checking(same_origin());
    assert!(accepts(&server, "https://Example.ORG", "eXample.org"));
}

#[test]
fn same_origin_refuses_hosts_that_only_look_like_it() {
    let server = checking(same_origin());
    for origin in [
        "https://evil-example.org",
        "https://example.org.evil",
        "https://sub.example.org",
        "https://example.or",
        "https://xn--example-org",
        "https://evil.test/example.org",
        "https://evil.test?example.org",
        "https://evil.test#example.org",
    ] {
        assert!(!accepts(&server, origin, "example.org"), "{origin}");
    }
}

#[test]
fn same_origin_accepts_a_request_that_comes_from_no_page() {
    let server = checking(same_origin());
    assert!(server.handshake(head_without(&["origin"])).is_ok());
}

#[test]
fn same_origin_refuses_what_is_no_web_page() {
    let server = checking(same_origin());
    for origin in ["null", "", "example.org", "//example.org", "file://example.org", "https://"] {
        assert!(!accepts(&server, origin, "example.org"), "{origin:?}");
    }
}

#[test]
fn same_origin_refuses_several_origins() {
    let server = checking(same_origin());
    let mut parts = head_with(&[("origin", "https://example.org"), ("host", "example.org")]);
    parts.headers.append("origin", "https://example.org".parse().unwrap());
    assert!(server.handshake(parts).is_err());
    assert!(!accepts(&server, "https://example.org https://example.org", "example.org"));
}

#[test]
fn same_origin_refuses_a_page_if_it_cannot_tell_which_host_was_asked_for() {
    let server = checking(same_origin());
    let mut nameless = head_with(&[("origin", "https://example.org")]);
    nameless.headers.remove("host");
    assert!(server.handshake(nameless).is_err());
    let mut two_hosts = head_with(&[("origin", "https://example.org"), ("host", "example.org")]);
    two_hosts.headers.append("host", "evil.test".parse().unwrap());
    assert!(server.handshake(two_hosts).is_err());
}

#[test]
fn an_allow_list_accepts_what_is_on_it() {
    let server = checking(allow_list(["https://example.org", "http://localhost:8080"]));
    assert!(accepts(&server, "https://example.org", "api.example.org"));
    assert!(accepts(&server, "http://localhost:8080", "api.example.org"));
}

#[test]
fn an_allow_list_refuses_what_only_looks_like_it() {
    let server = checking(allow_list(["https://example.org"]));
    for origin in [
        "https://evil-example.org",
        "https://example.org.evil",
        "https://sub.example.org",
        "http://example.org",
        "https://example.org:443",
        "https://example.org:8443",
        "https://example.org/",
        "https://EXAMPLE.org",
        " https://example.org",
        "https://example.org https://evil.test",
        "null",
        "",
        "*",
    ] {
        assert!(!accepts(&server, origin, "example.org"), "{origin:?}");
    }
}

#[test]
fn an_allow_list_refuses_a_request_without_an_origin() {
    let server = checking(allow_list(["https://example.org"]));
    assert!(server.handshake(head_without(&["origin"])).is_err());
}

#[test]
fn an_allow_list_refuses_several_origins() {
    let server = checking(allow_list(["https://example.org"]));
    let mut parts = head_with(&[("origin", "https://example.org")]);
    parts.headers.append("origin", "https://example.org".parse().unwrap());
    assert!(server.handshake(parts).is_err());
}

#[test]
fn an_empty_allow_list_accepts_nobody() {
    let server = checking(allow_list(Vec::<String>::new()));
    assert!(!accepts(&server, "https://example.org", "example.org"));
}
