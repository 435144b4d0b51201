//! The server asks whether its peers live, answers when they ask, and gives up those who are silent.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, sleep_until};
use wspulse::testing::{Received, masked};
use wspulse::{CloseCode, CloseFrame, ConnectionState, Disconnect, MessageKind, TransportLost};

use crate::support::clients::{Client, dial, hears_nothing, number, numbered, numbers};
use crate::support::clock::{
    TICK, WINDOW, assert_passed, assert_ping_passed, settle, shortly_before,
};
use crate::support::house::open_house;
use crate::support::stage::{Stage, Told};

const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(30);

fn ping() -> Received {
    Received::Ping(Bytes::new())
}

#[tokio::test(start_paused = true)]
async fn the_first_ping_comes_after_one_whole_period_and_is_empty() {
    let mut stage = Stage::plain();
    let joined_at = Instant::now();
    let (mut ann, _) = stage.join("ann").await;
    assert_eq!(ann.receive().await.unwrap(), ping());
    assert_ping_passed(joined_at, PING);
}

#[tokio::test(start_paused = true)]
async fn pings_come_once_a_period_whatever_else_goes_on() {
    let mut stage = Stage::plain();
    let mut last_at = Instant::now();
    let (mut ann, connection) = stage.join("ann").await;
    for _ in 0..20 {
        sleep(PING / 3).await;
        connection.send(numbered(1)).unwrap();
        ann.send(&numbered(2)).await.unwrap();
        assert!(matches!(ann.receive().await.unwrap(), Received::Message(..)));
        assert_eq!(ann.receive().await.unwrap(), ping());
        assert_ping_passed(last_at, PING);
        last_at = Instant::now();
        ann.pong(b"").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_clients_that_came_together_no_more_than_a_group_is_pinged_at_once() {
    const CLIENTS: usize = 3_000;
    const GROUP: usize = 1_024;
    let mut stage = Stage::plain();
    let joined_at = Instant::now();
    let mut pinged = JoinSet::new();
    for number in 0..CLIENTS {
        let (mut client, _) = stage.join(&format!("client-{number}")).await;
        pinged.spawn(async move {
            assert_eq!(client.receive().await.unwrap(), ping());
            assert_ping_passed(joined_at, PING);
            Instant::now()
        });
    }
    let mut moments = BTreeMap::<Instant, usize>::new();
    for moment in pinged.join_all().await {
        *moments.entry(moment).or_default() += 1;
    }
    assert_eq!(moments.len(), CLIENTS.div_ceil(GROUP), "{moments:?}");
    assert!(moments.values().all(|pings| *pings <= GROUP), "{moments:?}");
    assert!(
        moments.keys().is_sorted_by(|one, other| other.duration_since(**one) >= PING / 30 / 20)
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_transport_has_a_whole_period_of_its_own() {
    let mut stage = Stage::resuming();
    let (ann, _) = stage.join("ann").await;
    sleep(PING * 9 / 10).await;
    drop(ann);
    stage.dropped().await;
    let resumed_at = Instant::now();
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(ann.receive().await.unwrap(), ping());
    assert_ping_passed(resumed_at, PING);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_session_is_not_pinged_nor_timed_out() {
    let mut stage = Stage::new(|builder| builder.resume_window(PONG * 10));
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    sleep(PONG * 5).await;
    assert_eq!(connection.state(), ConnectionState::Suspended);
    let (mut ann, _) = stage.rejoin("ann").await;
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_lost_exactly_at_the_pong_timeout() {
    let mut stage = Stage::plain();
    let joined_at = Instant::now();
    let (mut ann, connection) = stage.join("ann").await;
    sleep_until(joined_at + PONG - 2 * TICK).await;
    assert_eq!(connection.state(), ConnectionState::Connected);
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::PongTimeout)));
    assert_passed(joined_at, PONG);
    let told = CloseFrame::new(CloseCode::GOING_AWAY, "pong timeout");
    assert_eq!(ann.closed().await.unwrap(), Some(told));
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_is_kept() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    for _ in 0..30 {
        assert_eq!(ann.receive().await.unwrap(), ping());
        ann.pong(b"").await.unwrap();
    }
    assert_eq!(connection.state(), ConnectionState::Connected);
    stage.is_silent().await;
}

/// The time at which a peer is lost that gives just this sign of life late in the first timeout.
async fn lost_after<F>(sign: F) -> Duration
where
    F: AsyncFnOnce(&mut Client),
{
    let mut stage = Stage::resuming();
    let (mut ann, _) = stage.join("ann").await;
    sleep(shortly_before(PONG)).await;
    let sign_at = Instant::now();
    sign(&mut ann).await;
    let mut told = stage.next().await;
    if let Told::Message(..) = told {
        told = stage.next().await;
    }
    assert!(matches!(told, Told::Drop(_, TransportLost::PongTimeout)), "{told:?} came");
    sign_at.elapsed()
}

fn assert_whole(kept: Duration) {
    assert!(kept.abs_diff(PONG) <= 2 * TICK, "kept for {kept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_proves_life() {
    assert_whole(lost_after(async |ann| ann.send(&numbered(1)).await.unwrap()).await);
}

#[tokio::test(start_paused = true)]
async fn an_unsolicited_pong_with_any_payload_proves_life() {
    assert_whole(lost_after(async |ann| ann.pong(b"whatever").await.unwrap()).await);
}

#[tokio::test(start_paused = true)]
async fn a_ping_proves_life() {
    assert_whole(lost_after(async |ann| ann.ping(b"").await.unwrap()).await);
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_proves_life() {
    assert_whole(
        lost_after(async |ann| ann.write_raw(&masked(0x81, b"{}")[..3]).await.unwrap()).await,
    );
}

#[tokio::test(start_paused = true)]
async fn the_times_are_the_ones_that_were_configured() {
    let (ping_interval, pong_timeout) = (Duration::from_millis(1500), Duration::from_millis(1600));
    let mut stage = Stage::new(|builder| builder.heartbeat(ping_interval, pong_timeout));
    let joined_at = Instant::now();
    let (mut ann, _) = stage.join("ann").await;
    assert_eq!(ann.receive().await.unwrap(), ping());
    assert_ping_passed(joined_at, ping_interval);
    stage.disconnected().await;
    assert_passed(joined_at, pong_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_peers_ping_is_answered_with_its_payload() {
    let mut stage = Stage::plain();
    let (mut ann, _) = stage.join("ann").await;
    for payload in [&b""[..], b"x", &[0xff; 125]] {
        ann.ping(payload).await.unwrap();
        assert_eq!(ann.receive().await.unwrap(), Received::Pong(payload.to_vec().into()));
    }
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_between_fragments_is_answered_at_once() {
    let mut stage = Stage::plain();
    let (mut ann, _) = stage.join("ann").await;
    ann.write_raw(&masked(0x01, br#"{"event":"n","#)).await.unwrap();
    ann.ping(b"between").await.unwrap();
    assert_eq!(ann.receive().await.unwrap(), Received::Pong(b"between"[..].into()));
    ann.write_raw(&masked(0x80, br#""payload":7}"#)).await.unwrap();
    assert_eq!(number(&stage.message().await), 7);
}

#[tokio::test(start_paused = true)]
async fn a_pong_is_not_held_up_by_a_long_backlog() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join_narrow("ann", 8).await;
    for number in 0..100 {
        connection.send(numbered(number)).unwrap();
    }
    settle().await;
    ann.ping(b"now").await.unwrap();
    let mut before = 0;
    while let Received::Message(..) = ann.receive().await.unwrap() {
        before += 1;
    }
    assert!(before <= 3, "{before} frames went before the pong");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_lost_after_the_write_wait_and_its_frames_are_kept() {
    let write_wait = Duration::from_secs(5);
    let mut stage = Stage::new(|builder| builder.resume_window(WINDOW).write_wait(write_wait));
    let (ann, connection) = stage.join_narrow("ann", 8).await;
    sleep(Duration::from_secs(2)).await;
    let sent_at = Instant::now();
    for number in 0..3 {
        connection.send(numbered(number)).unwrap();
    }
    sleep_until(sent_at + write_wait - TICK * 2).await;
    assert_eq!(connection.state(), ConnectionState::Connected);
    assert!(matches!(stage.dropped().await, TransportLost::WriteTimeout));
    assert_passed(sent_at, write_wait);
    let (mut again, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut again, 3).await, [0, 1, 2]);
    drop(ann);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_taken_byte_by_byte_arrives_whole_and_in_front_of_what_follows() {
    let mut stage = Stage::plain();
    // It takes one byte, and the next once that was read.
    let (mut ann, connection) = stage.join_narrow("ann", 1).await;
    sleep(PING + PING / 2).await;
    connection.send(numbered(1)).unwrap();
    settle().await;
    assert_eq!(ann.receive().await.unwrap(), ping());
    assert_eq!(number(&ann.frame().await.unwrap()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_wait_passes_without_a_pong_timeout_even_for_a_ping() {
    let write_wait = Duration::from_secs(3);
    let mut stage = Stage::new(|builder| builder.write_wait(write_wait));
    let joined_at = Instant::now();
    // One byte: not even a ping fits.
    let (_ann, _) = stage.join_narrow("ann", 1).await;
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::WriteTimeout)));
    let pinged_at = joined_at + write_wait;
    assert_ping_passed(pinged_at, PING);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_has_the_whole_write_wait_for_every_frame() {
    let write_wait = Duration::from_secs(5);
    let mut stage = Stage::new(|builder| {
        builder.write_wait(write_wait).heartbeat(Duration::from_secs(250), Duration::from_secs(500))
    });
    let (mut ann, connection) = stage.join_narrow("ann", 8).await;
    for number in 0..20 {
        connection.send(numbered(number)).unwrap();
    }
    for expected in 0..20 {
        advance(write_wait * 9 / 10).await;
        assert_eq!(number(&ann.frame().await.unwrap()), expected);
    }
    assert_eq!(connection.state(), ConnectionState::Connected);
    assert_eq!(connection.outbound_stats().sent, 20);
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_a_message_that_is_read_by_nobody_is_answered_without_callbacks() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.write_message(MessageKind::Text, b"{}").await.unwrap();
    ann.ping(b"x").await.unwrap();
    assert_eq!(ann.receive().await.unwrap(), Received::Pong(b"x"[..].into()));
}
