//! A connection's send buffer is bounded in bytes as well as in frames.

use wspulse::testing::Recorder;
use wspulse::{BufferLimit, Connection, DropReason, Frame, SendError};

use crate::support::clients::hears_nothing;
use crate::support::clock::{WINDOW, settle};
use crate::support::stage::Stage;

/// A frame that takes so many bytes on the wire, from 14 to 127.
fn sized(wire_bytes: usize) -> Frame {
    Frame::new("x".repeat(wire_bytes - 14))
}

fn buffering(bytes: usize) -> Stage {
    Stage::new(|builder| builder.send_buffer_bytes(bytes).resume_window(WINDOW))
}

fn send(connection: &Connection, wire_bytes: usize) -> Result<(), BufferLimit> {
    match connection.send(sized(wire_bytes)) {
        Ok(()) => Ok(()),
        Err(SendError::Full { frame, limit }) => {
            assert_eq!(*frame, sized(wire_bytes), "it comes back");
            Err(limit)
        }
        Err(other) => panic!("{other}"),
    }
}

fn pending(connection: &Connection) -> (u64, u64) {
    let stats = connection.outbound_stats();
    assert_eq!(stats.accepted, stats.sent + stats.dropped + stats.pending);
    (stats.pending, stats.held_bytes)
}

#[tokio::test(start_paused = true)]
async fn a_buffer_takes_its_bytes_and_refuses_one_more() {
    let mut stage = buffering(200);
    let (mut ann, connection) = stage.join("ann").await;
    let full = Err(BufferLimit::Bytes { capacity_bytes: 200 });
    assert_eq!(send(&connection, 100), Ok(()));
    assert_eq!(send(&connection, 101), full);
    assert_eq!(send(&connection, 100), Ok(()));
    assert_eq!(send(&connection, 14), full);
    assert_eq!(pending(&connection), (2, 200));
    for _ in 0..2 {
        assert_eq!(ann.frame().await.unwrap(), sized(100));
    }
    hears_nothing(&mut ann).await;
    assert_eq!(pending(&connection), (0, 0));
    assert_eq!(send(&connection, 120), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_refusal_says_which_bound_it_was() {
    let mut stage = Stage::new(|builder| builder.send_buffer_bytes(200).send_buffer_size(2));
    let (_ann, connection) = stage.join("ann").await;
    connection.send(sized(14)).unwrap();
    connection.send(sized(14)).unwrap();
    let error = connection.send(sized(127)).unwrap_err();
    assert_eq!(error.to_string(), "wspulse: send buffer full at 2 frames, frame not accepted");
    settle().await;
    connection.send(sized(127)).unwrap();
    let error = connection.send(sized(127)).unwrap_err();
    assert_eq!(error.to_string(), "wspulse: send buffer full at 200 bytes, frame not accepted");
}

#[tokio::test(start_paused = true)]
async fn a_longer_frame_is_sent_when_nothing_else_waits() {
    let mut stage = buffering(50);
    let (mut ann, connection) = stage.join("ann").await;
    for _ in 0..3 {
        assert_eq!(send(&connection, 120), Ok(()));
        assert_eq!(send(&connection, 14), Err(BufferLimit::Bytes { capacity_bytes: 50 }));
        assert_eq!(ann.frame().await.unwrap(), sized(120));
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_drops_as_many_old_frames_as_it_takes() {
    let mut stage = buffering(100);
    let (mut ann, connection) = stage.join("ann").await;
    for size in [21, 22, 23, 24] {
        stage.server.broadcast("lobby", sized(size)).unwrap();
    }
    stage.server.broadcast("lobby", sized(50)).unwrap();
    assert_eq!(connection.outbound_stats().dropped, 2);
    for size in [23, 24, 50] {
        assert_eq!(ann.frame().await.unwrap(), sized(size));
    }
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_suspended_session_keeps_the_newest_frames_that_fit() {
    let mut stage = buffering(100);
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    for size in 30..60 {
        connection.send(sized(size)).unwrap();
    }
    assert_eq!(pending(&connection), (1, 59));
    connection.send(sized(41)).unwrap();
    assert_eq!(pending(&connection), (2, 100));
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(ann.frame().await.unwrap(), sized(59));
    assert_eq!(ann.frame().await.unwrap(), sized(41));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_read_costs_the_others_nothing() {
    let mut stage = buffering(200);
    let (_slow, slow) = stage.join_narrow("slow", 8).await;
    let (mut ann, _) = stage.join("ann").await;
    for _ in 0..100 {
        stage.server.broadcast("lobby", sized(100)).unwrap();
        assert_eq!(ann.frame().await.unwrap(), sized(100));
    }
    // One is half written, and two wait.
    assert_eq!(pending(&slow), (3, 300));
    assert_eq!(slow.outbound_stats().dropped, 97);
}

#[tokio::test(start_paused = true)]
async fn by_default_16_mib_may_wait() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    let mib = "x".repeat(1024 * 1024 - 100);
    for _ in 0..16 {
        connection.send(Frame::new(&*mib)).unwrap();
    }
    let refused = connection.send(Frame::new(&*mib)).unwrap_err();
    let limit = BufferLimit::Bytes { capacity_bytes: 16 * 1024 * 1024 };
    assert!(matches!(refused, SendError::Full { limit: told, .. } if told == limit));
}

#[tokio::test(start_paused = true)]
async fn refusals_and_drops_are_counted() {
    let recorder = Recorder::default();
    let metrics = recorder.clone();
    let mut stage = Stage::new(|builder| builder.send_buffer_bytes(100).metrics(metrics));
    let (_ann, connection) = stage.join("ann").await;
    for _ in 0..5 {
        stage.server.broadcast("lobby", sized(20)).unwrap();
    }
    stage.server.broadcast("lobby", sized(60)).unwrap();
    assert!(connection.send(sized(20)).is_err());
    assert_eq!(recorder.dropped(DropReason::Evicted), 3);
    assert_eq!(recorder.dropped(DropReason::Rejected), 1);
    assert_eq!(recorder.only("limit_reached"), ["limit_reached send_buffer_bytes"]);
}
