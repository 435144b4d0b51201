//! A server that stood still for longer than its deadlines, as one whose process was stopped or
//! whose machine was suspended, looks at what has come meanwhile before it judges its peers. A
//! clock that is moved in one step is such a stop.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use wspulse::testing::Received;
use wspulse::{ConnectionState, Disconnect, InboundRate, OverRate, TransportLost};

use crate::support::clients::{dial, number, numbered, numbers};
use crate::support::clock::{TICK, assert_passed, settle};
use crate::support::stage::Stage;

const STOP: Duration = Duration::from_secs(35);
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(30);
/// How often a session without a heartbeat looks at the time.
const LOOK: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn no_client_with_the_default_heartbeat_is_thrown_out() {
    let mut stage = Stage::plain();
    let mut clients = Vec::new();
    for number in 0..200 {
        let (client, connection) = stage.join(&format!("client-{number}")).await;
        clients.push((client, connection));
    }
    sleep(PING / 2).await;
    for (client, _) in &mut clients {
        client.send(&numbered(1)).await.unwrap();
    }
    for _ in 0..200 {
        stage.message().await;
    }
    advance(STOP).await;
    settle().await;
    for (client, connection) in &mut clients {
        assert_eq!(client.receive().await.unwrap(), Received::Ping(bytes::Bytes::new()));
        client.pong(b"").await.unwrap();
        assert_eq!(connection.state(), ConnectionState::Connected);
    }
    sleep(PING / 2).await;
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_silent_after_the_stop_too_is_lost_in_time() {
    let mut stage = Stage::plain();
    let (_ann, _) = stage.join("ann").await;
    advance(STOP).await;
    let continued_at = Instant::now();
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::PongTimeout)));
    assert!(continued_at.elapsed() >= PONG.saturating_sub(PING));
    assert!(continued_at.elapsed() <= PONG);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_on_after_the_stop_keeps_its_transport() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join_narrow("ann", 16).await;
    (0..20).for_each(|number| connection.send(numbered(number)).unwrap());
    settle().await;
    advance(STOP).await;
    settle().await;
    assert_eq!(numbers(&mut ann, 20).await, (0..20).collect::<Vec<_>>());
    assert_eq!(connection.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_right_after_the_stop_finds_its_session() {
    let mut stage = Stage::new(|builder| builder.resume_window(PONG));
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    connection.send(numbered(7)).unwrap();
    advance(STOP).await;
    settle().await;
    let mut ann = dial(&stage.server, "ann").await;
    stage.restored().await;
    assert_eq!(number(&ann.frame().await.unwrap()), 7);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_come_back_is_waited_for_a_few_seconds_only() {
    let mut stage = Stage::new(|builder| builder.resume_window(PONG));
    let (ann, _) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    sleep(PONG.saturating_sub(Duration::from_secs(1))).await;
    advance(STOP).await;
    let continued_at = Instant::now();
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::GraceExpired(_)));
    assert_passed(continued_at, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_resume_window_does_not_count() {
    let mut stage = Stage::new(|builder| builder.resume_window(2 * STOP));
    let (ann, _) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    sleep(PING).await;
    advance(STOP).await;
    let continued_at = Instant::now();
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::GraceExpired(_)));
    let waited = continued_at.elapsed();
    assert!(waited + PING <= 2 * STOP + TICK, "{waited:?}");
    assert!(waited + PING + LOOK >= 2 * STOP, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_rest_is_written_does_not_count() {
    let mut stage = Stage::new(|builder| builder.write_wait(PONG));
    let (mut ann, connection) = stage.join_narrow("ann", 16).await;
    (0..20).for_each(|number| connection.send(numbered(number)).unwrap());
    settle().await;
    connection.close();
    sleep(PING / 2).await;
    advance(2 * PING).await;
    sleep(PING).await;
    assert_eq!(numbers(&mut ann, 20).await, (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sent_at_its_rate_meanwhile_is_not_sent_away() {
    let rate = InboundRate::new(OverRate::Close).messages(2, 4).bytes(200, 600);
    let mut stage = Stage::new(|builder| builder.inbound_rate(rate));
    let (mut ann, connection) = stage.join("ann").await;
    sleep(PING / 2).await;
    let sent = 2 * usize::try_from(STOP.as_secs()).unwrap();
    // The stream takes all of it at once, and nobody reads before the stop is over.
    for number in 0..sent {
        ann.send(&numbered(number)).await.unwrap();
    }
    advance(STOP).await;
    for expected in 0..sent {
        assert_eq!(number(&stage.message().await), expected);
    }
    assert_eq!(connection.state(), ConnectionState::Connected);
}
