//! With `announce_sessions` a plain client hears first whether it has its session, and what follows.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::time::Duration;

use tokio::io::DuplexStream;
use wspulse::codec::{
    CborCodec, Codec, DecodeError, EncodeError, InboundMessage, MessagePackCodec, ProtobufCodec,
};
use wspulse::testing::{Received, Recorder, TestClient, request_parts};
use wspulse::{
    CloseCode, Connection, ConnectionState, Delivery, DuplicatePolicy, Frame, MessageKind,
    ServerBuilder,
};
use wspulse_core::protocol::SessionKind;

use crate::support::bounds::{assert_refused, assert_valid};
use crate::support::clients::{Client, dial, hears_nothing, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::speaker::{Speaker, frame as heard};
use crate::support::stage::Stage;

const ANN: &str = "/ws?id=ann";

fn announcing(builder: ServerBuilder) -> ServerBuilder {
    builder.resume_window(WINDOW).announce_sessions(true)
}

/// The text of the next message.
async fn text(client: &mut Client) -> String {
    match client.receive().await.unwrap() {
        Received::Message(MessageKind::Text, text) => String::from_utf8(text.to_vec()).unwrap(),
        other => panic!("a text was due, {other:?} came"),
    }
}

const NEW: &str = r#"{"event":"session","payload":{"session":"new","replay":0}}"#;

fn resumed(replay: usize) -> String {
    format!(r#"{{"event":"session","payload":{{"session":"resumed","replay":{replay}}}}}"#)
}

/// A client that has joined and dropped out again.
async fn suspended(stage: &mut Stage) -> Connection {
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    connection
}

#[tokio::test(start_paused = true)]
async fn a_new_session_is_announced_before_all_else() {
    let stage = Stage::new(|builder| {
        announcing(builder).on_connect(|connection| connection.send(numbered(1)).unwrap())
    });
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(text(&mut ann).await, NEW);
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_session_is_announced_with_what_has_waited_before_that() {
    let mut stage = Stage::new(announcing);
    let connection = suspended(&mut stage).await;
    for n in 1..=3 {
        connection.send(numbered(n)).unwrap();
    }
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(text(&mut ann).await, resumed(3));
    assert_eq!(numbers(&mut ann, 3).await, [1, 2, 3]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_written_again_is_announced_as_well() {
    let mut stage = Stage::new(|builder| announcing(builder).delivery(Delivery::AtLeastOnce));
    let (mut ann, connection) = stage.join("ann").await;
    assert_eq!(text(&mut ann).await, NEW);
    connection.send(numbered(1)).unwrap();
    connection.send(numbered(2)).unwrap();
    settle().await;
    drop(ann);
    stage.dropped().await;
    connection.send(numbered(3)).unwrap();
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(text(&mut ann).await, resumed(3));
    assert_eq!(numbers(&mut ann, 3).await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_session_with_nothing_to_replay_is_announced_so() {
    let mut stage = Stage::new(announcing);
    suspended(&mut stage).await;
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(text(&mut ann).await, resumed(0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_taken_over_is_an_old_one() {
    let mut stage = Stage::new(|builder| announcing(builder).duplicates(DuplicatePolicy::Resume));
    let (_silent, _connection) = stage.join("ann").await;
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(text(&mut ann).await, resumed(0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_taken_the_place_of_another_is_new() {
    let mut stage = Stage::new(announcing);
    let (_old, _connection) = stage.join("ann").await;
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(text(&mut ann).await, NEW);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_announced_unless_it_is_asked_for() {
    let mut stage = Stage::resuming();
    suspended(&mut stage).await;
    let mut ann = dial(&stage.server, "ann").await;
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn an_announcement_is_no_frame_of_the_applications() {
    let recorder = Recorder::default();
    let mut stage = Stage::new(|builder| announcing(builder).metrics(recorder.clone()));
    let (mut ann, connection) = stage.join("ann").await;
    assert_eq!(text(&mut ann).await, NEW);
    let stats = connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.pending, stats.held_bytes), (0, 0, 0, 0));
    assert_eq!(recorder.sent(), 0);
    connection.send(numbered(1)).unwrap();
    settle().await;
    assert_eq!((connection.outbound_stats().sent, recorder.sent()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_announcement_is_not_asked_for_and_moves_no_number() {
    let mut stage = Stage::new(|builder| announcing(builder).delivery(Delivery::AtLeastOnce));
    let (mut ann, connection) = stage.join("ann").await;
    assert_eq!(text(&mut ann).await, NEW);
    connection.acknowledged().await.expect("nothing was sent");
    connection.send(numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let Received::Ping(question) = ann.receive().await.unwrap() else { panic!("no question") };
    assert_eq!(question[8..], 1_u64.to_be_bytes());
    ann.pong(&question).await.unwrap();
    settle().await;
    assert_eq!(connection.outbound_stats().acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_was_cut_is_not_written_again() {
    let mut stage = Stage::new(announcing);
    // It has taken a part of the announcement, and of nothing else.
    let (ann, connection) = stage.join_narrow("ann", 16).await;
    connection.send(numbered(1)).unwrap();
    settle().await;
    drop(ann);
    stage.dropped().await;
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(text(&mut ann).await, resumed(1));
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_first_transport_never_came_about_is_new_to_whoever_comes() {
    let mut stage = Stage::new(announcing);
    let handshake = stage.server.handshake(request_parts(ANN)).unwrap();
    drop(handshake.connect().await.unwrap());
    let connection = stage.connected().await;
    stage.dropped().await;
    connection.send(numbered(1)).unwrap();
    let mut ann = dial(&stage.server, "ann").await;
    let new = r#"{"event":"session","payload":{"session":"new","replay":1}}"#;
    assert_eq!(text(&mut ann).await, new);
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_its_client_comes_back_is_announced_with_what_is_flushed() {
    let mut stage = Stage::new(announcing);
    let connection = suspended(&mut stage).await;
    connection.send(numbered(1)).unwrap();
    let handshake = stage.server.handshake(request_parts(ANN)).unwrap();
    let accepted = handshake.connect().await.unwrap();
    connection.close();
    settle().await;
    let (server_side, client_side) = tokio::io::duplex(1024);
    accepted.attach(server_side, &[]);
    let mut ann = TestClient::<DuplexStream>::new(client_side);
    assert_eq!(text(&mut ann).await, resumed(1));
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    let close = ann.closed().await.unwrap().unwrap();
    assert_eq!(close.code(), CloseCode::NORMAL);
    assert_eq!(connection.state(), ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn clients_of_the_protocol_have_their_hello_and_no_announcement() {
    let mut stage = Stage::new(|builder| announcing(builder).delivery(Delivery::ExactlyOnce));
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    stage.connected().await.send(Frame::new("a")).unwrap();
    assert_eq!(ann.hear().await, heard("a"));
    drop(ann);
    stage.dropped().await;
    let (mut ann, hello) = Speaker::resume(&stage.server, ANN, &hello.token, 1).await;
    assert_eq!(hello.session, SessionKind::Resumed);
    ann.hears_nothing().await;
    let mut plain = dial(&stage.server, "bob").await;
    assert_eq!(text(&mut plain).await, NEW);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_has_the_event_that_the_application_wants() {
    let stage = Stage::new(|builder| announcing(builder).session_event("hi"));
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(ann.frame().await.unwrap().event(), "hi");
}

#[tokio::test(start_paused = true)]
async fn an_announcement_in_messagepack_is_a_map() {
    let stage = Stage::new(|builder| announcing(builder).codec(MessagePackCodec));
    let mut ann = dial(&stage.server, "ann").await;
    let mut expected = b"\x82\xa5event\xa7session\xa7payload".to_vec();
    expected.extend_from_slice(b"\x82\xa7session\xa3new\xa6replay\x00");
    assert_eq!(
        ann.receive().await.unwrap(),
        Received::Message(MessageKind::Binary, expected.into())
    );
}

#[tokio::test(start_paused = true)]
async fn an_announcement_in_cbor_is_a_map() {
    let stage = Stage::new(|builder| announcing(builder).codec(CborCodec));
    let mut ann = dial(&stage.server, "ann").await;
    let mut expected = b"\xa2\x65event\x67session\x67payload".to_vec();
    expected.extend_from_slice(b"\xa2\x67session\x63new\x66replay\x00");
    assert_eq!(
        ann.receive().await.unwrap(),
        Received::Message(MessageKind::Binary, expected.into())
    );
}

#[tokio::test(start_paused = true)]
async fn an_announcement_in_protobuf_is_json() {
    let stage = Stage::new(|builder| announcing(builder).codec(ProtobufCodec));
    let mut ann = dial(&stage.server, "ann").await;
    let mut expected = b"\x12\x07session\x22\x1c".to_vec();
    expected.extend_from_slice(br#"{"session":"new","replay":0}"#);
    assert_eq!(
        ann.receive().await.unwrap(),
        Received::Message(MessageKind::Binary, expected.into())
    );
}

#[test]
fn the_session_event_has_1_to_128_bytes() {
    let rule = "must have 1 to 128 bytes";
    assert_valid(|builder| builder.session_event("s"));
    assert_valid(|builder| builder.session_event("s".repeat(128)));
    assert_refused(|builder| builder.session_event(""), "session_event", "\"\"", rule);
    let long = "s".repeat(129);
    let value = format!("{long:?}");
    assert_refused(|builder| builder.session_event(&*long), "session_event", &value, rule);
}

/// Writes nothing.
struct Mute;

impl Codec for Mute {
    fn kind(&self, _frame: &Frame) -> MessageKind {
        MessageKind::Text
    }

    fn encode(&self, _frame: &Frame, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Err(EncodeError::new("mute"))
    }

    fn decode(&self, _message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        Ok(Frame::default())
    }
}

#[test]
fn a_codec_that_cannot_write_an_announcement_is_refused() {
    assert_valid(|builder| builder.codec(Mute));
    assert_refused(
        |builder| builder.codec(Mute).announce_sessions(true),
        "announce_sessions",
        "\"the frame cannot be encoded: mute\"",
        "the codec must be able to write an announcement",
    );
}
