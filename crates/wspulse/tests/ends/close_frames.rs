//! How connections are closed: codes, reasons, and the closing handshake, from either side.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use wspulse::testing::{Received, Recorder, TestClient, masked};
use wspulse::{CloseFrame, DropReason, Frame, Server};

use crate::support::clients::{Client, close, close_frame, dial, echoes, numbered, text};
use crate::support::clock::{WRITE_WAIT, assert_passed, settle};
use crate::support::house::{echo, open_house};
use crate::support::http::serve_at_ws;

/// A server, and a client of the id `ann`.
async fn with_ann() -> (Server, Client) {
    let server = echo().build().unwrap();
    let ann = dial(&server, "ann").await;
    (server, ann)
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_is_told_1000_without_a_reason() {
    let (server, mut ann) = with_ann().await;
    server.connection("ann").unwrap().close();
    assert_eq!(ann.closed().await.unwrap(), Some(close(1000, "")));
}

#[tokio::test(start_paused = true)]
async fn a_kicked_client_is_told_so() {
    let (server, mut ann) = with_ann().await;
    server.kick("ann").unwrap();
    assert_eq!(ann.closed().await.unwrap(), Some(close(1000, "kicked")));
}

#[tokio::test(start_paused = true)]
async fn a_kick_may_have_a_reason_of_its_own() {
    let (server, mut ann) = with_ann().await;
    server.kick_with_reason("ann", "no shouting").unwrap();
    assert_eq!(ann.closed().await.unwrap(), Some(close(1000, "no shouting")));
}

#[tokio::test(start_paused = true)]
async fn a_reason_too_long_for_a_close_frame_is_cut_at_a_character() {
    let (server, mut ann) = with_ann().await;
    server.kick_with_reason("ann", "é".repeat(100)).unwrap();
    let frame = ann.closed().await.unwrap().unwrap();
    assert_eq!(frame.reason(), "é".repeat(61));
}

#[tokio::test(start_paused = true)]
async fn a_replaced_client_is_told_of_its_duplicate() {
    let (server, mut old) = with_ann().await;
    let mut new = dial(&server, "ann").await;
    assert_eq!(old.closed().await.unwrap(), Some(close(1000, "duplicate connection id")));
    echoes(&mut new, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_told() {
    let (server, mut ann) = with_ann().await;
    let ((), frame) = tokio::join!(server.close(), ann.closed());
    assert_eq!(frame.unwrap(), Some(close(1001, "server shutting down")));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_told_that_it_was_given_up() {
    let (_server, mut ann) = with_ann().await;
    assert_eq!(close_frame(&mut ann).await, Some(close(1001, "pong timeout")));
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_told() {
    let (_server, mut ann) = with_ann().await;
    let largest = format!(r#"{{"event":"{}"}}"#, "x".repeat(500));
    assert_eq!(largest.len(), 512);
    ann.write_raw(&masked(0x81, largest.as_bytes())).await.unwrap();
    assert_eq!(ann.frame().await.unwrap().event().len(), 500);
    ann.write_raw(&masked(0x81, format!("{largest} ").as_bytes())).await.unwrap();
    assert_eq!(ann.closed().await.unwrap(), Some(close(1009, "message too big")));
}

#[tokio::test(start_paused = true)]
async fn the_fragments_of_a_message_count_together() {
    let (_server, mut ann) = with_ann().await;
    let largest = format!(r#"{{"event":"{}"}}"#, "x".repeat(500)).into_bytes();
    ann.write_raw(&masked(0x01, &largest[..300])).await.unwrap();
    ann.write_raw(&masked(0x80, &largest[300..])).await.unwrap();
    assert_eq!(ann.frame().await.unwrap().event().len(), 500);
    ann.write_raw(&masked(0x01, &largest[..300])).await.unwrap();
    ann.write_raw(&masked(0x00, &largest[300..])).await.unwrap();
    ann.write_raw(&masked(0x80, b" ")).await.unwrap();
    assert_eq!(ann.closed().await.unwrap(), Some(close(1009, "message too big")));
}

#[tokio::test(start_paused = true)]
async fn a_violation_of_the_protocol_is_told_with_what_it_was() {
    let violations: [(&[u8], &str); 9] = [
        (b"\x81\x02{}", "frame not masked"),
        (&masked(0xc1, b"{}"), "reserved bits set"),
        (&masked(0x83, b"{}"), "reserved opcode"),
        (&masked(0x09, b""), "fragmented control frame"),
        (&masked(0x89, &[0; 126]), "control frame too long"),
        (&masked(0x80, b"{}"), "unexpected continuation"),
        (&[masked(0x01, b"{"), masked(0x81, b"{}")].concat(), "expected continuation"),
        (&masked(0x88, b"\x03"), "bad close code"),
        (&masked(0x88, b"\x03\xed"), "bad close code"),
    ];
    for (bytes, reason) in violations {
        let (_server, mut ann) = with_ann().await;
        ann.write_raw(bytes).await.unwrap();
        assert_eq!(ann.closed().await.unwrap(), Some(close(1002, reason)));
    }
}

#[tokio::test(start_paused = true)]
async fn text_that_is_not_utf8_is_told() {
    for bytes in [masked(0x81, b"\"\xc3\x28\""), masked(0x88, b"\x03\xe8\xff")] {
        let (_server, mut ann) = with_ann().await;
        ann.write_raw(&bytes).await.unwrap();
        assert_eq!(ann.closed().await.unwrap(), Some(close(1007, "invalid UTF-8")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_handler_that_panics_is_an_internal_error() {
    let server =
        open_house().on_message(|_, frame| assert_eq!(frame.event(), "boom")).build().unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&Frame::new("ping")).await.unwrap();
    assert_eq!(ann.closed().await.unwrap(), Some(close(1011, "internal error")));
}

#[tokio::test(start_paused = true)]
async fn a_peers_close_is_answered_with_its_code() {
    for (sent, answered) in [
        (Some(close(1000, "bye")), Some(close(1000, ""))),
        (Some(close(1001, "")), Some(close(1001, ""))),
        (Some(close(3000, "library")), Some(close(3000, ""))),
        (Some(close(4999, "application")), Some(close(4999, ""))),
        (None, None),
    ] {
        let (_server, mut ann) = with_ann().await;
        ann.close(sent.as_ref()).await.unwrap();
        assert_eq!(ann.receive().await.unwrap(), Received::Close(answered));
        assert_eq!(ann.receive().await.unwrap(), Received::End, "and no second close frame");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_sends_behind_its_close_is_ignored() {
    let recorder = Recorder::default();
    let server = echo().metrics(recorder.clone()).build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let behind = [masked(0x81, b"{}"), masked(0x89, b""), b"garbage".as_slice().into()].concat();
    let bytes = [&masked(0x88, b"\x03\xe8"), &behind[..]].concat();
    ann.write_raw(&bytes).await.unwrap();
    assert_eq!(ann.receive().await.unwrap(), Received::Close(Some(close(1000, ""))));
    assert_eq!(ann.receive().await.unwrap(), Received::End);
    server.close().await;
    assert_eq!(recorder.count("message_received lobby 2"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_sends_before_its_close_is_answered() {
    let (_server, mut ann) = with_ann().await;
    let bytes = [masked(0x81, br#"{"event":"a"}"#), masked(0x88, b"\x03\xe8")].concat();
    ann.write_raw(&bytes).await.unwrap();
    assert_eq!(ann.receive().await.unwrap(), text(r#"{"event":"a"}"#));
    assert_eq!(ann.receive().await.unwrap(), Received::Close(Some(close(1000, ""))));
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_once_the_peer_has_answered() {
    let (server, mut ann) = with_ann().await;
    server.kick("ann").unwrap();
    assert_eq!(close_frame(&mut ann).await, Some(close(1000, "kicked")));
    let patience = WRITE_WAIT / 2;
    assert!(timeout(patience, ann.receive()).await.is_err(), "it waits for the answer");
    let answered_at = Instant::now();
    ann.close(None).await.unwrap();
    assert_eq!(ann.receive().await.unwrap(), Received::End);
    assert_passed(answered_at, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn messages_that_cross_the_close_frame_are_no_answer() {
    let (server, mut ann) = with_ann().await;
    server.kick("ann").unwrap();
    assert!(close_frame(&mut ann).await.is_some());
    ann.send(&numbered(1)).await.unwrap();
    ann.ping(b"still here").await.unwrap();
    assert!(timeout(Duration::from_secs(1), ann.receive()).await.is_err());
    ann.close(None).await.unwrap();
    assert_eq!(ann.receive().await.unwrap(), Received::End);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_dropped_at_the_deadline() {
    let (server, mut ann) = with_ann().await;
    let kicked_at = Instant::now();
    server.kick("ann").unwrap();
    assert!(close_frame(&mut ann).await.is_some());
    assert_eq!(ann.receive().await.unwrap(), Received::End);
    assert_passed(kicked_at, WRITE_WAIT);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_closed_and_does_not_hang_up_is_not_waited_for_long() {
    let (server, mut ann) = with_ann().await;
    server.kick("ann").unwrap();
    assert!(close_frame(&mut ann).await.is_some());
    ann.close(None).await.unwrap();
    let mut ben = dial(&server, "ben").await;
    ben.close(None).await.unwrap();
    let closed_at = Instant::now();
    server.close().await;
    assert!(closed_at.elapsed() < WRITE_WAIT / 5);
}

#[tokio::test(start_paused = true)]
async fn both_sides_may_close_at_once() {
    for code in [1000, 4000] {
        let (server, mut ann) = with_ann().await;
        let closed_at = Instant::now();
        ann.close(Some(&close(code, "me first"))).await.unwrap();
        server.connection("ann").unwrap().close();
        assert!(matches!(ann.receive().await.unwrap(), Received::Close(Some(_))));
        assert_eq!(ann.receive().await.unwrap(), Received::End);
        assert_passed(closed_at, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_goes_out_before_the_close_frame() {
    let (server, mut ann) = with_ann().await;
    let connection = server.connection("ann").unwrap();
    for number in 0..20 {
        connection.send(numbered(number)).unwrap();
    }
    connection.close();
    assert!(connection.send(numbered(20)).is_err(), "nothing is accepted behind it");
    for number in 0..20 {
        assert_eq!(ann.frame().await.unwrap(), numbered(number));
    }
    assert_eq!(ann.closed().await.unwrap(), Some(close(1000, "")));
    assert_eq!(connection.outbound_stats().sent, 20);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_all_that_was_accepted_too() {
    let server = echo().build().unwrap();
    let mut ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 16).await.unwrap();
    let connection = server.connection("ann").unwrap();
    for number in 0..20 {
        connection.send(numbered(number)).unwrap();
    }
    server.kick("ann").unwrap();
    for number in 0..20 {
        tokio::time::sleep(WRITE_WAIT / 25).await;
        assert_eq!(ann.frame().await.unwrap(), numbered(number));
    }
    assert_eq!(ann.closed().await.unwrap(), Some(close(1000, "kicked")));
}

#[tokio::test(start_paused = true)]
async fn accepted_frames_that_cannot_be_flushed_count_as_dropped() {
    let recorder = Recorder::default();
    let server = echo().metrics(recorder.clone()).build().unwrap();
    let ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 64).await.unwrap();
    let connection = server.connection("ann").unwrap();
    for number in 0..20 {
        connection.send(numbered(number)).unwrap();
    }
    connection.close();
    settle().await;
    let stats = connection.outbound_stats();
    assert_eq!((stats.dropped, stats.accepted), (0, 20), "until the deadline there is hope");
    assert_eq!(stats.pending, 20 - stats.sent);
    server.close().await;
    let stats = connection.outbound_stats();
    assert!(stats.sent < 20);
    assert_eq!((stats.dropped, stats.pending), (20 - stats.sent, 0));
    assert_eq!(recorder.dropped(DropReason::Ended), stats.dropped);
    drop(ann);
}

#[tokio::test(start_paused = true)]
async fn an_ended_connection_is_found_nowhere_while_it_still_flushes() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house().on_disconnect(move |_, end| drop(tell.send(end))).build().unwrap();
    let ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 16).await.unwrap();
    let connection = server.connection("ann").unwrap();
    connection.send(numbered(1)).unwrap();
    let closed_at = Instant::now();
    connection.close();
    assert!(server.connection("ann").is_none());
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
    connection.done().await;
    told.recv().await.unwrap();
    assert_passed(closed_at, Duration::ZERO);
    drop(ann);
}

/// A client over a socket that talks all the time, whether it is heard or not, and what it is told
/// in the end.
async fn talking(address: SocketAddr, target: String) -> JoinHandle<Option<CloseFrame>> {
    let client = TestClient::connect_tcp(address, &target).await.unwrap();
    let (reader, mut writer) = client.into_stream().into_split();
    tokio::spawn(async move {
        let talk = masked(0x81, br#"{"event":"blah"}"#).repeat(100);
        let talking = tokio::spawn(async move {
            while writer.write_all(&talk).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        let mut client = TestClient::new(tokio::io::join(reader, tokio::io::sink()));
        let frame = close_frame(&mut client).await;
        talking.abort();
        frame
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sockets_no_close_frame_is_lost_on_clients_that_go_on_talking() {
    let server = open_house().build().unwrap();
    let address = serve_at_ws(&server).await;
    for round in 0..10 {
        let ids = ["closed", "kicked", "replaced"].map(|id| format!("{id}{round}"));
        let mut clients = Vec::new();
        for id in &ids {
            clients.push(talking(address, format!("/ws?id={id}")).await);
        }
        server.connection(&ids[0]).unwrap().close();
        server.kick(&ids[1]).unwrap();
        drop(TestClient::connect_tcp(address, &format!("/ws?id={}", ids[2])).await.unwrap());
        for (client, reason) in clients.into_iter().zip(["", "kicked", "duplicate connection id"]) {
            assert_eq!(client.await.unwrap(), Some(close(1000, reason)));
        }
    }
    let client = talking(address, "/ws".to_owned()).await;
    server.close().await;
    assert_eq!(client.await.unwrap(), Some(close(1001, "server shutting down")));
}
