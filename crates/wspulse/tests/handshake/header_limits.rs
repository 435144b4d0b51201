//! How large the head of a handshake may be.

use http::request;
use wspulse::testing::request_parts;
use wspulse::{Admission, Server, ServerBuilder};

use crate::support::house::open_house;
use crate::support::http::Answer;

const KIB: usize = 1024;

/// As `request_parts` makes it, in HTTP/1.1.
const PLAIN_HEAD: &str = "GET /ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\n\
    connection: Upgrade\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A valid handshake whose head has so many bytes.
fn head_of(bytes: usize) -> request::Parts {
    let mut parts = request_parts("/ws");
    let filler = bytes - PLAIN_HEAD.len() - "filler: \r\n".len();
    parts.headers.insert("filler", "x".repeat(filler).parse().unwrap());
    parts
}

/// A valid handshake with so many header fields, all but the necessary ones of one name.
fn fields(count: usize) -> request::Parts {
    let mut parts = request_parts("/ws");
    for _ in parts.headers.len()..count {
        parts.headers.append("x", "y".parse().unwrap());
    }
    parts
}

fn builder() -> ServerBuilder {
    open_house()
}

async fn is_too_large(server: &Server, parts: request::Parts) {
    let answer = Answer::to(server, parts).await;
    assert_eq!(answer.summary(), (431, "Request Header Fields Too Large\n"));
}

#[tokio::test]
async fn by_default_a_head_may_have_16_kib() {
    let server = builder().build().unwrap();
    assert!(server.handshake(head_of(16 * KIB)).is_ok());
    is_too_large(&server, head_of(16 * KIB + 1)).await;
}

#[tokio::test]
async fn by_default_a_head_may_have_100_fields() {
    let server = builder().build().unwrap();
    assert!(server.handshake(fields(100)).is_ok());
    is_too_large(&server, fields(101)).await;
}

#[tokio::test]
async fn both_limits_can_be_moved() {
    let server =
        builder().max_request_header_bytes(2 * KIB).max_request_headers(7).build().unwrap();
    assert!(server.handshake(head_of(2 * KIB)).is_ok());
    is_too_large(&server, head_of(2 * KIB + 1)).await;
    assert!(server.handshake(fields(7)).is_ok());
    is_too_large(&server, fields(8)).await;
}

#[tokio::test]
async fn a_long_target_counts_as_a_part_of_the_head() {
    let server = builder().build().unwrap();
    is_too_large(&server, request_parts(&format!("/ws?{}", "x".repeat(16 * KIB)))).await;
}

#[tokio::test]
async fn the_host_of_an_absolute_target_counts_as_a_part_of_the_head() {
    let server = builder().build().unwrap();
    // `http://a` takes eight bytes more than nothing.
    let absolute = |head: usize| {
        let mut parts = head_of(head - "http://a".len());
        parts.uri = "http://a/ws".parse().unwrap();
        parts
    };
    assert!(server.handshake(absolute(16 * KIB)).is_ok());
    is_too_large(&server, absolute(16 * KIB + 1)).await;
}

#[tokio::test]
async fn a_megabyte_of_header_and_two_thousand_fields_are_refused() {
    let server = builder().build().unwrap();
    is_too_large(&server, head_of(KIB * KIB)).await;
    is_too_large(&server, fields(2_000)).await;
}

#[tokio::test]
async fn a_large_head_is_refused_before_anybody_is_asked() {
    let server = Server::builder_sync(|_| panic!("not to be asked"))
        .check_origin(|_| panic!("not to be asked"))
        .peer_addr(|_| panic!("not to be asked"))
        .build()
        .unwrap();
    is_too_large(&server, fields(2_000)).await;
    let request = http::Request::from_parts(fields(2_000), ());
    assert_eq!(server.upgrade(request, Admission::room("lobby")).await.status(), 431);
}
