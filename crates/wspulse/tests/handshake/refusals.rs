//! Requests that are no valid handshake, or of the wrong origin: which answer, in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Version, request};
use tokio::io::AsyncWriteExt as _;
use wspulse::testing::{TestClient, masked, request_head, request_parts};
use wspulse::{Admission, Server};

use crate::support::clients::echoes;
use crate::support::house::{echo, open_house};
use crate::support::http::{Answer, head_with, head_without, read_response, serve_at_ws, write_to};

/// A head with everything wrong that comes after the method.
fn nothing_but_a_method(method: Method) -> request::Parts {
    let mut parts =
        head_without(&["upgrade", "connection", "sec-websocket-version", "sec-websocket-key"]);
    parts.method = method;
    parts
}

fn with_version(version: Version) -> request::Parts {
    let mut parts = request_parts("/ws");
    parts.version = version;
    parts
}

/// A valid handshake's head to which this header is added once more.
fn twice(name: &'static str, value: &str) -> request::Parts {
    let mut parts = request_parts("/ws");
    parts.headers.append(name, value.parse().unwrap());
    parts
}

/// A server that accepts no origin, and the number of times that it was asked for one.
fn accepting_no_origin() -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let builder = open_house().check_origin(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    });
    (builder.build().unwrap(), asked)
}

#[tokio::test]
async fn a_closed_server_says_so_whatever_the_request_looks_like() {
    let (server, asked) = accepting_no_origin();
    server.close().await;
    for parts in [request_parts("/ws"), nothing_but_a_method(Method::POST)] {
        assert_eq!(Answer::served(&server, parts).await.summary(), (503, "server closed\n"));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_method_other_than_get_is_the_first_fault_to_be_told() {
    let server = open_house().build().unwrap();
    for method in [Method::POST, Method::HEAD, Method::OPTIONS, Method::CONNECT] {
        let answer = Answer::to(&server, nothing_but_a_method(method)).await;
        assert_eq!(answer.summary(), (405, "Method Not Allowed\n"));
        assert_eq!(answer.header("allow"), Some("GET"));
    }
}

#[tokio::test]
async fn a_request_that_asks_for_no_websocket_is_told_to_upgrade() {
    let server = open_house().build().unwrap();
    for parts in [
        nothing_but_a_method(Method::GET),
        head_without(&["upgrade"]),
        head_without(&["connection"]),
        head_with(&[("upgrade", "h2c")]),
        head_with(&[("upgrade", "websockets")]),
        head_with(&[("upgrade", "web socket")]),
        head_with(&[("connection", "keep-alive")]),
        head_with(&[("connection", "upgraded")]),
        head_with(&[("connection", "up, grade")]),
    ] {
        let answer = Answer::to(&server, parts).await;
        assert_eq!(answer.summary(), (426, "Upgrade Required\n"));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert_eq!(answer.header("connection"), Some("Upgrade"));
    }
}

#[tokio::test]
async fn http_1_0_is_told_to_upgrade() {
    let server = open_house().build().unwrap();
    for version in [Version::HTTP_09, Version::HTTP_10] {
        let answer = Answer::to(&server, with_version(version)).await;
        assert_eq!(answer.status, 426);
    }
}

#[tokio::test]
async fn a_wrong_version_is_told_before_a_wrong_key() {
    let server = open_house().build().unwrap();
    for mut parts in [
        head_without(&["sec-websocket-version"]),
        head_with(&[("sec-websocket-version", "8")]),
        head_with(&[("sec-websocket-version", "131")]),
        head_with(&[("sec-websocket-version", "8, 13")]),
        twice("sec-websocket-version", "13"),
        head_with(&[("sec-websocket-version", "")]),
    ] {
        parts.headers.remove("sec-websocket-key");
        let answer = Answer::to(&server, parts).await;
        let body = "Bad Request: Sec-WebSocket-Version must be 13, once\n";
        assert_eq!(answer.summary(), (400, body));
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_before_the_origin_is_asked_for() {
    let (server, asked) = accepting_no_origin();
    for parts in [
        head_without(&["sec-websocket-key"]),
        head_with(&[("sec-websocket-key", "")]),
        head_with(&[("sec-websocket-key", "!!!!!!!!!!!!!!!!!!!!!!==")]),
        // 15 and 17 bytes.
        head_with(&[("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAA")]),
        head_with(&[("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAAA=")]),
    ] {
        let answer = Answer::to(&server, parts).await;
        let body = "Bad Request: Sec-WebSocket-Key must be 16 bytes in base64, once\n";
        assert_eq!(answer.summary(), (400, body));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn two_keys_are_none() {
    let (server, _) = accepting_no_origin();
    let mut parts = head_with(&[]);
    let key = parts.headers["sec-websocket-key"].clone();
    parts.headers.append("sec-websocket-key", key);
    assert_eq!(Answer::to(&server, parts).await.summary().0, 400);
}

#[tokio::test]
async fn a_handshake_with_a_body_is_refused() {
    let server = open_house().build().unwrap();
    for parts in [
        head_with(&[("content-length", "19")]),
        head_with(&[("content-length", "0, 19")]),
        head_with(&[("content-length", "")]),
        head_with(&[("transfer-encoding", "chunked")]),
        head_with(&[("content-length", "0"), ("transfer-encoding", "identity")]),
    ] {
        let answer = Answer::to(&server, parts).await;
        assert_eq!(answer.summary(), (400, "Bad Request: a handshake has no body\n"));
    }
    assert!(server.handshake(head_with(&[("content-length", "0")])).is_ok());
}

#[tokio::test]
async fn the_body_of_a_handshake_is_never_taken_for_frames() {
    let server = echo().build().unwrap();
    let address = serve_at_ws(&server).await;
    let frame = masked(0x81, br#"{"event":"n"}"#);
    let head = request_head("/ws").replace("\r\n\r\n", "\r\nContent-Length: 19\r\n\r\n");
    let mut request = head.into_bytes();
    request.extend_from_slice(&frame);
    assert_eq!(frame.len(), 19);
    let mut stream = write_to(address, &request).await;
    let (head, _) = read_response(&mut stream).await;
    assert!(head.starts_with("http/1.1 400 "), "{head}");
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test]
async fn a_handshake_names_one_well_formed_host() {
    let server = open_house().build().unwrap();
    for parts in [
        head_without(&["host"]),
        twice("host", "localhost"),
        head_with(&[("host", "")]),
        head_with(&[("host", ":80")]),
        head_with(&[("host", "a b")]),
        head_with(&[("host", "a/b")]),
        head_with(&[("host", "a, b")]),
        head_with(&[("host", "user@a")]),
        head_with(&[("host", "a:port")]),
        head_with(&[("host", "a:65536")]),
    ] {
        let host = parts.headers.get("host").cloned();
        let answer = Answer::to(&server, parts).await;
        let body = "Bad Request: Host must be a host with or without a port, once\n";
        assert_eq!(answer.summary(), (400, body), "{host:?}");
    }
    for host in
        ["a", "a:", "a:8080", "192.0.2.1", "[::1]", "[2001:db8::1]:80", "xn--bcher-kva.example"]
    {
        assert!(server.handshake(head_with(&[("host", host)])).is_ok(), "{host}");
    }
}

#[tokio::test]
async fn the_example_key_of_rfc_6455_is_a_key() {
    let server = open_house().build().unwrap();
    // §4.1; its last character has bits set beyond the 16th byte.
    let parts = head_with(&[("sec-websocket-key", "AQIDBAUGBwgJCgsMDQ4PEC==")]);
    assert!(server.handshake(parts).is_ok());
}

#[tokio::test]
async fn a_refused_origin_is_forbidden_to_connect() {
    let (server, asked) = accepting_no_origin();
    let answer = Answer::to(&server, head_with(&[("origin", "https://evil.example")])).await;
    assert_eq!(answer.summary(), (403, "Forbidden\n"));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_an_origin_check_every_origin_may_connect() {
    let server = open_house().build().unwrap();
    assert!(server.handshake(head_with(&[("origin", "null")])).is_ok());
}

#[tokio::test]
async fn a_connection_that_cannot_be_upgraded_is_a_fault_of_the_server() {
    let server = Server::builder_sync(|_| panic!("not to be asked")).build().unwrap();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let answer = Answer::served(&server, with_version(version)).await;
        assert_eq!(answer.summary(), (500, "this HTTP connection cannot be upgraded\n"));
        let request = http::Request::from_parts(with_version(version), ());
        let response = server.upgrade(request, Admission::room("lobby")).await;
        assert_eq!(response.status(), 500);
    }
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test]
async fn the_connect_function_is_never_asked_about_an_invalid_handshake() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let server = Server::builder_sync(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(Admission::room("lobby"))
    })
    .check_origin(|request| request.header("origin").is_none())
    .build()
    .unwrap();
    for parts in invalid_handshakes() {
        Answer::to(&server, parts).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let _accepted = server.handshake(request_parts("/ws")).unwrap().connect().await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

/// One for each check, the origin's included if any is refused.
fn invalid_handshakes() -> [request::Parts; 7] {
    [
        nothing_but_a_method(Method::PUT),
        head_without(&["upgrade"]),
        head_without(&["connection"]),
        head_without(&["sec-websocket-version"]),
        head_without(&["sec-websocket-key"]),
        head_with(&[("origin", "https://evil.example")]),
        with_version(Version::HTTP_10),
    ]
}

#[tokio::test]
async fn refusals_are_one_line_of_plain_text_that_no_browser_takes_for_more() {
    let (server, _) = accepting_no_origin();
    let mut answers = Vec::new();
    for parts in invalid_handshakes() {
        answers.push(Answer::to(&server, parts).await);
    }
    let unlucky = Server::builder_sync(|_| Err::<Admission, _>(wspulse::Rejection::unauthorized()));
    let unlucky = unlucky.build().unwrap();
    answers.push(Answer::to(&unlucky, request_parts("/ws")).await);
    server.close().await;
    answers.push(Answer::to(&server, request_parts("/ws")).await);
    for answer in answers {
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let line = answer.body.strip_suffix('\n').expect("a whole line");
        assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
    }
}

#[tokio::test]
async fn refusals_of_a_handshake_name_the_version_that_is_spoken() {
    let (server, _) = accepting_no_origin();
    for parts in invalid_handshakes() {
        let answer = Answer::to(&server, parts).await;
        assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{answer:?}");
    }
}

#[tokio::test]
async fn header_tokens_count_in_any_case() {
    let server = open_house().build().unwrap();
    for (upgrade, connection) in
        [("WebSocket", "upgrade"), ("WEBSOCKET", "UPGRADE"), ("websocket", "uPgRaDe")]
    {
        let parts = head_with(&[("upgrade", upgrade), ("connection", connection)]);
        assert!(server.handshake(parts).is_ok(), "{upgrade} {connection}");
    }
}

#[tokio::test]
async fn header_tokens_count_anywhere_in_a_list() {
    let server = open_house().build().unwrap();
    let listed = head_with(&[
        ("upgrade", "h2c,websocket"),
        ("connection", "keep-alive ,\tUpgrade , HTTP2-Settings"),
    ]);
    assert!(server.handshake(listed).is_ok());
    let mut on_two_lines = head_with(&[("upgrade", "h2c"), ("connection", "keep-alive")]);
    on_two_lines.headers.append("upgrade", "websocket".parse().unwrap());
    on_two_lines.headers.append("connection", "Upgrade".parse().unwrap());
    assert!(server.handshake(on_two_lines).is_ok());
}

#[tokio::test]
async fn a_refused_client_may_try_again_on_the_same_socket() {
    let server = echo().build().unwrap();
    let address = serve_at_ws(&server).await;
    let plain = "GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = write_to(address, plain.as_bytes()).await;
    let (head, body) = read_response(&mut stream).await;
    assert!(head.starts_with("http/1.1 426 "), "{head}");
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"), "{head}");
    assert!(head.contains("\r\nx-content-type-options: nosniff\r\n"), "{head}");
    assert_eq!(body, "Upgrade Required\n");

    stream.write_all(request_head("/ws").as_bytes()).await.unwrap();
    let mut client = TestClient::new(stream);
    assert!(client.read_response_head().await.unwrap().starts_with("HTTP/1.1 101 "));
    echoes(&mut client, 1).await;
}
