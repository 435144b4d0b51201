//! Messages that the codec cannot read, and those that it need not.

use std::time::Duration;

use bytes::Bytes;
use wspulse::codec::{Codec, DecodeError, EncodeError, InboundMessage, MessagePackCodec};
use wspulse::testing::{Received, Recorder, masked};
use wspulse::{DuplicatePolicy, Frame, MessageKind, Server};

use crate::support::clients::{close, dial, echoes, numbered, text};
use crate::support::house::{echo, open_house};
use crate::support::logs::Logs;

/// What is no frame in JSON.
const UNDECODABLE: [&str; 12] = [
    "",
    " ",
    "hello",
    "null",
    "[]",
    "7",
    r#""text""#,
    r#"{"event":7}"#,
    r#"{"id":7}"#,
    r#"{"event":"a","event":"b"}"#,
    r#"{"event":"a"} {}"#,
    r#"{"payload":}"#,
];

#[tokio::test(start_paused = true)]
async fn an_undecodable_message_is_dropped_and_the_connection_stays() {
    let server = echo().build().unwrap();
    let mut client = dial(&server, "ann").await;
    for (number, message) in UNDECODABLE.iter().enumerate() {
        client.write_message(MessageKind::Text, message.as_bytes()).await.unwrap();
        // The next thing that comes back is the echo of the next frame.
        echoes(&mut client, number).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_message_is_counted_as_received_and_as_undecodable() {
    let recorder = Recorder::default();
    let server = echo().metrics(recorder.clone()).build().unwrap();
    let mut client = dial(&server, "ann").await;
    client.write_message(MessageKind::Text, b"nonsense").await.unwrap();
    client.write_message(MessageKind::Binary, b"nonsense").await.unwrap();
    echoes(&mut client, 1).await;
    assert_eq!(recorder.count("message_received lobby 8"), 2);
    assert_eq!(recorder.count("message_undecodable lobby ann 8"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_message_is_logged_with_who_sent_it_and_why_but_not_what() {
    let logs = Logs::capture();
    let server = echo().build().unwrap();
    let mut client = dial(&server, "ann").await;
    client.write_message(MessageKind::Text, br#"{"event":"secret"#).await.unwrap();
    echoes(&mut client, 1).await;
    let line = logs.one("WARN", "undecodable");
    for part in ["id=ann", "room=lobby", "payload_bytes=16", "error="] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("secret"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_undecodable_messages_is_one_line_for_each_transport() {
    let logs = Logs::capture();
    let server = echo()
        .resume_window(Duration::from_mins(1))
        .duplicates(DuplicatePolicy::Resume)
        .build()
        .unwrap();
    // The second transport is one of the same session.
    for number in 1..=2 {
        let mut client = dial(&server, "ann").await;
        for _ in 0..10 {
            client.write_message(MessageKind::Text, b"nonsense").await.unwrap();
        }
        echoes(&mut client, number).await;
    }
    assert_eq!(logs.all("WARN", "undecodable").len(), 2);
    assert_eq!(logs.all("DEBUG", "undecodable").len(), 18);
}

#[tokio::test(start_paused = true)]
async fn binary_messages_are_decoded_like_text_ones() {
    let server = echo().build().unwrap();
    let mut client = dial(&server, "ann").await;
    let message = br#"{"event":"greet","payload":[1]}"#;
    client.write_message(MessageKind::Binary, message).await.unwrap();
    assert_eq!(client.receive().await.unwrap(), text(r#"{"event":"greet","payload":[1]}"#));
}

#[tokio::test(start_paused = true)]
async fn text_in_a_binary_message_need_not_be_utf8_for_the_connection_to_stay() {
    let server = echo().build().unwrap();
    let mut client = dial(&server, "ann").await;
    client.write_message(MessageKind::Binary, b"{\"event\":\"\xff\"}").await.unwrap();
    // Undecodable or not, it is no violation of the protocol.
    client.send(&numbered(1)).await.unwrap();
    while client.frame().await.unwrap() != numbered(1) {}
}

#[tokio::test(start_paused = true)]
async fn without_a_message_callback_messages_are_counted_but_not_decoded() {
    let recorder = Recorder::default();
    let server = open_house().codec(Undecided).metrics(recorder.clone()).build().unwrap();
    let mut client = dial(&server, "ann").await;
    client.write_raw(&masked(0x81, b"nonsense")).await.unwrap();
    client.ping(b"").await.unwrap();
    assert_eq!(client.receive().await.unwrap(), Received::Pong(Bytes::new()));
    assert_eq!(recorder.count("message_received lobby 8"), 1);
    assert_eq!(recorder.count("message_undecodable lobby ann 8"), 0);
    client.close(None).await.unwrap();
    assert_eq!(client.receive().await.unwrap(), Received::Close(None));
}

/// Panics when asked to decode; speaks of binary messages as such.
struct Undecided;

impl Codec for Undecided {
    fn kind(&self, frame: &Frame) -> MessageKind {
        if frame.event() == "binary" { MessageKind::Binary } else { MessageKind::Text }
    }

    fn encode(&self, frame: &Frame, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(frame.payload());
        Ok(())
    }

    fn decode(&self, _message: InboundMessage<'_>) -> Result<Frame, DecodeError> {
        panic!("nobody wants to know")
    }
}

#[tokio::test(start_paused = true)]
async fn the_codec_says_whether_messages_go_out_as_text_or_binary() {
    let server = open_house().codec(Undecided).build().unwrap();
    let mut client = dial(&server, "ann").await;
    for event in ["text", "binary"] {
        server.broadcast("lobby", Frame::new(event).with_payload("x")).unwrap();
    }
    assert_eq!(client.receive().await.unwrap(), text("x"));
    let binary = Received::Message(MessageKind::Binary, "x".into());
    assert_eq!(client.receive().await.unwrap(), binary);
}

#[tokio::test(start_paused = true)]
async fn one_codec_serves_all_connections() {
    let server: Server = echo().codec(MessagePackCodec).build().unwrap();
    let frame = Frame::new("n").msgpack(&7).unwrap();
    let mut message = Vec::new();
    MessagePackCodec.encode(&frame, &mut message).unwrap();
    for id in ["ann", "ben"] {
        let mut client = dial(&server, id).await;
        client.write_message(MessageKind::Text, b"{}").await.unwrap();
        client.write_message(MessageKind::Binary, &message).await.unwrap();
        let echo = Received::Message(MessageKind::Binary, message.clone().into());
        assert_eq!(client.receive().await.unwrap(), echo);
        server.kick(id).unwrap();
        assert_eq!(client.closed().await.unwrap(), Some(close(1000, "kicked")));
    }
}
