//! The hooks of a room's and a connection's life: when, in which order, with which arguments.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use wspulse::testing::{Recorder, request_parts};
use wspulse::{Admission, ConnectionState, DisconnectReason, DuplicatePolicy, Server};

use crate::support::clients::{dial, dial_room};
use crate::support::clock::settle;
use crate::support::house::open_house;

const WINDOW: Duration = Duration::from_secs(30);

fn recorded() -> (Server, Recorder) {
    let recorder = Recorder::default();
    (open_house().metrics(recorder.clone()).build().unwrap(), recorder)
}

fn resumable() -> (Server, Recorder) {
    let recorder = Recorder::default();
    let builder = open_house().metrics(recorder.clone()).resume_window(WINDOW);
    (builder.build().unwrap(), recorder)
}

#[tokio::test(start_paused = true)]
async fn the_first_member_creates_a_room_and_the_last_destroys_it() {
    let (server, recorder) = recorded();
    let _ann = dial(&server, "ann").await;
    let _bob = dial(&server, "bob").await;
    server.kick("ann").unwrap();
    server.kick("bob").unwrap();
    assert_eq!(
        recorder.lives(),
        [
            "room_created lobby",
            "connection_opened lobby ann",
            "connection_opened lobby bob",
            "connection_closed lobby ann 0ns kick",
            "connection_closed lobby bob 0ns kick",
            "room_destroyed lobby",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_room_that_comes_again_is_created_again() {
    let (server, recorder) = recorded();
    for _ in 0..2 {
        let _ann = dial(&server, "ann").await;
        server.kick("ann").unwrap();
    }
    let once = [
        "room_created lobby",
        "connection_opened lobby ann",
        "connection_closed lobby ann 0ns kick",
        "room_destroyed lobby",
    ];
    assert_eq!(recorder.lives(), [once, once].concat());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_the_connections_before_it_destroys_their_rooms() {
    let (server, recorder) = recorded();
    let mut clients = Vec::new();
    for (room, id) in [("a", "1"), ("a", "2"), ("b", "3")] {
        clients.push(dial_room(&server, room, id).await);
    }
    let serving = tokio::spawn(async move {
        for client in &mut clients {
            client.closed().await.unwrap();
        }
    });
    server.close().await;
    serving.await.unwrap();
    let lines = recorder.among(&["connection_closed", "room_destroyed"]);
    let (mut closed, mut destroyed) = (lines[..3].to_vec(), lines[3..].to_vec());
    closed.sort_unstable();
    destroyed.sort_unstable();
    assert_eq!(
        closed,
        [
            "connection_closed a 1 0ns server_close",
            "connection_closed a 2 0ns server_close",
            "connection_closed b 3 0ns server_close",
        ]
    );
    assert_eq!(destroyed, ["room_destroyed a", "room_destroyed b"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_counts_a_suspended_connection_as_closed_once() {
    let (server, recorder) = resumable();
    drop(dial(&server, "ann").await);
    settle().await;
    server.close().await;
    server.close().await;
    assert_eq!(
        recorder.lives(),
        [
            "room_created lobby",
            "connection_opened lobby ann",
            "connection_closed lobby ann 1ms server_close",
            "room_destroyed lobby",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_by_the_only_member_keeps_the_room() {
    let (server, recorder) = recorded();
    let _old = dial(&server, "ann").await;
    let _new = dial(&server, "ann").await;
    assert_eq!(
        recorder.lives(),
        [
            "room_created lobby",
            "connection_opened lobby ann",
            "connection_closed lobby ann 0ns duplicate",
            "connection_opened lobby ann",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_in_another_room_destroys_the_room_that_it_left() {
    let (server, recorder) = recorded();
    let _old = dial_room(&server, "a", "ann").await;
    let _new = dial_room(&server, "b", "ann").await;
    assert_eq!(
        recorder.lives(),
        [
            "room_created a",
            "connection_opened a ann",
            "connection_closed a ann 0ns duplicate",
            "room_created b",
            "connection_opened b ann",
            "room_destroyed a",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_resumed_session_is_counted_as_resumed_and_not_as_opened() {
    let (server, recorder) = resumable();
    drop(dial(&server, "ann").await);
    settle().await;
    let _back = dial_room(&server, "elsewhere", "ann").await;
    settle().await;
    assert_eq!(
        recorder.lives(),
        [
            "room_created lobby",
            "connection_opened lobby ann",
            // The session keeps its room.
            "session_resumed lobby ann",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_moves_to_another_transport_is_counted_as_resumed() {
    let recorder = Recorder::default();
    let builder = open_house().metrics(recorder.clone()).resume_window(WINDOW);
    let server = builder.duplicates(DuplicatePolicy::Resume).build().unwrap();
    let _old = dial(&server, "ann").await;
    settle().await;
    let _new = dial(&server, "ann").await;
    settle().await;
    let ann = "connection_opened lobby ann";
    assert_eq!(recorder.lives(), ["room_created lobby", ann, "session_resumed lobby ann"]);
}

#[tokio::test(start_paused = true)]
async fn a_resumption_whose_upgrade_fails_is_not_counted() {
    let (server, recorder) = resumable();
    drop(dial(&server, "ann").await);
    settle().await;
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    drop(handshake.admit(Admission::room("lobby").id("ann")).await.unwrap());
    settle().await;
    assert_eq!(recorder.only("session_resumed"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_counts_its_suspended_time() {
    let (server, recorder) = resumable();
    let ann = dial(&server, "ann").await;
    sleep(Duration::from_secs(5)).await;
    drop(ann);
    sleep(Duration::from_secs(7)).await;
    let _ann = dial(&server, "ann").await;
    sleep(Duration::from_secs(3)).await;
    server.kick("ann").unwrap();
    assert_eq!(recorder.only("connection_closed"), ["connection_closed lobby ann 15s kick"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_expires_counts_its_whole_window() {
    let (server, recorder) = resumable();
    let ann = dial(&server, "ann").await;
    sleep(Duration::from_secs(5)).await;
    drop(ann);
    sleep(Duration::from_millis(29_999)).await;
    assert_eq!(recorder.only("connection_closed"), [""; 0]);
    sleep(Duration::from_millis(2)).await;
    let expired = "connection_closed lobby ann 35s grace_expired";
    assert_eq!(recorder.only("connection_closed"), [expired]);
    assert_eq!(recorder.only("room_destroyed"), ["room_destroyed lobby"]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_member_keeps_its_room() {
    let (server, recorder) = resumable();
    drop(dial(&server, "ann").await);
    settle().await;
    let _bob = dial(&server, "bob").await;
    server.kick("bob").unwrap();
    assert_eq!(recorder.only("room_destroyed"), [""; 0]);
    server.kick("ann").unwrap();
    assert_eq!(recorder.only("room_destroyed"), ["room_destroyed lobby"]);
}

#[tokio::test(start_paused = true)]
async fn a_close_by_either_side_and_a_lost_transport_are_normal() {
    let (server, recorder) = recorded();
    let mut ann = dial(&server, "ann").await;
    let bob = dial(&server, "bob").await;
    let _cid = dial(&server, "cid").await;
    settle().await;
    ann.close(None).await.unwrap();
    settle().await;
    drop(bob);
    settle().await;
    server.connection("cid").unwrap().close();
    assert_eq!(
        recorder.only("connection_closed"),
        [
            "connection_closed lobby ann 1ms normal",
            "connection_closed lobby bob 2ms normal",
            "connection_closed lobby cid 3ms normal",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_once_however_often_it_is_ended() {
    let (server, recorder) = recorded();
    let mut ann = dial(&server, "ann").await;
    let connection = server.connection("ann").unwrap();
    connection.close();
    connection.close();
    server.kick("ann").unwrap_err();
    ann.closed().await.unwrap();
    server.close().await;
    assert_eq!(recorder.only("connection_closed"), ["connection_closed lobby ann 0ns normal"]);
}

#[tokio::test(start_paused = true)]
async fn the_hooks_of_an_end_come_before_on_disconnect() {
    let recorder = Recorder::default();
    let at_disconnect = Arc::new(Mutex::new(Vec::new()));
    let (seen, hooks) = (Arc::clone(&at_disconnect), recorder.clone());
    let builder = open_house().metrics(recorder.clone());
    let server =
        builder.on_disconnect(move |_, _| *seen.lock().unwrap() = hooks.lives()).build().unwrap();
    drop(dial(&server, "ann").await);
    settle().await;
    assert_eq!(
        *at_disconnect.lock().unwrap(),
        [
            "room_created lobby",
            "connection_opened lobby ann",
            "connection_closed lobby ann 0ns normal",
            "room_destroyed lobby",
        ]
    );
}

#[test]
fn the_labels_of_reasons_are_those_of_the_reference_and_some_more() {
    let labels = DisconnectReason::ALL.map(DisconnectReason::as_str);
    for label in ["normal", "kick", "grace_expired", "server_close", "duplicate"] {
        assert!(labels.contains(&label), "{label}");
    }
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), labels.len(), "{labels:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_first_upgrade_took_too_long_is_suspended_and_can_be_resumed() {
    let (server, recorder) = resumable();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let accepted = handshake.admit(Admission::room("lobby").id("ann")).await.unwrap();
    // The write wait.
    sleep(Duration::from_secs(11)).await;
    drop(accepted);
    let ann = server.connection("ann").unwrap();
    assert_eq!(ann.state(), ConnectionState::Suspended);
    let _ann = dial(&server, "ann").await;
    settle().await;
    let opened = "connection_opened lobby ann";
    assert_eq!(recorder.lives(), ["room_created lobby", opened, "session_resumed lobby ann"]);
}
