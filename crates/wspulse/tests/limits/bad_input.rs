//! Clients that break the rules: what it costs them, and that it costs nobody else anything.
//!
//! In each test a well-behaved client goes on before and after.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use wspulse::testing::{Received, Recorder, TestClient, masked, request_head};
use wspulse::{
    ConnectionState, Disconnect, Frame, ProtocolError, RoomOptions, Server, ServerBuilder,
    TransportLost,
};

use crate::support::clients::{Client, close, close_frame, dial, echoes};
use crate::support::clock::{WRITE_WAIT, assert_passed};
use crate::support::house::{echo, open_house};
use crate::support::http::{serve_at_ws, write_to};
use crate::support::logs::Logs;
use crate::support::stage::Stage;

/// A server, its well-behaved client, and one who is up to something.
struct Scene {
    server: Server,
    good: Client,
    bad: Client,
    ends: mpsc::UnboundedReceiver<Disconnect>,
}

impl Scene {
    async fn set() -> Self {
        let (tell, ends) = mpsc::unbounded_channel();
        let server = echo().on_disconnect(move |_, end| drop(tell.send(end))).build().unwrap();
        let mut good = dial(&server, "good").await;
        let bad = dial(&server, "bad").await;
        echoes(&mut good, 1).await;
        Self { server, good, bad, ends }
    }

    /// The bad client writes this, and is sent away for it.
    async fn expels_for(mut self, bytes: &[u8], code: u16, reason: &'static str) {
        // It may be gone before it has written all.
        let _ = self.bad.write_raw(bytes).await;
        assert_eq!(self.bad.closed().await.unwrap(), Some(close(code, reason)));
        let end = self.ends.recv().await.unwrap();
        let Disconnect::TransportLost(TransportLost::Protocol(error)) = end else {
            panic!("{end:?}");
        };
        assert_eq!(error.close_frame(), close(code, reason));
        assert!(self.server.connection("bad").is_none());
        echoes(&mut self.good, 2).await;
    }
}

#[tokio::test]
async fn garbage_instead_of_a_request_is_answered_400() {
    let server = echo().build().unwrap();
    let address = serve_at_ws(&server).await;
    let mut good = TestClient::connect_tcp(address, "/ws").await.unwrap();
    echoes(&mut good, 1).await;
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], b"\0\0\0\0\r\n\r\n"]
    {
        let mut bad = write_to(address, garbage).await;
        let mut answer = String::new();
        bad.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    echoes(&mut good, 2).await;
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test]
async fn half_a_request_registers_nothing() {
    let server = echo().build().unwrap();
    let address = serve_at_ws(&server).await;
    let mut good = TestClient::connect_tcp(address, "/ws").await.unwrap();
    let head = request_head("/ws");
    for cut in [1, 20, head.len() - 2] {
        let mut bad = write_to(address, &head.as_bytes()[..cut]).await;
        bad.shutdown().await.unwrap();
        // It hangs up, with or without an answer.
        let mut answer = Vec::new();
        let _ = bad.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 101 "));
    }
    echoes(&mut good, 1).await;
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test]
async fn garbage_behind_the_upgrade_is_no_frame() {
    let server = echo().build().unwrap();
    let address = serve_at_ws(&server).await;
    let mut good = TestClient::connect_tcp(address, "/ws").await.unwrap();
    echoes(&mut good, 1).await;
    let garbage = format!("{}GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n", request_head("/ws"));
    let mut bad = TestClient::new(write_to(address, garbage.as_bytes()).await);
    assert!(bad.read_response_head().await.unwrap().starts_with("HTTP/1.1 101 "));
    // 'G' has reserved bits set.
    assert_eq!(bad.closed().await.unwrap(), Some(close(1002, "reserved bits set")));
    echoes(&mut good, 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_unmasked_frame() {
    Scene::set().await.expels_for(b"\x81\x02{}", 1002, "frame not masked").await;
}

#[tokio::test(start_paused = true)]
async fn reserved_bits() {
    for bits in [0x40, 0x20, 0x10, 0x70] {
        let frame = masked(0x81 | bits, b"{}");
        Scene::set().await.expels_for(&frame, 1002, "reserved bits set").await;
    }
}

#[tokio::test(start_paused = true)]
async fn reserved_opcodes() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        let frame = masked(0x80 | opcode, b"");
        Scene::set().await.expels_for(&frame, 1002, "reserved opcode").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_oversize_message_is_logged_with_the_option_that_sets_the_limit() {
    let logs = Logs::capture();
    let frame = masked(0x82, &[0; 513]);
    Scene::set().await.expels_for(&frame, 1009, "message too big").await;
    let line = logs.one("WARN", "over the limit");
    assert!(line.contains("max_message_size") && line.contains("512"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn an_oversize_message_does_not_count_as_received() {
    let recorder = Recorder::default();
    let server = echo().metrics(recorder.clone()).build().unwrap();
    let mut bad = dial(&server, "bad").await;
    bad.write_raw(&masked(0x82, &[0; 513])).await.unwrap();
    assert!(close_frame(&mut bad).await.is_some());
    assert_eq!(recorder.count("message_received lobby 513"), 0);
}

#[tokio::test]
async fn a_client_that_is_still_sending_its_oversize_message_is_told() {
    let server = echo().build().unwrap();
    let address = serve_at_ws(&server).await;
    let mut good = TestClient::connect_tcp(address, "/ws").await.unwrap();
    // More than sockets buffer: the server must read it away for its close frame to arrive.
    let mut bad = TestClient::connect_tcp(address, "/ws").await.unwrap();
    bad.write_raw(&masked(0x82, &vec![0; 32 << 20])).await.unwrap();
    assert_eq!(bad.closed().await.unwrap(), Some(close(1009, "message too big")));
    echoes(&mut good, 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_announced_length_is_refused_before_any_of_it_comes() {
    let announced: [u8; 8] = (u64::MAX >> 1).to_be_bytes();
    let header = [&b"\x82\xff"[..], &announced, b"mask"].concat();
    let mut scene = Scene::set().await;
    scene.bad.write_raw(&header).await.unwrap();
    let frame = close_frame(&mut scene.bad).await;
    assert_eq!(frame, Some(close(1009, "message too big")));
    let end = scene.ends.recv().await.unwrap();
    let too_big = ProtocolError::MessageTooBig { len: u64::MAX >> 1, limit: 512 };
    assert!(
        matches!(&end, Disconnect::TransportLost(TransportLost::Protocol(error)) if *error == too_big),
        "{end:?}"
    );
    echoes(&mut scene.good, 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_announced_length_beyond_what_lengths_can_be() {
    let header = [&b"\x82\xff"[..], &[0xff; 8], b"mask"].concat();
    Scene::set().await.expels_for(&header, 1002, "bad frame length").await;
}

#[tokio::test(start_paused = true)]
async fn a_control_frame_that_announces_more_than_it_may() {
    let header = [&b"\x89\xfe\xff\xff"[..], b"mask"].concat();
    Scene::set().await.expels_for(&header, 1002, "control frame too long").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_many_fragments_within_the_limit_is_a_message() {
    let mut scene = Scene::set().await;
    let message = format!(r#"{{"event":"{}"}}"#, "x".repeat(500)).into_bytes();
    let (first, rest) = message.split_at(1);
    let (rest, last) = rest.split_at(rest.len() - 1);
    scene.bad.write_raw(&masked(0x01, first)).await.unwrap();
    for byte in rest.chunks(1) {
        scene.bad.write_raw(&masked(0x00, byte)).await.unwrap();
    }
    scene.bad.write_raw(&masked(0x80, last)).await.unwrap();
    assert_eq!(scene.bad.frame().await.unwrap().event().len(), 500);
    echoes(&mut scene.good, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_fragments_keeps_nobody_else_from_being_served() {
    let mut scene = Scene::set().await;
    let (tell, mut flooded) = mpsc::unbounded_channel();
    let mut bad = scene.bad;
    tokio::spawn(async move {
        // Empty ones, which the message's size does not limit.
        let flood = masked(0x00, b"").repeat(1_000);
        bad.write_raw(&masked(0x01, b"{")).await.unwrap();
        for round in 0..131 {
            if bad.write_raw(&flood).await.is_err() {
                break;
            }
            tell.send(round).unwrap();
        }
        // Or it is sent away for it.
        let _ = bad.write_raw(&masked(0x80, b"}")).await;
    });
    let mut echoed = 1;
    while flooded.recv().await.is_some() {
        echoed += 1;
        echoes(&mut scene.good, echoed).await;
    }
    assert!(echoed > 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_floods_pings_and_reads_nothing_is_owed_the_newest_pongs_only() {
    let mut scene = Scene::set().await;
    let pings = 100_000_u32;
    for number in 0..pings {
        scene.bad.ping(&[number.to_be_bytes().as_slice(), &[0; 100]].concat()).await.unwrap();
    }
    echoes(&mut scene.good, 2).await;
    let mut received = 0;
    let newest = loop {
        let Received::Pong(payload) = scene.bad.receive().await.unwrap() else {
            panic!("only pings were sent");
        };
        received += 1;
        if payload[..4] == (pings - 1).to_be_bytes() {
            break payload;
        }
    };
    assert_eq!(newest.len(), 104);
    // What fits into the stream (64 KiB), what was being written, what was owed.
    assert!(received < 1_000, "{received} pongs were kept for it");
    echoes(&mut scene.bad, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_floods_pings_and_never_reads_is_dropped_for_it() {
    let mut scene = Scene::set().await;
    let flood = masked(0x89, &[0; 125]).repeat(100_000);
    scene.bad.write_raw(&flood).await.unwrap();
    let blocked_at = Instant::now();
    let end = scene.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::WriteTimeout)), "{end:?}");
    assert_passed(blocked_at, WRITE_WAIT);
    echoes(&mut scene.good, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_messages_is_taken_no_faster_than_it_is_handled() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house().on_message(move |connection: wspulse::Connection, frame| {
        let tell = tell.clone();
        async move {
            if connection.id() == "bad" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let _ = connection.send(frame);
            let _ = tell.send(());
        }
    });
    let server = server.build().unwrap();
    let mut good = dial(&server, "good").await;
    echoes(&mut good, 1).await;
    let mut bad = dial(&server, "bad").await;
    let flood = masked(0x81, b"{}").repeat(100_000);
    let flooding = tokio::spawn(async move {
        let _ = bad.write_raw(&flood).await;
        bad
    });
    for _ in 0..100 {
        told.recv().await.unwrap();
    }
    assert!(!flooding.is_finished(), "the flood is held back");
    echoes(&mut good, 2).await;
    flooding.abort();
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_frame_ends_its_connection_only() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = echo().on_disconnect(move |_, end| drop(tell.send(end))).build().unwrap();
    let address = serve_at_ws(&server).await;
    let mut good = TestClient::connect_tcp(address, "/ws").await.unwrap();
    echoes(&mut good, 1).await;
    let mut bad = TestClient::connect_tcp(address, "/ws").await.unwrap();
    bad.write_raw(&masked(0x81, &[b' '; 500])[..250]).await.unwrap();
    let stream = bad.into_stream();
    stream.set_zero_linger().unwrap();
    drop(stream);
    let end = told.recv().await.unwrap();
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::Io(_))), "{end:?}");
    echoes(&mut good, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_in_the_middle_of_a_frame_ends_its_connection_only() {
    let mut scene = Scene::set().await;
    scene.bad.write_raw(&masked(0x81, b"{}")[..3]).await.unwrap();
    drop(scene.bad);
    let end = scene.ends.recv().await.unwrap();
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::EndOfStream)), "{end:?}");
    echoes(&mut scene.good, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_looks_like_one_of_the_servers_own_is_a_message_like_others() {
    let options = |builder: ServerBuilder| {
        let builder = builder.room_options(|_| RoomOptions::new().tell_presence());
        builder.announce_sessions(true).announce_history(true)
    };
    let mut stage = Stage::new(options);
    let (mut ann, connection) = stage.join("ann").await;
    let waiting = connection.request(Frame::new("asked").with_id("mine"));
    let waiting = tokio::spawn(waiting.within(Duration::from_secs(5)));
    for event in ["presence", "history", "session", "ack", "reply", "error"] {
        ann.send(&Frame::new(event).with_id("~srv.9").with_payload("[]")).await.unwrap();
    }
    ann.send(&Frame::new("done")).await.unwrap();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "done") {
        heard.push(stage.message().await.event().to_owned());
    }
    // An answer to an id that only the server makes is nobody's message.
    assert_eq!(heard, ["presence", "history", "session", "ack", "done"]);
    assert_eq!(connection.state(), ConnectionState::Connected);
    assert!(waiting.await.unwrap().is_err(), "no other frame is its reply");
}
