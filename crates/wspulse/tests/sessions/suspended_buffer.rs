//! What is sent to a suspended session waits for its client: the newest frames, up to the bound.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::advance;
use wspulse::testing::TestClient;
use wspulse::{Connection, OutboundStats, SendError};

use crate::support::clients::{Client, hears_nothing, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::stage::Stage;

fn buffering(frames: usize) -> Stage {
    Stage::new(|builder| builder.resume_window(WINDOW).send_buffer_size(frames))
}

/// A suspended session to which nothing was sent.
async fn suspended(stage: &mut Stage) -> Connection {
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    connection
}

#[tokio::test(start_paused = true)]
async fn sends_and_broadcasts_wait_for_the_client() {
    let mut stage = Stage::resuming();
    let connection = suspended(&mut stage).await;
    connection.send(numbered(0)).unwrap();
    stage.server.broadcast("lobby", numbered(1)).unwrap();
    stage.server.send("ann", numbered(2)).unwrap();
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 3).await, [0, 1, 2]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_send_never_fails_for_want_of_room_and_the_newest_survive() {
    for capacity in [1, 3, 256] {
        let mut stage = buffering(capacity);
        let connection = suspended(&mut stage).await;
        for number in 0..=2 * capacity {
            connection.send(numbered(number)).unwrap();
        }
        let stats = connection.outbound_stats();
        assert_eq!((stats.pending, stats.dropped), (capacity as u64, capacity as u64 + 1));
        let (mut ann, _) = stage.rejoin("ann").await;
        let newest: Vec<_> = (capacity + 1..=2 * capacity).collect();
        assert_eq!(numbers(&mut ann, capacity).await, newest);
        hears_nothing(&mut ann).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_drops_the_oldest_as_well() {
    let mut stage = buffering(3);
    let connection = suspended(&mut stage).await;
    for number in 0..5 {
        stage.server.broadcast("lobby", numbered(number)).unwrap();
    }
    assert_eq!(connection.outbound_stats().dropped, 2);
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 3).await, [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_session_refuses_sends_at_the_bound_again() {
    let mut stage = buffering(3);
    let connection = suspended(&mut stage).await;
    for number in 0..3 {
        connection.send(numbered(number)).unwrap();
    }
    let narrow = TestClient::connect_with_capacity(&stage.server, "/ws?id=ann", 8).await;
    let mut ann: Client = narrow.unwrap();
    stage.restored().await;
    // One is in hand by now, so one more fits.
    connection.send(numbered(3)).unwrap();
    assert!(matches!(connection.send(numbered(4)), Err(SendError::Full { .. })));
    assert_eq!(numbers(&mut ann, 4).await, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_goes_out_before_what_was_buffered() {
    let mut stage = buffering(10);
    let (ann, connection) = stage.join_narrow("ann", 8).await;
    for number in 0..5 {
        connection.send(numbered(number)).unwrap();
    }
    settle().await;
    drop(ann);
    stage.dropped().await;
    for number in 5..9 {
        connection.send(numbered(number)).unwrap();
    }
    let (mut ann, _) = stage.rejoin("ann").await;
    connection.send(numbered(9)).unwrap();
    assert_eq!(numbers(&mut ann, 10).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_newest_of_leftovers_and_buffered_frames_survive() {
    let mut stage = buffering(3);
    let (ann, connection) = stage.join("ann").await;
    // The client goes before any of it is written.
    for number in 0..3 {
        connection.send(numbered(number)).unwrap();
    }
    drop(ann);
    stage.dropped().await;
    for number in 3..5 {
        connection.send(numbered(number)).unwrap();
    }
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 3).await, [2, 3, 4]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn the_frame_in_hand_is_written_again_whole() {
    let mut stage = buffering(3);
    let (ann, connection) = stage.join_narrow("ann", 8).await;
    for number in 0..3 {
        connection.send(numbered(number)).unwrap();
    }
    let mut stream = ann.into_stream();
    let mut part = [0; 20];
    stream.read_exact(&mut part).await.unwrap();
    assert_eq!(part[..4], *b"\x81\x19{\"", "the first frame has begun");
    drop(stream);
    stage.dropped().await;
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 3).await, [0, 1, 2]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn the_frame_in_hand_keeps_its_place_above_the_bound() {
    let mut stage = buffering(3);
    let (ann, connection) = stage.join_narrow("ann", 8).await;
    connection.send(numbered(0)).unwrap();
    settle().await;
    for number in 1..4 {
        connection.send(numbered(number)).unwrap();
    }
    drop(ann);
    stage.dropped().await;
    assert_eq!(connection.outbound_stats().pending, 4);
    for number in 4..6 {
        connection.send(numbered(number)).unwrap();
    }
    let stats = connection.outbound_stats();
    assert_eq!((stats.dropped, stats.pending), (2, 4));
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 4).await, [2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_was_never_taken_whole_is_written_to_the_third_transport() {
    let mut stage = buffering(3);
    let (mut ann, connection) = stage.join_narrow("ann", 8).await;
    connection.send(numbered(7)).unwrap();
    for _ in 0..2 {
        settle().await;
        drop(ann);
        stage.dropped().await;
        let narrow = TestClient::connect_with_capacity(&stage.server, "/ws?id=ann", 8).await;
        ann = narrow.unwrap();
        stage.restored().await;
    }
    assert_eq!(numbers(&mut ann, 1).await, [7]);
    hears_nothing(&mut ann).await;
}

#[track_caller]
fn assert_account(stats: OutboundStats, sent: u64, dropped: u64, pending: u64) {
    assert_eq!((stats.sent, stats.dropped, stats.pending), (sent, dropped, pending));
    assert_eq!(stats.accepted, sent + dropped + pending);
}

#[tokio::test(start_paused = true)]
async fn every_accepted_frame_is_accounted_for_at_every_stage() {
    let mut stage = buffering(4);
    let (mut ann, connection) = stage.join_narrow("ann", 8).await;
    let stats = || connection.outbound_stats();
    assert_account(stats(), 0, 0, 0);
    connection.send(numbered(0)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [0]);
    assert_account(stats(), 1, 0, 0);
    // One in hand, four that wait, one refused, which is none of the accepted.
    connection.send(numbered(1)).unwrap();
    settle().await;
    for number in 2..6 {
        connection.send(numbered(number)).unwrap();
    }
    assert!(connection.send(numbered(6)).is_err());
    assert_account(stats(), 1, 0, 5);
    for number in 6..9 {
        stage.server.broadcast("lobby", numbered(number)).unwrap();
    }
    assert_account(stats(), 1, 3, 5);
    drop(ann);
    stage.dropped().await;
    assert_account(stats(), 1, 3, 5);
    for number in 9..12 {
        connection.send(numbered(number)).unwrap();
    }
    assert_account(stats(), 1, 6, 5);
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 5).await, [7, 8, 9, 10, 11]);
    assert_account(stats(), 6, 6, 0);
    drop(ann);
    stage.dropped().await;
    for number in 12..15 {
        connection.send(numbered(number)).unwrap();
    }
    assert_account(stats(), 6, 6, 3);
    stage.disconnected().await;
    assert_account(stats(), 6, 9, 0);
    assert!(connection.send(numbered(15)).is_err());
    assert_account(stats(), 6, 9, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_closed_connection_could_not_write_is_accounted_for() {
    let wait = Duration::from_secs(2);
    let mut stage = Stage::new(|builder| builder.write_wait(wait));
    let (_ann, connection) = stage.join_narrow("ann", 40).await;
    for number in 0..10 {
        connection.send(numbered(number)).unwrap();
    }
    connection.close();
    assert_account(connection.outbound_stats(), 0, 0, 10);
    advance(wait).await;
    settle().await;
    assert_account(connection.outbound_stats(), 1, 9, 0);
}
