//! What the server's operations fail with: the frame comes back, causes stay reachable.

use std::error::Error as _;

use wspulse::codec::JsonError;
use wspulse::router::{ExtractError, HandlerError};
use wspulse::testing::TestClient;
use wspulse::{
    BroadcastError, BufferLimit, Disconnect, Frame, KickError, RequestError, SendError, Server,
    ServerClosed, TransportLost,
};

use crate::support::clients::{close, dial};
use crate::support::house::{echo, open_house};

/// A frame to recognise.
fn letter() -> Frame {
    Frame::new("letter").with_id("1").with_payload(r#""dear""#)
}

/// A frame whose payload is no JSON.
fn illegible() -> Frame {
    Frame::new("letter").with_payload("\"dear")
}

fn server() -> Server {
    open_house().build().unwrap()
}

/// A large error makes every `Result` around it as large, and clippy say so in the code of whoever has
/// functions that return one.
#[test]
fn an_error_that_gives_a_frame_back_is_small() {
    assert!(size_of::<SendError>() <= 64, "{}", size_of::<SendError>());
    assert!(size_of::<BroadcastError>() <= 64, "{}", size_of::<BroadcastError>());
    assert!(size_of::<RequestError>() <= 64, "{}", size_of::<RequestError>());
}

#[tokio::test]
async fn sending_to_nobody_gives_the_frame_back() {
    let error = server().send("ann", letter()).unwrap_err();
    assert!(matches!(&error, SendError::NotFound { id, .. } if id == "ann"));
    assert_eq!(error.to_string(), r#"wspulse: connection "ann" not found"#);
    assert!(error.source().is_none());
    assert_eq!(error.into_frame(), letter());
}

#[tokio::test]
async fn sending_to_an_ended_connection_gives_the_frame_back() {
    let server = server();
    let _ann = dial(&server, "ann").await;
    let connection = server.connection("ann").unwrap();
    connection.close();
    let error = connection.send(letter()).unwrap_err();
    assert!(matches!(error, SendError::Closed { .. }));
    assert_eq!(error.to_string(), "wspulse: connection is closed");
    assert!(error.source().is_none());
    assert_eq!(error.into_frame(), letter());
}

#[tokio::test]
async fn that_a_connection_has_ended_is_told_before_a_frame_is_looked_at() {
    let server = server();
    let _ann = dial(&server, "ann").await;
    let connection = server.connection("ann").unwrap();
    connection.close();
    assert!(matches!(connection.send(illegible()), Err(SendError::Closed { .. })));
}

#[tokio::test(start_paused = true)]
async fn sending_to_a_full_buffer_gives_the_frame_back() {
    let server = echo().send_buffer_size(2).build().unwrap();
    let _ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 16).await.unwrap();
    let error = std::iter::repeat_with(|| server.send("ann", letter()))
        .take(3)
        .find_map(Result::err)
        .expect("two frames may wait");
    assert!(matches!(
        error,
        SendError::Full { limit: BufferLimit::Frames { capacity_frames: 2 }, .. }
    ));
    assert_eq!(error.to_string(), "wspulse: send buffer full at 2 frames, frame not accepted");
    assert!(error.source().is_none());
    assert_eq!(error.into_frame(), letter());
}

#[tokio::test]
async fn a_frame_that_cannot_be_encoded_comes_back_from_a_send_with_the_codecs_error() {
    let server = server();
    let _ann = dial(&server, "ann").await;
    let error = server.send("ann", illegible()).unwrap_err();
    assert!(matches!(error, SendError::Encode { .. }));
    let told = r#"wspulse: frame with event "letter" cannot be encoded: "#;
    assert_eq!(error.to_string(), format!("{told}{}", error.source().unwrap()));
    assert!(error.source().unwrap().is::<JsonError>(), "unwrapped");
    assert_eq!(error.into_frame(), illegible());
    assert_eq!(server.connection("ann").unwrap().outbound_stats().accepted, 0);
}

#[tokio::test]
async fn a_frame_that_cannot_be_encoded_comes_back_from_a_broadcast_with_the_codecs_error() {
    for room in ["lobby", "nowhere"] {
        let error = server().broadcast(room, illegible()).unwrap_err();
        assert!(matches!(error, BroadcastError::Encode { .. }));
        let told = r#"wspulse: frame with event "letter" cannot be encoded: "#;
        assert_eq!(error.to_string(), format!("{told}{}", error.source().unwrap()));
        assert!(error.source().unwrap().is::<JsonError>(), "unwrapped");
        assert_eq!(error.into_frame(), illegible());
    }
}

#[tokio::test]
async fn a_room_without_members_is_no_error() {
    assert!(server().broadcast("nowhere", letter()).is_ok());
}

#[tokio::test]
async fn a_broadcast_after_the_end_gives_the_frame_back() {
    let server = server();
    server.close().await;
    for frame in [letter(), illegible()] {
        let error = server.broadcast("lobby", frame.clone()).unwrap_err();
        assert!(matches!(error, BroadcastError::ServerClosed { .. }));
        assert_eq!(error.to_string(), "wspulse: server is closed");
        assert!(error.source().is_none());
        assert_eq!(error.into_frame(), frame);
    }
}

#[tokio::test]
async fn kicking_nobody_says_whom() {
    let server = server();
    let error = server.kick("ann").unwrap_err();
    assert_eq!(error, KickError::NotFound { id: "ann".to_owned() });
    assert_eq!(error.to_string(), r#"wspulse: connection "ann" not found"#);
    let _ann = dial(&server, "ann").await;
    assert_eq!(server.kick("ann"), Ok(()));
    assert_eq!(server.kick("ann"), Err(error), "once is enough");
}

#[tokio::test]
async fn kicking_after_the_end_says_so() {
    let server = server();
    server.close().await;
    let error = server.kick("ann").unwrap_err();
    assert_eq!(error, KickError::ServerClosed);
    assert_eq!(error.to_string(), "wspulse: server is closed");
    assert_eq!(ServerClosed.to_string(), error.to_string());
}

#[tokio::test]
async fn the_reason_of_an_end_leads_to_its_cause() {
    let io = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let end = Disconnect::TransportLost(TransportLost::Io(std::sync::Arc::new(io)));
    assert_eq!(end.to_string(), "transport lost: transport failed: connection reset");
    let cause = end.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn every_end_says_what_happened() {
    let lost = TransportLost::PeerClosed(Some(close(4000, "bye")));
    for (end, text) in [
        (Disconnect::Closed, "closed by the application"),
        (
            Disconnect::Kicked(wspulse::CloseFrame::new(wspulse::CloseCode::NORMAL, "kicked")),
            "kicked: kicked",
        ),
        (Disconnect::Duplicate, "replaced by a connection with the same id"),
        (Disconnect::ServerClosed, "server closed"),
        (Disconnect::TransportLost(lost.clone()), "transport lost: peer closed with 4000 (bye)"),
        (
            Disconnect::GraceExpired(lost),
            "not resumed within the window after: peer closed with 4000 (bye)",
        ),
    ] {
        assert_eq!(end.to_string(), text);
    }
}

#[test]
fn what_a_client_is_told_of_a_failure_holds_nothing_of_the_applications_errors() {
    let own = HandlerError::from("password of db-7 is wrong");
    assert_eq!(own.for_client(), "internal error");
    let payload = letter().to_json::<Vec<u8>>().unwrap_err();
    let unfit = HandlerError::Extract(ExtractError::Payload(payload));
    assert_eq!(unfit.for_client(), "the payload does not fit the event");
}

#[test]
fn a_payload_that_does_not_fit_says_why() {
    let error = Frame::new("e").json(&7).unwrap().to_json::<String>().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("invalid type: integer `7`, expected a string"), "{text}");
}
