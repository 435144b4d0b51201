//! A session outlives its transports for the length of the resume window, and no longer.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use wspulse::testing::{TestClient, request_parts};
use wspulse::{
    Admission, CloseCode, CloseFrame, ConnectionState, Disconnect, Rejection, Server, TransportLost,
};

use crate::support::clients::{dial, hears_nothing, number, numbered, numbers};
use crate::support::clock::{WINDOW, assert_passed, settle, shortly_before};
use crate::support::stage::{Stage, Told};

#[tokio::test(start_paused = true)]
async fn a_new_id_is_told_as_connected_once() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    assert_eq!(connection.id(), "ann");
    assert_eq!(connection.room_id(), "lobby");
    assert_eq!(connection.state(), ConnectionState::Connected);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_transport_suspends_the_session() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    assert!(matches!(stage.dropped().await, TransportLost::EndOfStream));
    assert_eq!(connection.state(), ConnectionState::Suspended);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_id_within_the_window_resumes_the_same_connection() {
    let mut stage = Stage::resuming();
    let (ann, before) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    let (mut ann, after) = stage.rejoin("ann").await;
    assert_eq!(after, before);
    assert_eq!(before.state(), ConnectionState::Connected);

    ann.send(&numbered(1)).await.unwrap();
    assert_eq!(number(&stage.message().await), 1);
    before.send(numbered(2)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [2]);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_resumed_session_keeps_its_room_and_its_data() {
    let server = Server::builder_sync(|request| {
        let room = request.query("room").unwrap_or_default();
        Ok(Admission::room(&*room).id("ann").data(room.into_owned()))
    })
    .resume_window(WINDOW)
    .build()
    .unwrap();
    drop(TestClient::connect(&server, "/ws?room=first").await.unwrap());
    settle().await;
    let _ann = TestClient::connect(&server, "/ws?room=second").await.unwrap();
    settle().await;

    let connection = server.connection("ann").unwrap();
    assert_eq!(connection.state(), ConnectionState::Connected);
    assert_eq!(connection.room_id(), "first");
    assert_eq!(connection.data::<String>().unwrap(), "first");
    assert_eq!(server.connections("first"), [connection]);
    assert!(server.connections("second").is_empty());
}

#[tokio::test(start_paused = true)]
async fn any_close_by_the_client_suspends() {
    let mut stage = Stage::resuming();
    for code in [None, Some(1000), Some(1001), Some(1011), Some(4000)] {
        let frame = code.map(|code| CloseFrame::new(CloseCode::new(code).unwrap(), "bye"));
        let (mut ann, connection) = stage.join("ann").await;
        ann.close(frame.as_ref()).await.unwrap();
        assert!(
            matches!(stage.dropped().await, TransportLost::PeerClosed(cause) if cause == frame)
        );
        assert_eq!(connection.state(), ConnectionState::Suspended);
        let (_ann, _) = stage.rejoin("ann").await;
        stage.server.kick("ann").unwrap();
        stage.disconnected().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_as_often_as_its_client_returns() {
    let mut stage = Stage::resuming();
    let (mut ann, connection) = stage.join("ann").await;
    for round in 0..20 {
        drop(ann);
        stage.dropped().await;
        connection.send(numbered(round)).unwrap();
        let after;
        (ann, after) = stage.rejoin("ann").await;
        assert_eq!(after, connection);
        assert_eq!(numbers(&mut ann, 1).await, [round]);
    }
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn the_window_expires_exactly_at_its_end() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    let lost_at = Instant::now();
    sleep(shortly_before(WINDOW)).await;
    assert_eq!(connection.state(), ConnectionState::Suspended);
    stage.is_silent().await;
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::GraceExpired(TransportLost::EndOfStream)));
    assert_passed(lost_at, WINDOW);
    assert_eq!(connection.state(), ConnectionState::Closed);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn every_loss_has_a_whole_window() {
    let mut stage = Stage::resuming();
    let (mut ann, _) = stage.join("ann").await;
    for _ in 0..3 {
        drop(ann);
        stage.dropped().await;
        sleep(WINDOW * 9 / 10).await;
        (ann, _) = stage.rejoin("ann").await;
    }
    drop(ann);
    stage.dropped().await;
    let lost_at = Instant::now();
    stage.disconnected().await;
    assert_passed(lost_at, WINDOW);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_be_silent_until_it_is_missed_and_away_for_the_window_besides() {
    let silence = Duration::from_secs(3);
    let mut stage =
        Stage::new(|builder| builder.resume_window(WINDOW).heartbeat(silence / 3, silence));
    // The network is gone, and nothing tells of it.
    let (_ann, before) = stage.join("ann").await;
    let silent_since = Instant::now();
    assert!(matches!(stage.dropped().await, TransportLost::PongTimeout));
    assert_passed(silent_since, silence);
    sleep(shortly_before(WINDOW)).await;
    let (_ann, connection) = stage.rejoin("ann").await;
    assert_eq!(connection, before);
}

#[tokio::test(start_paused = true)]
async fn after_the_window_the_id_begins_anew() {
    let mut stage = Stage::resuming();
    let (ann, before) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    before.send(numbered(1)).unwrap();
    stage.disconnected().await;
    let (mut ann, after) = stage.join("ann").await;
    assert_ne!(after, before);
    hears_nothing(&mut ann).await;
    assert_eq!(before.state(), ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_return_at_the_very_end_of_the_window_resumes_or_begins_anew() {
    for early in [true, false] {
        let mut stage = Stage::resuming();
        let (ann, before) = stage.join("ann").await;
        let server = stage.server.clone();
        drop(ann);
        // The order of the two timers decides who runs first at that instant.
        let returning = |at| async move {
            tokio::time::sleep_until(at).await;
            dial(&server, "ann").await
        };
        let task = if early {
            let task = tokio::spawn(returning(Instant::now() + WINDOW));
            stage.dropped().await;
            task
        } else {
            stage.dropped().await;
            let lost_at = Instant::now();
            settle().await;
            tokio::spawn(returning(lost_at + WINDOW))
        };
        let mut ann = task.await.unwrap();
        let now = match stage.next().await {
            Told::Restore(connection) => {
                assert_eq!(connection, before);
                connection
            }
            Told::Disconnect(connection, Disconnect::GraceExpired(_)) => {
                assert_eq!(connection, before);
                stage.connected().await
            }
            other => panic!("{other:?} came"),
        };
        now.send(numbered(1)).unwrap();
        assert_eq!(numbers(&mut ann, 1).await, [1]);
        stage.is_silent().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_on_its_way_holds_the_expiry() {
    let mut stage = Stage::resuming();
    let (ann, before) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    sleep(shortly_before(WINDOW)).await;
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    let accepted = handshake.connect().await.unwrap();
    sleep(Duration::from_secs(5)).await;
    let (ours, theirs) = tokio::io::duplex(1024);
    accepted.attach(theirs, &[]);
    assert_eq!(stage.restored().await, before);
    before.send(numbered(1)).unwrap();
    assert_eq!(numbers(&mut TestClient::new(ours), 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_fails_to_come_leaves_the_old_deadline() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    let lost_at = Instant::now();
    sleep(WINDOW / 2).await;
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    drop(handshake.connect().await.unwrap());
    stage.is_silent().await;
    assert_eq!(connection.state(), ConnectionState::Suspended);
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::GraceExpired(TransportLost::EndOfStream)));
    assert_passed(lost_at, WINDOW);
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_never_comes_leaves_the_old_deadline() {
    let write_wait = Duration::from_secs(5);
    let mut stage = Stage::new(|builder| builder.resume_window(WINDOW).write_wait(write_wait));
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    let lost_at = Instant::now();
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    let _accepted = handshake.connect().await.unwrap();
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::GraceExpired(TransportLost::EndOfStream)));
    assert_passed(lost_at, WINDOW);
    assert_eq!(connection.state(), ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_first_transport_that_never_comes_leaves_a_suspended_session() {
    let write_wait = Duration::from_secs(5);
    let mut stage = Stage::new(|builder| builder.resume_window(WINDOW).write_wait(write_wait));
    let started_at = Instant::now();
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    let _accepted = handshake.connect().await.unwrap();
    let before = stage.connected().await;
    assert!(matches!(stage.dropped().await, TransportLost::UpgradeFailed(_)));
    assert_passed(started_at, write_wait);
    assert_eq!(before.state(), ConnectionState::Suspended);
    let (_ann, after) = stage.rejoin("ann").await;
    assert_eq!(after, before);
}

#[tokio::test(start_paused = true)]
async fn without_a_window_a_lost_transport_ends_the_connection() {
    let mut stage = Stage::plain();
    let (ann, before) = stage.join("ann").await;
    drop(ann);
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::EndOfStream)));
    assert_eq!(before.state(), ConnectionState::Closed);
    let (_ann, after) = stage.join("ann").await;
    assert_ne!(after, before);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_refused_does_not_touch_the_session_whose_id_it_claims() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::builder_sync(|request| match request.query("token").as_deref() {
        Some("anns own") => Ok(Admission::room("lobby").id("ann")),
        _ => Err(Rejection::unauthorized()),
    })
    .resume_window(WINDOW)
    .on_transport_restore(move |_, _| tell.send(()).unwrap())
    .build()
    .unwrap();
    let ann = TestClient::connect(&server, "/ws?token=anns%20own").await.unwrap();
    drop(ann);
    settle().await;
    let connection = server.connection("ann").unwrap();
    connection.send(numbered(1)).unwrap();

    assert!(TestClient::connect(&server, "/ws?id=ann&token=guessed").await.is_err());
    settle().await;
    assert_eq!(connection.state(), ConnectionState::Suspended);
    assert_eq!(connection.outbound_stats().pending, 1);
    assert!(told.try_recv().is_err());

    let mut ann = TestClient::connect(&server, "/ws?token=anns%20own").await.unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}
