//! At least once: what a client has not acknowledged is written again, to any client.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::time::Duration;

use tokio::time::sleep;
use wspulse::testing::Received;
use wspulse::{
    CloseCode, ConnectionState, Delivery, Disconnect, DuplicatePolicy, Frame, NotAcknowledged,
    OutboundStats, SendError, TransportLost,
};

use crate::support::clients::{Client, dial, number, numbered};
use crate::support::clock::{WINDOW, settle};
use crate::support::stage::{Stage, Told};

const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(30);

fn stage() -> Stage {
    Stage::new(|builder| {
        builder
            .resume_window(WINDOW)
            .heartbeat(PING, PONG)
            .delivery(Delivery::AtLeastOnce)
            .delivery_window(128, 1 << 20)
    })
}

#[tokio::test(start_paused = true)]
async fn the_application_hears_what_a_client_that_comes_back_gets() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut stage = Stage::new(|builder| {
        builder
            .resume_window(WINDOW)
            .delivery(Delivery::AtLeastOnce)
            .on_transport_restore(move |_, resumed| tell.send(resumed).unwrap())
    });
    let (ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    connection.send(numbered(2)).unwrap();
    settle().await;
    drop(ann);
    stage.dropped().await;
    connection.send(numbered(3)).unwrap();
    let _ann = dial(&stage.server, "ann").await;
    let resumed = told.recv().await.unwrap();
    assert_eq!((resumed.replayed(), resumed.waited()), (2, 1));
}

/// What has come so far; Pings are kept for later.
async fn so_far(client: &mut Client) -> (Vec<u64>, Vec<Vec<u8>>) {
    let (mut numbers, mut pings) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            biased;
            received = client.receive() => match received.unwrap() {
                Received::Message(_, payload) => {
                    let frame: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                    numbers.push(frame["payload"].as_u64().unwrap());
                }
                Received::Ping(payload) => pings.push(payload.to_vec()),
                other => panic!("{other:?}"),
            },
            () = settle() => return (numbers, pings),
        }
    }
}

#[track_caller]
fn assert_account(stats: OutboundStats, sent: u64, acknowledged: u64, unacknowledged: u64) {
    let account = (stats.sent, stats.acknowledged, stats.unacknowledged);
    assert_eq!(account, (sent, acknowledged, unacknowledged));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_network_has_taken_is_written_again() {
    let mut stage = stage();
    let (ann, connection) = stage.join("ann").await;
    for n in 1..=3 {
        connection.send(numbered(n)).unwrap();
    }
    settle().await;
    assert_account(connection.outbound_stats(), 3, 0, 3);
    drop(ann);
    stage.dropped().await;
    connection.send(numbered(4)).unwrap();
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(so_far(&mut ann).await.0, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_not() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    connection.send(numbered(2)).unwrap();
    // Somebody who reads answers Pings.
    sleep(Duration::from_secs(2)).await;
    let (numbers, pings) = so_far(&mut ann).await;
    assert_eq!((numbers.len(), pings.len()), (2, 1));
    ann.pong(&pings[0]).await.unwrap();
    settle().await;
    assert_account(connection.outbound_stats(), 2, 2, 0);
    connection.send(numbered(3)).unwrap();
    settle().await;
    drop(ann);
    stage.dropped().await;
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(so_far(&mut ann).await.0, [3]);
}

#[tokio::test(start_paused = true)]
async fn half_a_window_of_frames_is_asked_for_with_the_next_one() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    for n in 1..=64 {
        connection.send(numbered(n)).unwrap();
    }
    assert_eq!(so_far(&mut ann).await.1.len(), 0);
    connection.send(numbered(65)).unwrap();
    let (numbers, pings) = so_far(&mut ann).await;
    assert_eq!((numbers, pings.len()), (vec![65], 1));
    ann.pong(&pings[0]).await.unwrap();
    settle().await;
    assert_account(connection.outbound_stats(), 65, 64, 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_asked_nothing() {
    let mut stage = stage();
    let (mut ann, _connection) = stage.join("ann").await;
    sleep(PING.mul_f64(0.9)).await;
    assert_eq!(so_far(&mut ann).await, (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_answered_and_falls_silent_loses_its_transport_but_no_frame() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    sleep(Duration::from_secs(2)).await;
    let (_, pings) = so_far(&mut ann).await;
    ann.pong(&pings[0]).await.unwrap();
    settle().await;
    for n in 2..=40 {
        connection.send(numbered(n)).unwrap();
        // What it sends shows that it lives, not that it hears.
        sleep(Duration::from_secs(1)).await;
        if connection.state() != ConnectionState::Connected {
            break;
        }
        ann.send(&Frame::new("alive")).await.unwrap();
    }
    loop {
        match stage.next().await {
            Told::Message(..) => {}
            Told::Drop(_, cause) => {
                assert!(matches!(cause, TransportLost::PongTimeout), "{cause}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let sent = connection.outbound_stats().accepted;
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(so_far(&mut ann).await.0, (2..=sent).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_answers_is_kept_and_its_frames_only_for_a_while() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    for _ in 0..40 {
        ann.send(&Frame::new("alive")).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(connection.state(), ConnectionState::Connected);
    assert_account(connection.outbound_stats(), 1, 0, 0);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_window_frames_wait_for_an_acknowledgement() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    for n in 1..=200 {
        connection.send(numbered(n)).unwrap();
    }
    let (numbers, pings) = so_far(&mut ann).await;
    assert_eq!((numbers.len(), pings.len()), (128, 1), "as much as the window, and a question");
    ann.pong(&pings[0]).await.unwrap();
    let (numbers, _) = so_far(&mut ann).await;
    assert_eq!(numbers, (129..=200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn answers_to_the_future_to_nothing_and_to_another_transport_count_for_nothing() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    sleep(Duration::from_secs(2)).await;
    let (_, pings) = so_far(&mut ann).await;
    let mut future = pings[0].clone();
    *future.last_mut().unwrap() = 2;
    let short = &pings[0][..8];
    for payload in [&future[..], short, &[], &[0; 16], &[7; 125]] {
        ann.pong(payload).await.unwrap();
    }
    settle().await;
    assert_account(connection.outbound_stats(), 1, 0, 1);
    drop(ann);
    stage.dropped().await;
    let (mut ann, _) = stage.rejoin("ann").await;
    so_far(&mut ann).await;
    ann.pong(&pings[0]).await.unwrap();
    settle().await;
    assert_account(connection.outbound_stats(), 1, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_before_the_server_knows_gets_what_it_missed() {
    let mut stage = Stage::new(|builder| {
        builder
            .resume_window(WINDOW)
            .duplicates(DuplicatePolicy::Resume)
            .delivery(Delivery::AtLeastOnce)
    });
    let (_silent, connection) = stage.join("ann").await;
    for n in 1..=3 {
        connection.send(numbered(n)).unwrap();
    }
    settle().await;
    let mut ann = dial(&stage.server, "ann").await;
    assert_eq!(so_far(&mut ann).await.0, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_counts_against_what_all_may_hold_until_it_is_acknowledged() {
    let mut stage = Stage::new(|builder| {
        builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce).max_queued_bytes(100)
    });
    let (mut ann, connection) = stage.join("ann").await;
    let sent = (1..9).take_while(|n| connection.send(numbered(*n)).is_ok()).count();
    assert!(sent < 8, "{sent}");
    sleep(Duration::from_secs(2)).await;
    connection.send(numbered(9)).unwrap_err();
    let (_, pings) = so_far(&mut ann).await;
    ann.pong(&pings[0]).await.unwrap();
    settle().await;
    connection.send(numbered(9)).unwrap();
}

/// A stage whose buffer holds two frames.
fn narrow() -> Stage {
    Stage::new(|builder| {
        builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce).send_buffer_size(2)
    })
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_cannot_be_kept_ends_the_session_and_nothing_follows_the_hole() {
    let mut stage = narrow();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    let room = connection.room();
    let reached: Vec<_> = (1..=4).map(|n| room.broadcast(numbered(n)).unwrap().reached).collect();
    assert_eq!(reached, [1, 1, 0, 0]);
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::FramesLost), "{end}");
    assert_eq!(end.reason().as_str(), "frames_lost");
    // It comes back to a session that is new, and knows so.
    let (mut ann, _) = stage.join("ann").await;
    assert_eq!(so_far(&mut ann).await.0, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_too_slowly_is_told_that_it_has_lost_frames() {
    let mut stage = narrow();
    let (mut ann, connection) = stage.join_narrow("ann", 16).await;
    for n in 1..=20 {
        connection.room().broadcast(numbered(n)).unwrap();
        settle().await;
    }
    let mut numbers = Vec::new();
    let close = loop {
        match ann.receive().await.unwrap() {
            Received::Message(_, payload) => {
                let frame: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                numbers.push(frame["payload"].as_u64().unwrap());
            }
            Received::Close(frame) => break frame.unwrap(),
            Received::Ping(_) | Received::Pong(_) => {}
            Received::End => panic!("no close frame"),
        }
    };
    assert_eq!((close.code(), close.reason()), (CloseCode::FRAMES_LOST, "frames lost"));
    let whole: Vec<_> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, whole, "no hole before the end");
    assert!((2..20).contains(&numbers.len()), "{numbers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_cannot_be_kept_is_refused_and_harms_nothing() {
    let mut stage = narrow();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    connection.send(numbered(1)).unwrap();
    connection.send(numbered(2)).unwrap();
    assert!(matches!(connection.send(numbered(3)), Err(SendError::Full { .. })));
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(so_far(&mut ann).await.0, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_broadcasts_is_kept_while_another_is_being_written() {
    let mut stage = narrow();
    let (mut ann, connection) = stage.join_narrow("ann", 16).await;
    for n in 1..=2 {
        connection.room().broadcast(numbered(n)).unwrap();
    }
    settle().await;
    // Both are in the hands of the writer by now; these two wait.
    connection.room().broadcast(numbered(3)).unwrap();
    assert_eq!(number(&ann.frame().await.unwrap()), 1);
    assert_eq!(connection.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn an_application_hears_when_all_that_it_sent_has_arrived() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    assert_eq!(connection.acknowledged().await, Ok(()), "nothing was sent");
    connection.send(numbered(1)).unwrap();
    let waits = connection.clone();
    let receipt = tokio::spawn(async move { waits.acknowledged().await });
    settle().await;
    connection.send(numbered(2)).unwrap();
    drop(so_far(&mut ann).await);
    drop(ann);
    stage.dropped().await;
    sleep(Duration::from_secs(5)).await;
    assert!(!receipt.is_finished());
    // It is waited for over the cut, but not for what was sent later.
    let (mut ann, _) = stage.rejoin("ann").await;
    sleep(Duration::from_secs(2)).await;
    let (numbers, pings) = so_far(&mut ann).await;
    assert_eq!((numbers, pings.len()), (vec![1, 2], 1));
    ann.pong(&pings[0]).await.unwrap();
    assert_eq!(receipt.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_application_hears_why_it_will_never_know() {
    let mut other = stage();
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    let waits = connection.clone();
    let receipt = tokio::spawn(async move { waits.acknowledged().await });
    for _ in 0..40 {
        ann.send(&Frame::new("alive")).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(receipt.await.unwrap(), Err(NotAcknowledged::Unanswered));
    // Nothing is outstanding any more, and still nobody knows.
    assert_eq!(connection.acknowledged().await, Err(NotAcknowledged::Unanswered));

    connection.send(numbered(2)).unwrap();
    let waits = connection.clone();
    let receipt = tokio::spawn(async move { waits.acknowledged().await });
    settle().await;
    connection.close();
    assert_eq!(receipt.await.unwrap(), Err(NotAcknowledged::Closed));

    let (_ann, connection) = other.join("bob").await;
    for n in 1..=200 {
        connection.send(numbered(n)).unwrap();
    }
    let waits = connection.clone();
    let receipt = tokio::spawn(async move { waits.acknowledged().await });
    settle().await;
    // All of it is written for this end, and goes beyond the window.
    connection.close();
    assert_eq!(receipt.await.unwrap(), Err(NotAcknowledged::Closed));

    let mut plain = Stage::resuming();
    let (_ann, connection) = plain.join("ann").await;
    assert_eq!(connection.acknowledged().await, Err(NotAcknowledged::NotPromised));
}
