//! A kick ends a connection at once, whatever the resume window says.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wspulse::testing::request_parts;
use wspulse::{
    CloseCode, CloseFrame, ConnectionState, Disconnect, DisconnectReason, KickError, SendError,
};

use crate::support::clients::{dial, hears_nothing, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::stage::Stage;

fn kicked() -> CloseFrame {
    CloseFrame::new(CloseCode::NORMAL, "kicked")
}

#[tokio::test(start_paused = true)]
async fn a_kicked_connection_ends_despite_the_window() {
    let mut stage = Stage::resuming();
    let (mut ann, connection) = stage.join("ann").await;
    stage.server.kick("ann").unwrap();
    assert_eq!(ann.closed().await.unwrap(), Some(kicked()));
    let end = stage.disconnected().await;
    assert!(matches!(&end, Disconnect::Kicked(frame) if frame.reason() == "kicked"));
    assert_eq!(end.reason(), DisconnectReason::Kicked);
    assert!(!end.is_normal());
    assert_eq!(connection.state(), ConnectionState::Closed);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_suspended_connection_can_be_kicked() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    let before = Instant::now();
    stage.server.kick("ann").unwrap();
    assert!(matches!(stage.disconnected().await, Disconnect::Kicked(_)));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(connection.state(), ConnectionState::Closed);
    tokio::time::advance(2 * WINDOW).await;
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_kick_tells_the_peer_and_the_application_its_reason() {
    let mut stage = Stage::resuming();
    let (mut ann, _) = stage.join("ann").await;
    stage.server.kick_with_reason("ann", "spam").unwrap();
    let told = CloseFrame::new(CloseCode::NORMAL, "spam");
    assert_eq!(ann.closed().await.unwrap(), Some(told));
    assert!(
        matches!(stage.disconnected().await, Disconnect::Kicked(frame) if frame.reason() == "spam")
    );
}

#[tokio::test(start_paused = true)]
async fn a_kicked_connection_is_gone_when_the_kick_returns() {
    let mut stage = Stage::resuming();
    let (_ann, connection) = stage.join("ann").await;
    stage.server.kick("ann").unwrap();
    assert_eq!(connection.state(), ConnectionState::Closed);
    assert!(stage.server.connections("lobby").is_empty());
    assert!(stage.server.connection("ann").is_none());
    assert_eq!(stage.server.connection_count(), 0);
    assert_eq!(stage.server.room_count(), 0);
    let refused = stage.server.send("ann", numbered(1)).unwrap_err();
    assert!(matches!(refused, SendError::NotFound { .. }));
    let refused = connection.send(numbered(1)).unwrap_err();
    assert!(matches!(refused, SendError::Closed { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_kick_flushes_what_was_accepted_before_it() {
    let mut stage = Stage::resuming();
    let (mut ann, connection) = stage.join_narrow("ann", 16).await;
    for number in 0..20 {
        connection.send(numbered(number)).unwrap();
    }
    stage.server.kick("ann").unwrap();
    assert_eq!(numbers(&mut ann, 20).await, (0..20).collect::<Vec<_>>());
    assert_eq!(ann.closed().await.unwrap(), Some(kicked()));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kicked_by_an_unknown_id() {
    let stage = Stage::resuming();
    let refused = stage.server.kick("ann").unwrap_err();
    assert_eq!(refused, KickError::NotFound { id: "ann".to_owned() });
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kicked_twice() {
    let mut stage = Stage::resuming();
    let (_ann, _) = stage.join("ann").await;
    stage.server.kick("ann").unwrap();
    assert!(matches!(stage.server.kick("ann"), Err(KickError::NotFound { .. })));
    stage.disconnected().await;
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_server_kicks_nobody() {
    let mut stage = Stage::resuming();
    let (ann, _) = stage.join("ann").await;
    drop(ann);
    stage.server.close().await;
    assert_eq!(stage.server.kick("ann"), Err(KickError::ServerClosed));
}

#[tokio::test(start_paused = true)]
async fn a_kick_at_the_instant_of_expiry_ends_it_once() {
    for kick_first in [true, false] {
        let mut stage = Stage::resuming();
        let (ann, _) = stage.join("ann").await;
        drop(ann);
        let expiry = Instant::now() + WINDOW;
        let server = stage.server.clone();
        let kick = async move {
            sleep_until(expiry).await;
            server.kick("ann")
        };
        // The order of the two timers decides who runs first at that instant.
        let kick = if kick_first {
            let kick = tokio::spawn(kick);
            stage.dropped().await;
            kick
        } else {
            stage.dropped().await;
            settle().await;
            tokio::spawn(kick)
        };
        let kicked = kick.await.unwrap();
        match stage.disconnected().await {
            Disconnect::Kicked(_) => assert_eq!(kicked, Ok(())),
            Disconnect::GraceExpired(_) => {
                assert!(matches!(kicked, Err(KickError::NotFound { .. })));
            }
            other => panic!("{other:?} came"),
        }
        stage.is_silent().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_kick_reaches_a_resume_that_is_under_way() {
    let mut stage = Stage::resuming();
    let (ann, _) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    let accepted = handshake.connect().await.unwrap();
    stage.server.kick("ann").unwrap();
    assert!(matches!(stage.disconnected().await, Disconnect::Kicked(_)));
    let (ours, theirs) = tokio::io::duplex(1024);
    accepted.attach(theirs, &[]);
    let mut ann = wspulse::testing::TestClient::new(ours);
    assert_eq!(ann.closed().await.unwrap(), Some(kicked()));
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_kicked_client_that_returns_is_a_new_session() {
    let mut stage = Stage::resuming();
    let (_old, before) = stage.join("ann").await;
    before.send(numbered(1)).unwrap();
    stage.server.kick("ann").unwrap();
    stage.disconnected().await;
    let mut ann = dial(&stage.server, "ann").await;
    let after = stage.connected().await;
    assert_ne!(after, before);
    hears_nothing(&mut ann).await;
}
