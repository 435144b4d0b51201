//! Peers that send what no client may.

mod support;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wspulse::testing::{masked, request_head};
use wspulse_faults::MIB;
use wspulse_faults::clients::{Peer, join, target, within};

use support::*;

/// What a debug build's allocator and thread stacks may add to a server that keeps nothing.
const NOTHING_KEPT: u64 = 4 * MIB;

#[tokio::test]
async fn garbage_instead_of_http_is_refused_and_the_connection_ends() {
    let siege = siege(&[]);
    let noise: Vec<u8> = StdRng::seed_from_u64(1).random_iter().take(64 * 1024).collect();
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let smb = b"\x00\x00\x00\x85\xffSMBr\x00\x00\x00\x00";
    let megabyte = vec![b'A'; 1 << 20];
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    for garbage in [&noise[..], tls_hello, smb, http2, &[0; 4096], b"\r\n\r\n\r\n\x01", &megabyte] {
        let mut stream = TcpStream::connect(siege.address()).await.expect("it listens");
        // The server may have had enough before it has all.
        let _ = within(stream.write_all(garbage)).await;
        let mut answer = Vec::new();
        // A reset is an end as well: what it had not read is thrown away.
        let _ = within(stream.read_to_end(&mut answer)).await;
        let is_refusal = answer.is_empty() || answer.starts_with(b"HTTP/1.1 4");
        assert!(is_refusal, "{}", String::from_utf8_lossy(&answer));
    }
    siege.lift(NOTHING_KEPT);
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_from_the_header_alone() {
    let siege = siege(&["--message-bytes-max", "65536"]);
    for (len, code) in [
        (65_537, 1009),
        (1 << 32, 1009),
        (1 << 62, 1009),
        ((1 << 63) - 1, 1009),
        // The most significant bit must be 0 (RFC 6455 §5.2).
        (1 << 63, 1002),
        (u64::MAX, 1002),
    ] {
        for first_byte in [TEXT, TEXT_WITHOUT_FIN, 0x82] {
            let mut header = vec![first_byte, 0x80 | 127];
            header.extend(len.to_be_bytes());
            header.extend([1, 2, 3, 4]);
            assert_closed_with(&siege, &format!("{len}-{first_byte}"), &header, &[code]).await;
        }
    }
    siege.lift(NOTHING_KEPT);
}

#[tokio::test]
async fn frames_against_the_rules_are_answered_with_1002_or_1007() {
    let siege = siege(&[]);
    let unmasked: &[u8] = b"\x81\x02{}";
    let broken: [(&str, &[u8], u16); 16] = [
        ("rsv1", &masked(0xc1, b"{}"), 1002),
        ("rsv2", &masked(0xa1, b"{}"), 1002),
        ("rsv3", &masked(0x91, b"{}"), 1002),
        ("opcode-3", &masked(0x83, b"{}"), 1002),
        ("opcode-7", &masked(0x87, b""), 1002),
        ("opcode-11", &masked(0x8b, b""), 1002),
        ("opcode-15", &masked(0x8f, b""), 1002),
        ("unmasked", unmasked, 1002),
        ("fragmented-ping", &masked(0x09, b""), 1002),
        ("long-ping", &masked(PING, &[0; 126]), 1002),
        ("continuation", &masked(LAST_CONTINUATION, b"{}"), 1002),
        ("half-close-code", &masked(CLOSE, &[3]), 1002),
        ("text", &masked(TEXT, b"\xc0\xaf"), 1007),
        ("surrogate", &masked(TEXT, b"\xed\xa0\x80"), 1007),
        ("cut-text", &masked(TEXT, b"\xe2\x82"), 1007),
        ("close-reason", &masked(CLOSE, b"\x03\xe8\xff"), 1007),
    ];
    for (name, bytes, code) in broken {
        assert_closed_with(&siege, name, bytes, &[code]).await;
    }
    siege.lift(NOTHING_KEPT);
}

#[tokio::test]
async fn close_codes_that_may_not_be_sent_are_answered_with_1002() {
    let siege = siege(&[]);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        let close = masked(CLOSE, &code.to_be_bytes());
        assert_closed_with(&siege, &format!("close-{code}"), &close, &[1002]).await;
    }
    siege.lift(NOTHING_KEPT);
}

#[tokio::test]
async fn a_message_in_one_byte_segments_is_one_message() {
    let siege = siege(&["--message-bytes-max", "65536"]);
    let mut peer = attacker(&siege, "dripping").await;
    let payload = format!("\"{}\"", "x".repeat(60 * 1024));
    let frame = text_frame("echo", &payload);
    for byte in frame.chunks(1) {
        within(peer.write_raw(byte)).await.expect("the server reads");
    }
    let echo = within(peer.frame()).await.expect("an echo");
    assert_eq!(echo.payload(), payload.as_bytes());
    drop(peer);
    siege.lift(NOTHING_KEPT);
}

#[tokio::test]
async fn frames_right_behind_the_request_are_the_first_messages() {
    let siege = siege(&[]);
    let mut request = request_head(&target("attackers", "hasty")).into_bytes();
    for number in 0..100 {
        request.extend_from_slice(&text_frame("echo", &number.to_string()));
    }
    let mut peer = Peer::new(TcpStream::connect(siege.address()).await.expect("it listens"));
    peer.write_raw(&request).await.expect("the server reads");
    assert!(peer.read_response_head().await.expect("a response").starts_with("HTTP/1.1 101 "));
    for number in 0..100 {
        let echo = within(peer.frame()).await.expect("an echo");
        assert_eq!(echo.to_json::<u32>().expect("a number"), number);
    }
    drop(peer);
    siege.lift(NOTHING_KEPT);
}

#[tokio::test]
async fn a_second_request_behind_the_upgrade_is_a_protocol_error_and_no_request() {
    let siege = siege(&[]);
    let smuggled = "GET /private HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let request = request_head(&target("attackers", "smuggler")) + smuggled;
    let mut stream = TcpStream::connect(siege.address()).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    // "G" is 0x47: reserved bit 1 and opcode 7.
    let close = answer.windows(4).any(|bytes| bytes[..1] == [CLOSE] && bytes[2..] == [0x03, 0xea]);
    assert!(close, "{text} has no close frame with 1002");
    siege.lift(NOTHING_KEPT);
}

#[tokio::test]
async fn a_handshake_of_single_bytes_is_a_handshake() {
    let siege = siege(&[]);
    let mut peer = Peer::new(TcpStream::connect(siege.address()).await.expect("it listens"));
    for byte in request_head(&target("attackers", "slow")).as_bytes() {
        peer.write_raw(&[*byte]).await.expect("the server reads");
    }
    assert!(peer.read_response_head().await.expect("a response").starts_with("HTTP/1.1 101 "));
    echoes(&mut peer, "in").await;
    drop(peer);
    siege.lift(NOTHING_KEPT);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut() {
    let siege = siege(&["--header-ms", "200"]);
    let head = request_head(&target("attackers", "never"));
    for sent in ["", "G", &head[..head.len() / 2], &head[..head.len() - 1]] {
        let mut stream = TcpStream::connect(siege.address()).await.expect("it listens");
        stream.write_all(sent.as_bytes()).await.expect("the server reads");
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "half a request is no handshake");
    }
    assert!(join(siege.address(), "attackers", "after").await.is_ok());
    siege.lift(NOTHING_KEPT);
}
