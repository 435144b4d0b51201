//! A peer that reads slower than it is sent to costs a bounded buffer, and nothing is lost unseen.

use wspulse::testing::Received;
use wspulse::{BufferLimit, Connection, SendError};

use crate::support::clients::{hears_nothing, number, numbered, numbers};
use crate::support::clock::settle;
use crate::support::stage::Stage;

/// A server with a send buffer of so many frames.
fn buffering(frames: usize) -> Stage {
    Stage::new(|builder| builder.send_buffer_size(frames))
}

/// Sends a frame that the stream of 8 bytes takes only in part: it is the one in hand.
async fn fill_hand(connection: &Connection) {
    connection.send(numbered(0)).unwrap();
    settle().await;
    assert_eq!(connection.outbound_stats().pending, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_refuses_a_send_and_gives_the_frame_back() {
    let mut stage = buffering(4);
    let (mut ann, connection) = stage.join_narrow("ann", 8).await;
    fill_hand(&connection).await;
    for number in 1..=4 {
        connection.send(numbered(number)).unwrap();
    }
    let refused = connection.send(numbered(5)).unwrap_err();
    assert!(matches!(
        refused,
        SendError::Full { limit: BufferLimit::Frames { capacity_frames: 4 }, .. }
    ));
    assert_eq!(number(&refused.into_frame()), 5);
    assert!(matches!(stage.server.send("ann", numbered(6)), Err(SendError::Full { .. })));
    assert_eq!(numbers(&mut ann, 5).await, [0, 1, 2, 3, 4]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn the_buffer_holds_exactly_its_capacity() {
    for capacity in [1, 2, 256, 4096] {
        let mut stage = buffering(capacity);
        let (mut ann, connection) = stage.join("ann").await;
        for number in 0..capacity {
            connection.send(numbered(number)).unwrap();
        }
        assert!(matches!(connection.send(numbered(0)), Err(SendError::Full { .. })));
        assert_eq!(numbers(&mut ann, capacity).await, (0..capacity).collect::<Vec<_>>());
        connection.send(numbered(1)).unwrap();
        assert_eq!(numbers(&mut ann, 1).await, [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_a_full_buffer_evicts_the_oldest() {
    let mut stage = buffering(4);
    let (mut ann, _) = stage.join("ann").await;
    for number in 0..10 {
        stage.server.broadcast("lobby", numbered(number)).unwrap();
    }
    assert_eq!(numbers(&mut ann, 4).await, [6, 7, 8, 9]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_half_written_is_not_evicted() {
    let mut stage = buffering(4);
    let (mut ann, connection) = stage.join_narrow("ann", 8).await;
    fill_hand(&connection).await;
    for number in 1..=10 {
        stage.server.broadcast("lobby", numbered(number)).unwrap();
    }
    assert_eq!(numbers(&mut ann, 5).await, [0, 7, 8, 9, 10]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_evicts_sends_as_well() {
    let mut stage = buffering(3);
    let (mut ann, connection) = stage.join("ann").await;
    for number in 0..3 {
        connection.send(numbered(number)).unwrap();
    }
    stage.server.broadcast("lobby", numbered(3)).unwrap();
    assert!(matches!(connection.send(numbered(4)), Err(SendError::Full { .. })));
    assert_eq!(numbers(&mut ann, 3).await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_member_costs_the_others_nothing() {
    let mut stage = buffering(4);
    let (_slow, slow) = stage.join_narrow("slow", 8).await;
    let (mut ann, _) = stage.join("ann").await;
    for number in 0..100 {
        stage.server.broadcast("lobby", numbered(number)).unwrap();
        assert_eq!(numbers(&mut ann, 1).await, [number]);
    }
    let stats = slow.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.dropped, stats.pending), (100, 0, 95, 5));
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_at_a_peer_that_reads_slowly() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join_narrow("ann", 8).await;
    let sending = tokio::spawn(async move {
        let mut frame = numbered(0);
        for next in 1..=1000 {
            while let Err(refused) = connection.send(frame) {
                assert!(matches!(refused, SendError::Full { .. }));
                frame = refused.into_frame();
                tokio::task::yield_now().await;
            }
            frame = numbered(next);
        }
    });
    assert_eq!(numbers(&mut ann, 1000).await, (0..1000).collect::<Vec<_>>());
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_account_balances_while_many_threads_send_and_evict() {
    const SENDERS: u64 = 4;
    const EACH: u64 = 500;
    let mut stage = buffering(8);
    let (mut ann, connection) = stage.join_narrow("ann", 64).await;
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (server, connection) = (stage.server.clone(), connection.clone());
            tokio::spawn(async move {
                let mut accepted = 0;
                for number in 0..EACH {
                    let frame = numbered(usize::try_from(number).unwrap());
                    if sender % 2 == 0 {
                        server.broadcast("lobby", frame).unwrap();
                        accepted += 1;
                    } else {
                        accepted += u64::from(connection.send(frame).is_ok());
                    }
                    let stats = connection.outbound_stats();
                    assert_eq!(stats.accepted, stats.sent + stats.dropped + stats.pending);
                }
                accepted
            })
        })
        .collect();
    let reading = tokio::spawn(async move {
        let mut received = 0;
        while let Ok(Received::Message(..)) = ann.receive().await {
            received += 1;
        }
        received
    });
    let mut accepted = 0;
    for sender in senders {
        accepted += sender.await.unwrap();
    }
    connection.close();
    let received: u64 = reading.await.unwrap();
    let stats = connection.outbound_stats();
    assert_eq!(stats.accepted, accepted);
    assert_eq!(stats.sent, received);
    assert_eq!((stats.accepted, stats.pending), (stats.sent + stats.dropped, 0));
}
