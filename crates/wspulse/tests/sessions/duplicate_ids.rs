//! Two clients with one id: the policy says whether the second replaces the first or is the first.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::sleep;
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{
    CloseCode, CloseFrame, ConnectionState, Disconnect, DisconnectReason, DuplicatePolicy,
    TransportLost,
};

use crate::support::clients::{Client, dial, hears_nothing, number, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::house::open_house;
use crate::support::stage::Stage;

fn duplicate() -> CloseFrame {
    CloseFrame::new(CloseCode::NORMAL, "duplicate connection id")
}

fn moving() -> Stage {
    Stage::new(|builder| builder.resume_window(WINDOW).duplicates(DuplicatePolicy::Resume))
}

/// A client whose transport comes only when it is attached.
async fn half_open(stage: &Stage) -> (wspulse::http::Accepted, tokio::io::DuplexStream, Client) {
    let handshake = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    let accepted = handshake.connect().await.unwrap();
    let (ours, theirs) = tokio::io::duplex(1024);
    (accepted, theirs, TestClient::new(ours))
}

#[tokio::test(start_paused = true)]
async fn a_second_client_replaces_the_first() {
    for window in [Duration::ZERO, WINDOW] {
        let mut stage = Stage::new(|builder| builder.resume_window(window));
        let (mut first, before) = stage.join("ann").await;
        let mut second = dial(&stage.server, "ann").await;
        assert_eq!(before.state(), ConnectionState::Closed);
        let end = stage.disconnected().await;
        assert!(matches!(end, Disconnect::Duplicate));
        assert_eq!(end.reason(), DisconnectReason::Duplicate);
        let after = stage.connected().await;
        assert_ne!(after, before);
        assert_eq!(first.closed().await.unwrap(), Some(duplicate()));
        stage.server.send("ann", numbered(1)).unwrap();
        assert_eq!(numbers(&mut second, 1).await, [1]);
        assert_eq!(stage.server.connections("lobby"), [after]);
        stage.is_silent().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_client_gets_what_was_accepted_for_it() {
    let mut stage = Stage::plain();
    let (mut first, before) = stage.join_narrow("ann", 16).await;
    for number in 0..10 {
        before.send(numbered(number)).unwrap();
    }
    let mut second = dial(&stage.server, "ann").await;
    assert_eq!(numbers(&mut first, 10).await, (0..10).collect::<Vec<_>>());
    assert_eq!(first.closed().await.unwrap(), Some(duplicate()));
    hears_nothing(&mut second).await;
}

#[tokio::test(start_paused = true)]
async fn the_second_client_may_choose_another_room() {
    let mut stage = Stage::resuming();
    let (_first, _) = stage.join("ann").await;
    let _second = TestClient::connect(&stage.server, "/ws?id=ann&room=attic").await.unwrap();
    stage.disconnected().await;
    assert_eq!(stage.connected().await.room_id(), "attic");
    assert!(stage.server.connections("lobby").is_empty());
    assert_eq!(stage.server.room_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_begins_when_the_one_before_has_ended_with_slow_callbacks() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let disconnect = tell.clone();
    let slow = Duration::from_secs(3);
    let server = open_house()
        .on_connect(move |_| {
            let tell = tell.clone();
            async move {
                tell.send("connect begins").unwrap();
                sleep(slow).await;
                tell.send("connect ends").unwrap();
            }
        })
        .on_disconnect(move |_, _| {
            let tell = disconnect.clone();
            async move {
                tell.send("disconnect begins").unwrap();
                sleep(slow).await;
                tell.send("disconnect ends").unwrap();
            }
        })
        .build()
        .unwrap();
    let life = ["connect begins", "connect ends", "disconnect begins", "disconnect ends"];
    // Three at once, the second replaced before its own first callback could begin.
    let _clients =
        [dial(&server, "ann").await, dial(&server, "ann").await, dial(&server, "ann").await];
    for event in [&life[..], &life[..], &life[..2]].concat() {
        assert_eq!(told.recv().await.unwrap(), event);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kicked_client_that_returns_begins_when_the_one_before_has_ended() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let disconnect = tell.clone();
    let server = open_house()
        .on_connect(move |_| tell.send("connect").unwrap())
        .on_disconnect(move |_, _| {
            let tell = disconnect.clone();
            async move {
                sleep(Duration::from_secs(3)).await;
                tell.send("disconnect").unwrap();
            }
        })
        .build()
        .unwrap();
    let _first = dial(&server, "ann").await;
    server.kick("ann").unwrap();
    let _second = dial(&server, "ann").await;
    for event in ["connect", "disconnect", "connect"] {
        assert_eq!(told.recv().await.unwrap(), event);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connected_session_moves_to_the_new_transport() {
    let mut stage = moving();
    let (mut first, before) = stage.join("ann").await;
    first.send(&numbered(1)).await.unwrap();
    assert_eq!(number(&stage.message().await), 1);
    let mut second = dial(&stage.server, "ann").await;
    assert!(matches!(stage.dropped().await, TransportLost::Superseded));
    assert_eq!(stage.restored().await, before);
    assert_eq!(first.closed().await.unwrap(), Some(duplicate()));
    second.send(&numbered(2)).await.unwrap();
    assert_eq!(number(&stage.message().await), 2);
    before.send(numbered(3)).unwrap();
    assert_eq!(numbers(&mut second, 1).await, [3]);
    assert_eq!(stage.server.connection_count(), 1);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_session_loses_nothing_that_waited() {
    let mut stage = moving();
    let (first, connection) = stage.join_narrow("ann", 8).await;
    for number in 0..10 {
        connection.send(numbered(number)).unwrap();
    }
    // A part of the first frame has reached the old client.
    let mut first = first.into_stream();
    let mut part = [0; 4];
    first.read_exact(&mut part).await.unwrap();
    assert_eq!(part[..2], [0x81, 25]);
    let mut second = dial(&stage.server, "ann").await;
    assert_eq!(numbers(&mut second, 10).await, (0..10).collect::<Vec<_>>());
    hears_nothing(&mut second).await;
    let stats = connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.dropped, stats.pending), (10, 10, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_old_transport_of_a_moved_session_ends_at_a_frame() {
    let mut stage = moving();
    let (mut first, connection) = stage.join_narrow("ann", 8).await;
    connection.send(numbered(1)).unwrap();
    connection.send(numbered(2)).unwrap();
    settle().await;
    let _second = dial(&stage.server, "ann").await;
    // The frame that was half written is finished, then the close frame tells why.
    assert!(matches!(first.receive().await.unwrap(), Received::Message(..)));
    assert_eq!(first.receive().await.unwrap(), Received::Close(Some(duplicate())));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_old_transport_is_no_loss_any_more() {
    let mut stage = moving();
    let (first, connection) = stage.join("ann").await;
    let mut second = dial(&stage.server, "ann").await;
    stage.dropped().await;
    stage.restored().await;
    drop(first);
    stage.is_silent().await;
    assert_eq!(connection.state(), ConnectionState::Connected);
    connection.send(numbered(1)).unwrap();
    assert_eq!(numbers(&mut second, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_connected_session_keeps_its_transport_if_the_new_one_fails() {
    let mut stage = moving();
    let (mut first, connection) = stage.join("ann").await;
    let (accepted, _, _) = half_open(&stage).await;
    drop(accepted);
    stage.is_silent().await;
    connection.send(numbered(1)).unwrap();
    assert_eq!(numbers(&mut first, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_third_client_displaces_one_that_still_resumes() {
    let mut stage = Stage::resuming();
    let (first, before) = stage.join("ann").await;
    drop(first);
    stage.dropped().await;
    before.send(numbered(1)).unwrap();
    let (accepted, theirs, mut second) = half_open(&stage).await;
    settle().await;
    let mut third = dial(&stage.server, "ann").await;
    assert_eq!(stage.restored().await, before);
    accepted.attach(theirs, &[]);
    assert_eq!(second.closed().await.unwrap(), Some(duplicate()));
    assert_eq!(numbers(&mut third, 1).await, [1]);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_third_client_displaces_one_whose_task_has_not_seen_it_yet() {
    let mut stage = Stage::resuming();
    let (first, before) = stage.join("ann").await;
    drop(first);
    stage.dropped().await;
    before.send(numbered(1)).unwrap();
    // Both come without the session's task running in between.
    let (mut second, mut third) =
        tokio::join!(biased; dial(&stage.server, "ann"), dial(&stage.server, "ann"));
    assert_eq!(stage.restored().await, before);
    assert_eq!(second.closed().await.unwrap(), Some(duplicate()));
    assert_eq!(numbers(&mut third, 1).await, [1]);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_replaced_while_it_comes_up_is_told() {
    let mut stage = Stage::plain();
    let (accepted, theirs, mut first) = half_open(&stage).await;
    let mut second = dial(&stage.server, "ann").await;
    let before = stage.connected().await;
    assert!(matches!(stage.disconnected().await, Disconnect::Duplicate));
    assert_ne!(stage.connected().await, before);
    accepted.attach(theirs, &[]);
    assert_eq!(first.closed().await.unwrap(), Some(duplicate()));
    stage.server.send("ann", numbered(1)).unwrap();
    assert_eq!(numbers(&mut second, 1).await, [1]);
}
