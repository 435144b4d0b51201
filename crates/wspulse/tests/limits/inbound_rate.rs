//! A client that sends faster than it may is slowed down or sent away, and nobody else notices.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wspulse::testing::{Received, Recorder, masked, request_parts};
use wspulse::{
    CloseFrame, Connection, Disconnect, Frame, InboundRate, OverRate, Server, ServerBuilder,
    TransportLost,
};

use crate::support::clients::{Client, dial, number, numbered, numbers};
use crate::support::clock::{WINDOW, assert_passed, settle, shortly_before};
use crate::support::house::open_house;
use crate::support::stage::Stage;

const SECOND: Duration = Duration::from_secs(1);

fn pausing() -> InboundRate {
    InboundRate::new(OverRate::Pause)
}

fn closing() -> InboundRate {
    InboundRate::new(OverRate::Close)
}

fn limited(rate: InboundRate) -> Stage {
    Stage::new(|builder| builder.inbound_rate(rate).resume_window(WINDOW))
}

/// A server that sends everything back.
fn echoing(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
    let echo = |connection: Connection, frame: Frame| connection.send(frame).expect("room");
    options(open_house().on_message(echo)).build().expect("valid")
}

async fn send(client: &mut Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        client.send(&numbered(number)).await.expect("the stream has room");
    }
}

/// Waits for the close frame and tells it.
async fn told(client: &mut Client) -> (u16, String) {
    let close: CloseFrame = client.closed().await.expect("a close").expect("a code");
    (close.code().as_u16(), close.reason().to_owned())
}

const RATE_LIMIT: u16 = 1008;

// ---- pausing ----

#[tokio::test(start_paused = true)]
async fn a_client_over_its_rate_waits_and_loses_nothing() {
    let mut stage = limited(pausing().messages(2, 4));
    let (mut ann, _) = stage.join("ann").await;
    let started = Instant::now();
    send(&mut ann, 0..10).await;
    for expected in 0..10 {
        assert_eq!(number(&stage.message().await), expected);
    }
    // Four at once, then one each half second.
    assert_passed(started, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_client_just_within_its_rate_never_waits() {
    let mut stage = limited(pausing().messages(2, 4).bytes(1_000, 1_000));
    let (mut ann, _) = stage.join("ann").await;
    send(&mut ann, 0..4).await;
    for next in 4..20 {
        let sent = Instant::now();
        assert_eq!(number(&stage.message().await), next - 4);
        assert_passed(sent, Duration::ZERO);
        sleep(SECOND / 2).await;
        send(&mut ann, next..next + 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_over_the_rate_wait_as_well() {
    let mut stage = Stage::new(|builder| {
        builder.inbound_rate(pausing().bytes(100, 200)).max_message_size(1_000)
    });
    let (mut ann, _) = stage.join("ann").await;
    let started = Instant::now();
    let text = format!(r#"{{"event":"{}"}}"#, "x".repeat(992 - 12));
    let message = masked(0x81, text.as_bytes());
    assert_eq!(message.len(), 1_000, "with its header of 8 bytes");
    ann.write_raw(&message).await.unwrap();
    assert_eq!(stage.message().await.event().len(), 980);
    // 200 at once, then a hundred each second.
    assert_passed(started, 8 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn pings_count_as_messages_and_wait_for_their_answer() {
    let server = echoing(|builder| builder.inbound_rate(pausing().messages(1, 2)));
    let mut ann = dial(&server, "ann").await;
    let started = Instant::now();
    for number in 0..5 {
        ann.ping(&[number]).await.unwrap();
    }
    for number in 0..5 {
        assert_eq!(ann.receive().await.unwrap(), Received::Pong(vec![number].into()));
    }
    assert_passed(started, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_not_read_is_not_taken_for_dead() {
    let mut stage = Stage::new(|builder| {
        builder
            .inbound_rate(pausing().messages(1, 1).bytes(1_000, 1_000))
            .heartbeat(SECOND, 3 * SECOND)
    });
    let (mut ann, connection) = stage.join("ann").await;
    // Its Pongs wait behind its messages: 30 s.
    send(&mut ann, 0..30).await;
    for expected in 0..30 {
        assert_eq!(number(&stage.message().await), expected);
    }
    settle().await;
    assert_eq!(connection.state(), wspulse::ConnectionState::Connected);
    // It says nothing more, and is read.
    assert!(matches!(
        stage.disconnected().await,
        Disconnect::TransportLost(TransportLost::PongTimeout)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_always_floods_gets_its_rate_and_others_do_not_notice() {
    let server = echoing(|builder| builder.inbound_rate(pausing().messages(10, 10)));
    let mut flooding = dial(&server, "flooding").await;
    let mut good = dial(&server, "good").await;
    let flood = tokio::spawn(async move {
        let mut answers = 0;
        send(&mut flooding, 0..1_000).await;
        while let Ok(Received::Message(..) | Received::Ping(_)) = flooding.receive().await {
            answers += 1;
        }
        answers
    });
    for number in 0..50 {
        let sent = Instant::now();
        send(&mut good, number..number + 1).await;
        assert_eq!(numbers(&mut good, 1).await, [number]);
        assert_passed(sent, Duration::ZERO);
        sleep(SECOND / 10).await;
    }
    server.kick("flooding").unwrap();
    // Ten at once and ten each second, for five seconds.
    assert!((58..=61).contains(&flood.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn coming_back_does_not_bring_new_tokens() {
    let mut stage = limited(pausing().messages(1, 5));
    let (mut ann, _) = stage.join("ann").await;
    send(&mut ann, 0..5).await;
    for expected in 0..5 {
        assert_eq!(number(&stage.message().await), expected);
    }
    drop(ann);
    sleep(2 * SECOND).await;
    stage.dropped().await;
    let (mut ann, _) = stage.rejoin("ann").await;
    let started = Instant::now();
    send(&mut ann, 5..8).await;
    for expected in 5..8 {
        assert_eq!(number(&stage.message().await), expected);
    }
    assert!(started.elapsed() >= shortly_before(SECOND / 2), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn bytes_right_behind_the_handshake_count() {
    let mut stage = limited(pausing().bytes(100, 200));
    let accepted = stage.server.handshake(request_parts("/ws?id=ann")).unwrap();
    let accepted = accepted.connect().await.unwrap();
    let (ours, theirs) = tokio::io::duplex(1_000);
    let behind = masked(0x8a, &[b'x'; 94]);
    accepted.attach(theirs, &behind.repeat(5));
    let _ = stage.connected().await;
    let mut ann = wspulse::testing::TestClient::new(ours);
    let started = Instant::now();
    ann.send(&numbered(1)).await.unwrap();
    assert_eq!(number(&stage.message().await), 1);
    // 500 where 200 may come, and then as many as the message has.
    assert!(started.elapsed() >= 3 * SECOND, "{:?}", started.elapsed());
}

// ---- closing ----

#[tokio::test(start_paused = true)]
async fn a_client_over_its_rate_is_sent_away_with_what_was_within_it_handled() {
    let mut stage = limited(closing().messages(2, 4));
    let (mut ann, _) = stage.join("ann").await;
    send(&mut ann, 0..6).await;
    for expected in 0..4 {
        assert_eq!(number(&stage.message().await), expected);
    }
    assert!(matches!(stage.dropped().await, TransportLost::RateLimited));
    assert_eq!(told(&mut ann).await, (RATE_LIMIT, "rate limit".to_owned()));
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_just_within_its_rate_stays() {
    let mut stage = limited(closing().messages(2, 4).bytes(1_000, 1_000));
    let (mut ann, _) = stage.join("ann").await;
    send(&mut ann, 0..4).await;
    for next in 4..20 {
        assert_eq!(number(&stage.message().await), next - 4);
        sleep(SECOND / 2).await;
        send(&mut ann, next..next + 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_over_the_rate_send_a_client_away() {
    let mut stage = limited(closing().bytes(100, 600));
    let (mut ann, _) = stage.join("ann").await;
    // Pongs cost nothing but their bytes.
    ann.write_raw(&masked(0x8a, &[b'x'; 94]).repeat(6)).await.unwrap();
    settle().await;
    stage.is_silent().await;
    ann.pong(b"").await.unwrap();
    assert!(matches!(stage.dropped().await, TransportLost::RateLimited));
    assert_eq!(told(&mut ann).await, (RATE_LIMIT, "rate limit".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_sends_a_client_away() {
    let mut stage = limited(closing().messages(10, 10));
    let (mut ann, _) = stage.join("ann").await;
    ann.write_raw(&masked(0x89, b"").repeat(11)).await.unwrap();
    assert!(matches!(stage.dropped().await, TransportLost::RateLimited));
    assert_eq!(told(&mut ann).await, (RATE_LIMIT, "rate limit".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn others_do_not_notice_when_a_client_is_sent_away() {
    let server = echoing(|builder| builder.inbound_rate(closing().messages(10, 10)));
    let mut bad = dial(&server, "bad").await;
    let mut good = dial(&server, "good").await;
    send(&mut good, 0..5).await;
    send(&mut bad, 0..100).await;
    assert_eq!(told(&mut bad).await.0, RATE_LIMIT);
    send(&mut good, 5..10).await;
    assert_eq!(numbers(&mut good, 10).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn without_a_resume_window_the_connection_ends_with_its_cause() {
    let mut stage = Stage::new(|builder| builder.inbound_rate(closing().messages(1, 1)));
    let (mut ann, _) = stage.join("ann").await;
    send(&mut ann, 0..2).await;
    stage.message().await;
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::RateLimited)), "{end:?}");
    assert!(!end.is_normal());
}

// ---- counting ----

#[tokio::test(start_paused = true)]
async fn every_pause_and_every_client_sent_away_is_counted() {
    for (rate, expected) in [(pausing(), 3), (closing(), 1)] {
        let recorder = Recorder::default();
        let metrics = recorder.clone();
        let server = echoing(|builder| {
            builder.metrics(metrics).inbound_rate(rate.messages(1, 2)).resume_window(WINDOW)
        });
        let mut ann = dial(&server, "ann").await;
        send(&mut ann, 0..4).await;
        sleep(5 * SECOND).await;
        assert_eq!(recorder.only("limit_reached"), vec!["limit_reached inbound_rate"; expected]);
    }
}
