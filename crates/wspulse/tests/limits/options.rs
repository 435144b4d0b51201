//! Every option's default and bounds, and the errors for values beyond them.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use wspulse::testing::{Received, TestClient, request_parts};
use wspulse::{
    Admission, BufferLimit, Delivery, DuplicatePolicy, MessageKind, SendError, Server,
    ServerBuilder,
};

use crate::support::bounds::{assert_refused, assert_valid};
use crate::support::clients::{dial, dial_narrow, named};
use crate::support::clock::settle;
use crate::support::house::open_house;

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const MIB: usize = 1024 * 1024;

#[test]
fn the_heartbeat_takes_periods_within_its_bounds() {
    assert_valid(|builder| builder.heartbeat(NS, 2 * NS));
    assert_valid(|builder| builder.heartbeat(5 * MINUTE, 10 * MINUTE));
}

#[test]
fn the_heartbeat_wants_a_positive_ping_interval_below_the_pong_timeout() {
    let rule = "ping_interval must be positive and strictly less than pong_timeout";
    for (ping, pong, value) in [
        (Duration::ZERO, SECOND, "(0ns, 1s)"),
        (Duration::ZERO, Duration::ZERO, "(0ns, 0ns)"),
        (SECOND, SECOND, "(1s, 1s)"),
        (2 * SECOND, SECOND, "(2s, 1s)"),
        // Checked before the upper bounds.
        (20 * MINUTE, 20 * MINUTE, "(1200s, 1200s)"),
    ] {
        assert_refused(|builder| builder.heartbeat(ping, pong), "heartbeat", value, rule);
    }
}

#[test]
fn the_heartbeat_has_upper_bounds() {
    let rule = "ping_interval must be at most 5 min";
    let over = |builder: ServerBuilder| builder.heartbeat(5 * MINUTE + NS, 10 * MINUTE);
    assert_refused(over, "heartbeat", "300.000000001s", rule);
    let rule = "pong_timeout must be at most 10 min";
    let over = |builder: ServerBuilder| builder.heartbeat(SECOND, 10 * MINUTE + NS);
    assert_refused(over, "heartbeat", "600.000000001s", rule);
}

#[test]
fn the_write_wait_is_positive_and_at_most_30_s() {
    let rule = "must be positive and at most 30 s";
    assert_valid(|builder| builder.write_wait(NS));
    assert_valid(|builder| builder.write_wait(30 * SECOND));
    assert_refused(|builder| builder.write_wait(Duration::ZERO), "write_wait", "0ns", rule);
    let over = |builder: ServerBuilder| builder.write_wait(30 * SECOND + NS);
    assert_refused(over, "write_wait", "30.000000001s", rule);
}

#[test]
fn the_connect_timeout_is_positive_and_at_most_5_min() {
    let rule = "must be positive and at most 5 min";
    assert_valid(|builder| builder.connect_timeout(NS));
    assert_valid(|builder| builder.connect_timeout(5 * MINUTE));
    let none = |builder: ServerBuilder| builder.connect_timeout(Duration::ZERO);
    assert_refused(none, "connect_timeout", "0ns", rule);
    let over = |builder: ServerBuilder| builder.connect_timeout(5 * MINUTE + NS);
    assert_refused(over, "connect_timeout", "300.000000001s", rule);
}

#[test]
fn the_drain_timeout_is_positive_and_at_most_1_h() {
    let rule = "must be positive and at most 1 h";
    assert_valid(|builder| builder.drain_timeout(NS));
    assert_valid(|builder| builder.drain_timeout(60 * MINUTE));
    let none = |builder: ServerBuilder| builder.drain_timeout(Duration::ZERO);
    assert_refused(none, "drain_timeout", "0ns", rule);
    let over = |builder: ServerBuilder| builder.drain_timeout(60 * MINUTE + NS);
    assert_refused(over, "drain_timeout", "3600.000000001s", rule);
}

#[test]
fn the_resume_window_has_no_bounds() {
    assert_valid(|builder| builder.resume_window(Duration::ZERO));
    assert_valid(|builder| builder.resume_window(Duration::MAX));
}

#[test]
fn the_max_message_size_is_1_byte_to_64_mib() {
    let rule = "must be at least 1 and at most 67108864 (64 MiB)";
    assert_valid(|builder| builder.max_message_size(1));
    assert_valid(|builder| builder.max_message_size(64 * MIB));
    assert_refused(|builder| builder.max_message_size(0), "max_message_size", "0", rule);
    let over = |builder: ServerBuilder| builder.max_message_size(64 * MIB + 1);
    assert_refused(over, "max_message_size", "67108865", rule);
}

#[test]
fn the_send_buffer_size_is_1_to_4096_frames() {
    let rule = "must be at least 1 and at most 4096";
    assert_valid(|builder| builder.send_buffer_size(1));
    assert_valid(|builder| builder.send_buffer_size(4096));
    assert_refused(|builder| builder.send_buffer_size(0), "send_buffer_size", "0", rule);
    assert_refused(|builder| builder.send_buffer_size(4097), "send_buffer_size", "4097", rule);
}

#[test]
fn the_upgrader_buffer_sizes_are_1_byte_to_16_mib_each() {
    let option = "upgrader_buffer_size";
    assert_valid(|builder| builder.upgrader_buffer_size(1, 1));
    assert_valid(|builder| builder.upgrader_buffer_size(16 * MIB, 16 * MIB));
    let rule = "read_bytes must be at least 1 and at most 16777216 (16 MiB)";
    assert_refused(|builder| builder.upgrader_buffer_size(0, 1), option, "0", rule);
    let over = |builder: ServerBuilder| builder.upgrader_buffer_size(16 * MIB + 1, 1);
    assert_refused(over, option, "16777217", rule);
    let rule = "write_bytes must be at least 1 and at most 16777216 (16 MiB)";
    assert_refused(|builder| builder.upgrader_buffer_size(1, 0), option, "0", rule);
    let over = |builder: ServerBuilder| builder.upgrader_buffer_size(1, 16 * MIB + 1);
    assert_refused(over, option, "16777217", rule);
}

#[test]
fn resuming_duplicates_needs_a_resume_window() {
    let resume = |builder: ServerBuilder| builder.duplicates(DuplicatePolicy::Resume);
    assert_refused(resume, "duplicates", "Resume", "Resume needs a resume_window");
    assert_valid(|builder| builder.duplicates(DuplicatePolicy::Resume).resume_window(SECOND));
    assert_valid(|builder| builder.duplicates(DuplicatePolicy::Replace));
}

#[test]
fn the_last_value_of_an_option_counts() {
    assert_valid(|builder| builder.write_wait(Duration::ZERO).write_wait(SECOND));
    let rule = "must be at least 1 and at most 4096";
    let last_wrong = |builder: ServerBuilder| builder.send_buffer_size(1).send_buffer_size(0);
    assert_refused(last_wrong, "send_buffer_size", "0", rule);
}

#[test]
fn the_first_of_several_bad_values_is_named() {
    let error = open_house().max_message_size(0).write_wait(Duration::ZERO).build().unwrap_err();
    assert_eq!(error.option(), "write_wait");
}

#[test]
fn ping_interval_and_write_wait_are_not_checked_against_each_other() {
    assert_valid(|builder| builder.heartbeat(SECOND, 2 * SECOND).write_wait(30 * SECOND));
}

#[test]
fn by_default_reads_and_writes_are_bounded_to_64_kib() {
    let options = format!("{:?}", open_house());
    assert!(options.contains("upgrader_buffer_size: (65536, 65536)"), "{options}");
}

#[tokio::test(start_paused = true)]
async fn frames_pass_through_the_smallest_reads_and_writes() {
    let server = open_house()
        .upgrader_buffer_size(1, 1)
        .on_message(|conn, frame| conn.send(frame).unwrap())
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    for number in 0..3 {
        ann.send(&named(number)).await.unwrap();
    }
    for number in 0..3 {
        assert_eq!(ann.frame().await.unwrap(), named(number));
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_a_ping_goes_out_every_10_s() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    settle().await;
    for _ in 0..3 {
        let before = Instant::now();
        assert!(
            matches!(ann.receive().await.unwrap(), Received::Ping(payload) if payload.is_empty())
        );
        ann.pong(b"").await.unwrap();
        let waited = before.elapsed();
        assert!((9_999..=10_333).contains(&waited.as_millis()), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_a_silent_peer_is_kept_for_30_s() {
    let server = open_house().build().unwrap();
    let _ann = dial(&server, "ann").await;
    sleep(Duration::from_millis(29_999)).await;
    assert_eq!(server.connection_count(), 1);
    sleep(2 * MS).await;
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn by_default_a_frame_has_10_s_to_be_taken() {
    let server = open_house().build().unwrap();
    let _ann = dial_narrow(&server, "ann").await;
    settle().await;
    server.send("ann", named(1_000_000_000)).unwrap();
    sleep(Duration::from_millis(9_999)).await;
    assert_eq!(server.connection_count(), 1);
    sleep(2 * MS).await;
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn by_default_a_message_may_have_512_bytes() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.write_message(MessageKind::Text, &[b' '; 512]).await.unwrap();
    settle().await;
    assert_eq!(server.connection_count(), 1);
    ann.write_message(MessageKind::Text, &[b' '; 513]).await.unwrap();
    assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1009);
}

#[tokio::test(start_paused = true)]
async fn by_default_256_frames_may_wait() {
    let server = open_house().build().unwrap();
    let _ann = dial(&server, "ann").await;
    for number in 0..256 {
        server.send("ann", named(number)).unwrap();
    }
    let refused = server.send("ann", named(256)).unwrap_err();
    assert!(matches!(
        refused,
        SendError::Full { limit: BufferLimit::Frames { capacity_frames: 256 }, .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn by_default_a_lost_transport_ends_the_connection_at_once() {
    let server = open_house().build().unwrap();
    drop(dial(&server, "ann").await);
    settle().await;
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn by_default_frames_are_json_in_text_messages() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    server.send("ann", named(1)).unwrap();
    let text = Received::Message(MessageKind::Text, br#"{"event":"1"}"#[..].into());
    assert_eq!(ann.receive().await.unwrap(), text);
}

#[tokio::test(start_paused = true)]
async fn by_default_every_origin_may_connect() {
    let server = open_house().build().unwrap();
    let mut parts = request_parts("/ws?id=ann");
    parts.headers.insert("origin", "https://elsewhere.example".parse().unwrap());
    let accepted = server.handshake(parts).unwrap().connect().await.unwrap();
    assert_eq!(accepted.response().status(), 101);
}

#[tokio::test(start_paused = true)]
async fn by_default_a_second_connection_with_an_id_replaces_the_first() {
    let server = open_house().resume_window(MINUTE).build().unwrap();
    let mut old = dial(&server, "ann").await;
    let _new = dial(&server, "ann").await;
    let close = old.closed().await.unwrap().unwrap();
    assert_eq!((close.code().as_u16(), close.reason()), (1000, "duplicate connection id"));
}

#[tokio::test(start_paused = true)]
async fn by_default_the_connect_function_has_10_s() {
    let server = Server::builder(|_| async {
        sleep(MINUTE).await;
        Ok(Admission::room("lobby"))
    });
    let server = server.build().unwrap();
    let started = Instant::now();
    let refused = TestClient::connect(&server, "/ws").await.unwrap_err();
    assert_eq!(started.elapsed(), 10 * SECOND);
    assert_eq!(refused.0.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn by_default_a_shutdown_gives_a_callback_up_after_10_s() {
    let server = open_house().on_message(|_, _| sleep(MINUTE)).build().unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&named(1)).await.unwrap();
    settle().await;
    let started = Instant::now();
    server.close().await;
    assert_eq!(started.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn without_callbacks_everything_works() {
    let server = open_house().resume_window(MINUTE).build().unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&named(1)).await.unwrap();
    drop(ann);
    settle().await;
    let mut ann = dial(&server, "ann").await;
    server.send("ann", named(2)).unwrap();
    assert_eq!(ann.frame().await.unwrap(), named(2));
    let leaving = tokio::spawn(async move { ann.closed().await });
    timeout(SECOND, server.close()).await.expect("closes at once");
    assert_eq!(leaving.await.unwrap().unwrap().unwrap().code().as_u16(), 1001);
}

#[test]
fn a_promise_needs_sessions_that_resume() {
    let builder = open_house().delivery(Delivery::AtLeastOnce);
    assert_eq!(builder.build().map(|_: Server| ()).unwrap_err().option(), "delivery");
    for (frames, bytes) in [(0, 1), (65_537, 1), (1, 0), (1, (1 << 30) + 1)] {
        let builder = open_house().delivery_window(frames, bytes);
        assert_eq!(builder.build().unwrap_err().option(), "delivery_window");
    }
}
