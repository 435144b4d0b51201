//! All send buffers together hold no more bytes than they may, and each dropped frame is counted.

use tokio::task::yield_now;
use wspulse::testing::Recorder;
use wspulse::{BufferLimit, Connection, DropReason, Frame, SendError};

use crate::support::clients::{Client, hears_nothing};
use crate::support::clock::{WINDOW, settle};
use crate::support::stage::Stage;

/// A frame that takes so many bytes on the wire, from 14 to 127.
fn sized(wire_bytes: usize) -> Frame {
    Frame::new("x".repeat(wire_bytes - 14))
}

fn limited_to(bytes: usize) -> Stage {
    Stage::new(|builder| builder.max_queued_bytes(bytes).resume_window(WINDOW))
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

/// Dropped frames, and the bytes of those that wait.
#[track_caller]
fn account(connection: &Connection) -> (u64, u64) {
    let stats = connection.outbound_stats();
    assert_eq!(stats.accepted, stats.sent + stats.dropped + stats.pending);
    (stats.dropped, stats.held_bytes)
}

/// A suspended session.
async fn suspended(stage: &mut Stage, id: &str) -> Connection {
    let (client, connection) = stage.join(id).await;
    drop(client);
    stage.dropped().await;
    connection
}

/// A client that reads nothing, and its connection.
async fn stuck(stage: &mut Stage, id: &str) -> (Client, Connection) {
    stage.join_narrow(id, 8).await
}

/// Asserts that exactly so many bytes are free.
#[track_caller]
fn assert_free(connection: &Connection, bytes: usize, capacity_bytes: usize) {
    let full = Err(BufferLimit::ServerBytes { capacity_bytes });
    assert_eq!(send(connection, bytes + 1), full);
    assert_eq!(send(connection, bytes), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn direct_sends_fail_at_the_limit_whoever_has_filled_it() {
    let mut stage = limited_to(200);
    let (_ann, ann) = stage.join("ann").await;
    let (mut bob_reads, bob) = stage.join("bob").await;
    assert_eq!(send(&ann, 100), Ok(()));
    assert_free(&bob, 100, 200);
    assert_eq!(bob_reads.frame().await.unwrap(), sized(100));
    settle().await;
    assert_eq!(send(&bob, 127), Ok(()), "what was read is free again");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_limit() {
    let mut stage = limited_to(100);
    let (_ann, connection) = stage.join("ann").await;
    let error = connection.send(sized(101)).unwrap_err();
    let told = "wspulse: send buffer full at 100 bytes over all connections, frame not accepted";
    assert_eq!(error.to_string(), told);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_drops_the_oldest_frames_of_its_own_member_only() {
    let mut stage = limited_to(300);
    let ann = suspended(&mut stage, "ann").await;
    let bob = suspended(&mut stage, "bob").await;
    for _ in 0..3 {
        ann.send(sized(50)).unwrap();
    }
    bob.send(sized(100)).unwrap();
    stage.server.broadcast("lobby", sized(90)).unwrap();
    assert_eq!(account(&ann), (1, 190));
    assert_eq!(account(&bob), (1, 90));
    assert_free(&stage.join("cid").await.1, 20, 300);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_session_drops_its_oldest_frames_until_a_new_one_fits() {
    let mut stage = limited_to(200);
    let ann = suspended(&mut stage, "ann").await;
    for size in [50, 51, 52] {
        ann.send(sized(size)).unwrap();
    }
    ann.send(sized(100)).unwrap();
    assert_eq!(account(&ann), (2, 152));
    let (mut client, _) = stage.rejoin("ann").await;
    assert_eq!(client.frame().await.unwrap(), sized(52));
    assert_eq!(client.frame().await.unwrap(), sized(100));
    hears_nothing(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_for_which_there_can_be_no_room_drops_no_other() {
    let mut stage = limited_to(200);
    let ann = suspended(&mut stage, "ann").await;
    let bob = suspended(&mut stage, "bob").await;
    assert_eq!(send(&ann, 120), Ok(()));
    assert_eq!(send(&bob, 50), Ok(()));
    // Without its own 50 bytes there are 80.
    assert_eq!(send(&bob, 81), Err(BufferLimit::ServerBytes { capacity_bytes: 200 }));
    assert_eq!(account(&bob), (0, 50));
    stage.server.broadcast_except("lobby", &ann, sized(81)).unwrap();
    assert_eq!(account(&bob), (1, 50), "the broadcast itself, which counts as accepted");
    assert_eq!(bob.outbound_stats().accepted, 2);
    assert_eq!(send(&bob, 80), Ok(()));
    assert_eq!(account(&bob), (2, 80));
}

#[tokio::test(start_paused = true)]
async fn a_frame_longer_than_the_limit_never_fits() {
    let mut stage = limited_to(100);
    let ann = suspended(&mut stage, "ann").await;
    assert_eq!(send(&ann, 101), Err(BufferLimit::ServerBytes { capacity_bytes: 100 }));
    stage.server.broadcast("lobby", sized(101)).unwrap();
    assert_eq!(account(&ann), (1, 0));
    assert_eq!(send(&ann, 100), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_refuses_by_itself_is_not_charged() {
    let mut stage = Stage::new(|builder| builder.max_queued_bytes(200).send_buffer_size(2));
    let (_ann, ann) = stage.join("ann").await;
    let (_bob, bob) = stage.join("bob").await;
    send(&ann, 20).unwrap();
    send(&ann, 20).unwrap();
    assert_eq!(send(&ann, 100), Err(BufferLimit::Frames { capacity_frames: 2 }));
    stage.server.broadcast_except("lobby", &bob, sized(40)).unwrap();
    assert_eq!(account(&ann), (1, 60));
    send(&bob, 120).unwrap();
    assert_free(&bob, 20, 200);
}

#[tokio::test(start_paused = true)]
async fn connections_that_end_free_all_that_they_held() {
    let mut stage = limited_to(120);
    for round in 0..4 {
        let ann = suspended(&mut stage, "ann").await;
        ann.send(sized(50)).unwrap();
        let (stuck_client, bob) = stuck(&mut stage, "bob").await;
        bob.send(sized(60)).unwrap();
        settle().await;
        match round {
            0 => {
                stage.server.kick("ann").unwrap();
                drop(stuck_client);
            }
            1 => ann.close(),
            2 => {}
            _ => {
                let (mut client, _) = stage.rejoin("ann").await;
                assert_eq!(client.frame().await.unwrap(), sized(50));
            }
        }
        for id in ["ann", "bob"] {
            let _ = stage.server.kick(id);
        }
        // The one that reads nothing keeps its frame until it is given up.
        tokio::time::sleep(WINDOW).await;
        while stage.server.connection_count() > 0 {
            yield_now().await;
        }
        stage.names_so_far();
        let (mut client, new) = stage.join("new").await;
        assert_free(&new, 120, 120);
        client.frame().await.unwrap();
        stage.server.kick("new").unwrap();
        client.closed().await.unwrap();
        stage.names_so_far();
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_and_drops_are_counted_each_with_its_reason() {
    let recorder = Recorder::default();
    let metrics = recorder.clone();
    let mut stage =
        Stage::new(|builder| builder.max_queued_bytes(100).resume_window(WINDOW).metrics(metrics));
    let ann = suspended(&mut stage, "ann").await;
    ann.send(sized(60)).unwrap();
    ann.send(sized(70)).unwrap();
    let (_bob, bob) = stage.join("bob").await;
    assert!(bob.send(sized(31)).is_err());
    stage.server.broadcast_except("lobby", &ann, sized(31)).unwrap();
    let drops = [DropReason::Evicted, DropReason::Rejected, DropReason::NoRoom];
    assert_eq!(drops.map(|reason| recorder.dropped(reason)), [1, 1, 1]);
    assert_eq!(recorder.only("limit_reached"), ["limit_reached max_queued_bytes"; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_holds_and_all_accounts_balance_while_many_threads_send() {
    const CAPACITY: usize = 1_000;
    let mut stage = limited_to(CAPACITY);
    let mut connections = Vec::new();
    let mut readers = Vec::new();
    for number in 0..4 {
        let id = number.to_string();
        let (mut client, connection) = stage.join_narrow(&id, 64).await;
        connections.push(connection);
        readers.push(tokio::spawn(async move { while client.frame().await.is_ok() {} }));
    }
    let senders: Vec<_> = (0..4)
        .map(|sender: usize| {
            let (server, connections) = (stage.server.clone(), connections.clone());
            tokio::spawn(async move {
                for round in 0..300 {
                    let frame = sized(14 + (sender * 31 + round) % 113);
                    if round % 3 == 0 {
                        server.broadcast("lobby", frame).unwrap();
                    } else {
                        let _ = connections[round % 4].send(frame);
                    }
                    for connection in &connections {
                        assert!(connection.outbound_stats().held_bytes <= CAPACITY as u64);
                        account(connection);
                    }
                    yield_now().await;
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    while connections.iter().any(|connection| account(connection).1 > 0) {
        yield_now().await;
    }
    // Nothing is charged any more: ten times 100 bytes fit, if nobody reads meanwhile.
    let full = connections[0].send(Frame::new("x".repeat(CAPACITY)));
    assert!(full.is_err(), "longer than the limit by its header");
    connections[0].send(Frame::new("x".repeat(CAPACITY - 16))).unwrap();
    stage.server.close().await;
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_volatile_frame_makes_room_for_any_other() {
    let mut stage = limited_to(100);
    let (_ann, connection) = stuck(&mut stage, "ann").await;
    send(&connection, 30).unwrap();
    settle().await;
    send(&connection, 25).unwrap();
    connection.send(sized(20).volatile()).unwrap();
    // Not for one that is refused all the same.
    send(&connection, 50).unwrap_err();
    assert_eq!(account(&connection), (0, 75));
    send(&connection, 30).unwrap();
    assert_eq!(account(&connection), (1, 85));
    connection.send(sized(15).volatile()).unwrap();
    connection.room().broadcast(sized(15)).unwrap();
    assert_eq!(account(&connection), (2, 100));
    // And it makes none for itself.
    connection.send(sized(15).volatile()).unwrap();
    assert_eq!(account(&connection), (3, 100));
}
