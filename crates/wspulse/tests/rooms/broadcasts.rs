//! A broadcast reaches the members of its room, all of them and nobody else.

use wspulse::testing::TestClient;
use wspulse::{BroadcastError, Connection, Frame, SendError};

use crate::support::clients::{Client, hears_nothing, numbered, numbers};
use crate::support::stage::Stage;

/// Connects a client to a room.
async fn enter(stage: &mut Stage, room: &str, id: &str) -> (Client, Connection) {
    let target = format!("/ws?room={room}&id={id}");
    let client = TestClient::connect(&stage.server, &target).await.unwrap();
    (client, stage.connected().await)
}

fn ids(connections: &[Connection]) -> Vec<&str> {
    let mut ids: Vec<_> = connections.iter().map(Connection::id).collect();
    ids.sort_unstable();
    ids
}

/// A frame that the JSON codec refuses.
fn unencodable() -> Frame {
    Frame::new("n").with_payload("{")
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_every_member_of_its_room_and_nobody_else() {
    let mut stage = Stage::plain();
    let (mut ann, _) = enter(&mut stage, "hall", "ann").await;
    let (mut bob, _) = enter(&mut stage, "hall", "bob").await;
    let (mut eve, _) = enter(&mut stage, "attic", "eve").await;
    stage.server.broadcast("hall", numbered(1)).unwrap();
    stage.server.broadcast("attic", numbered(2)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    assert_eq!(numbers(&mut bob, 1).await, [1]);
    assert_eq!(numbers(&mut eve, 1).await, [2]);
    for client in [&mut ann, &mut bob, &mut eve] {
        hears_nothing(client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_members_of_a_broadcast_get_all_its_fields() {
    let mut stage = Stage::plain();
    let (mut ann, _) = enter(&mut stage, "hall", "ann").await;
    let frame = Frame::new("chat").with_id("7").json(&["hi"]).unwrap();
    stage.server.broadcast("hall", frame.clone()).unwrap();
    assert_eq!(ann.frame().await.unwrap(), frame);
    stage.server.send("ann", frame.clone()).unwrap();
    assert_eq!(ann.frame().await.unwrap(), frame);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_can_leave_one_member_out() {
    let mut stage = Stage::plain();
    let (mut ann, ann_connection) = enter(&mut stage, "hall", "ann").await;
    let (mut bob, _) = enter(&mut stage, "hall", "bob").await;
    stage.server.broadcast_except("hall", &ann_connection, numbered(1)).unwrap();
    ann_connection.room().broadcast_except(&ann_connection, numbered(2)).unwrap();
    stage.server.broadcast("hall", numbered(3)).unwrap();
    assert_eq!(numbers(&mut bob, 3).await, [1, 2, 3]);
    assert_eq!(numbers(&mut ann, 1).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn leaving_out_a_member_of_another_room_leaves_out_nobody() {
    let mut stage = Stage::plain();
    let (_eve, outsider) = enter(&mut stage, "attic", "eve").await;
    let (mut bob, _) = enter(&mut stage, "hall", "bob").await;
    stage.server.broadcast_except("hall", &outsider, numbered(1)).unwrap();
    assert_eq!(numbers(&mut bob, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_name_is_a_room_like_any_other() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = enter(&mut stage, "", "ann").await;
    assert_eq!(connection.room_id(), "");
    stage.server.broadcast("", numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_an_unknown_room_is_no_error() {
    let stage = Stage::plain();
    stage.server.broadcast("nowhere", numbered(1)).unwrap();
    assert!(stage.server.connections("nowhere").is_empty());
    assert!(stage.server.room("nowhere").is_empty());
    assert_eq!(stage.server.room_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_cannot_be_encoded_reaches_nobody() {
    let mut stage = Stage::plain();
    let (mut ann, _) = enter(&mut stage, "hall", "ann").await;
    for room in ["hall", "nowhere"] {
        let refused = stage.server.broadcast(room, unencodable()).unwrap_err();
        assert!(matches!(refused, BroadcastError::Encode { .. }));
        assert_eq!(refused.into_frame(), unencodable());
    }
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_send_to_an_unknown_id_gives_the_frame_back() {
    let stage = Stage::plain();
    let refused = stage.server.send("ann", numbered(1)).unwrap_err();
    assert!(matches!(&refused, SendError::NotFound { id, .. } if id == "ann"));
    assert_eq!(refused.into_frame(), numbered(1));
}

#[tokio::test(start_paused = true)]
async fn a_closed_server_sends_and_broadcasts_nothing() {
    let mut stage = Stage::plain();
    let (ann, _) = enter(&mut stage, "hall", "ann").await;
    drop(ann);
    stage.server.close().await;
    let refused = stage.server.broadcast("hall", numbered(1)).unwrap_err();
    assert!(matches!(refused, BroadcastError::ServerClosed { .. }));
    assert_eq!(refused.into_frame(), numbered(1));
    let refused = stage.server.broadcast("hall", unencodable()).unwrap_err();
    assert!(matches!(refused, BroadcastError::ServerClosed { .. }));
    let refused = stage.server.send("ann", numbered(1)).unwrap_err();
    assert!(matches!(refused, SendError::NotFound { .. }));
    assert!(stage.server.connections("hall").is_empty());
    assert!(stage.server.all_connections().is_empty());
    assert_eq!((stage.server.connection_count(), stage.server.room_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn members_are_listed_and_counted_by_room() {
    let mut stage = Stage::plain();
    let (_ann, _) = enter(&mut stage, "hall", "ann").await;
    let (_bob, _) = enter(&mut stage, "hall", "bob").await;
    let (_eve, _) = enter(&mut stage, "attic", "eve").await;
    let server = &stage.server;
    assert_eq!(ids(&server.connections("hall")), ["ann", "bob"]);
    assert_eq!(ids(&server.connections("attic")), ["eve"]);
    assert_eq!(ids(&server.all_connections()), ["ann", "bob", "eve"]);
    assert_eq!(server.connection_count(), 3);
    assert_eq!(server.room_count(), 2);
    assert_eq!(server.room("hall").len(), 2);
    assert_eq!(ids(&server.room("hall").connections()), ["ann", "bob"]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_member_is_listed_and_keeps_its_room() {
    let mut stage = Stage::resuming();
    let (ann, connection) = enter(&mut stage, "hall", "ann").await;
    drop(ann);
    stage.dropped().await;
    assert_eq!(stage.server.connections("hall"), [connection]);
    assert_eq!((stage.server.connection_count(), stage.server.room_count()), (1, 1));
    stage.disconnected().await;
    assert!(stage.server.connections("hall").is_empty());
    assert_eq!((stage.server.connection_count(), stage.server.room_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_room_ends_with_its_last_member_and_can_begin_again() {
    let mut stage = Stage::plain();
    for round in 0..3 {
        let (mut ann, ann_connection) = enter(&mut stage, "hall", "ann").await;
        let (mut bob, bob_connection) = enter(&mut stage, "hall", "bob").await;
        ann_connection.close();
        assert_eq!(ids(&stage.server.connections("hall")), ["bob"]);
        stage.server.broadcast("hall", numbered(round)).unwrap();
        assert_eq!(numbers(&mut bob, 1).await, [round]);
        assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1000);
        bob_connection.close();
        assert_eq!(stage.server.room_count(), 0);
        stage.disconnected().await;
        stage.disconnected().await;
    }
}

#[tokio::test(start_paused = true)]
async fn members_may_leave_in_any_order() {
    let mut stage = Stage::plain();
    let mut members = Vec::new();
    for id in 0..10 {
        members.push(enter(&mut stage, "hall", &id.to_string()).await);
    }
    for leaver in [0, 8, 3, 6, 0, 2] {
        let (_, connection) = members.remove(leaver);
        connection.close();
        let expected: Vec<_> = members.iter().map(|(_, connection)| connection.id()).collect();
        assert_eq!(ids(&stage.server.connections("hall")), expected);
        stage.server.broadcast("hall", numbered(leaver)).unwrap();
        for (client, _) in &mut members {
            assert_eq!(numbers(client, 1).await, [leaver]);
        }
        stage.disconnected().await;
    }
}
