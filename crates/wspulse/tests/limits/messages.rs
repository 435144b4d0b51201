//! A message has so many fragments and takes so long at the most, and nobody else notices if it
//! does not.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use wspulse::testing::{Recorder, masked};
use wspulse::{
    Connection, Disconnect, Frame, InboundRate, OverRate, ProtocolError, ServerBuilder,
    TransportLost,
};

use crate::support::clients::{Client, dial, number, numbered, numbers};
use crate::support::clock::{assert_passed, settle, shortly_before};
use crate::support::stage::Stage;

const SECOND: Duration = Duration::from_secs(1);

const FIRST_TEXT: u8 = 0x01;
const CONTINUATION: u8 = 0x00;
const FINAL_CONTINUATION: u8 = 0x80;

/// A frame's text in so many WebSocket frames, all but the first and the last of them empty.
fn fragmented(frame: usize, fragments: usize) -> Vec<u8> {
    let text = format!(r#"{{"event":"n","payload":{frame}}}"#);
    let (head, tail) = text.split_at(5);
    let mut bytes = masked(FIRST_TEXT, head.as_bytes()).to_vec();
    for _ in 2..fragments {
        bytes.extend(masked(CONTINUATION, b""));
    }
    bytes.extend(masked(FINAL_CONTINUATION, tail.as_bytes()));
    bytes
}

async fn told(client: &mut Client) -> (u16, String) {
    let close = client.closed().await.expect("a close").expect("a code");
    (close.code().as_u16(), close.reason().to_owned())
}

/// A server with these options, somebody who is up to something, and a witness whose messages and
/// answers must not suffer.
async fn scene(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Stage, Client, Client) {
    let mut stage = Stage::new(|builder| {
        let echo = |connection: Connection, frame: Frame| connection.send(frame).expect("room");
        options(builder.on_message(echo))
    });
    let (bad, _) = stage.join("bad").await;
    let (good, _) = stage.join("good").await;
    (stage, bad, good)
}

async fn still_echoes(good: &mut Client) {
    good.send(&numbered(7)).await.unwrap();
    assert_eq!(numbers(good, 1).await, [7]);
}

// ---- fragments ----

#[tokio::test(start_paused = true)]
async fn a_message_of_as_many_fragments_as_the_limit_arrives() {
    let mut stage = Stage::new(|builder| builder.max_message_fragments(5));
    let (mut ann, _) = stage.join("ann").await;
    for expected in 0..3 {
        ann.write_raw(&fragmented(expected, 5)).await.unwrap();
        assert_eq!(number(&stage.message().await), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_one_fragment_more_sends_its_client_away() {
    let (mut stage, mut bad, mut good) = scene(|builder| builder.max_message_fragments(5)).await;
    bad.write_raw(&fragmented(0, 6)).await.unwrap();
    let end = stage.disconnected().await;
    let Disconnect::TransportLost(TransportLost::Protocol(error)) = end else { panic!("{end:?}") };
    assert_eq!(error, ProtocolError::TooManyFragments { limit: 5 });
    assert_eq!(told(&mut bad).await, (1008, "too many fragments".to_owned()));
    still_echoes(&mut good).await;
}

#[tokio::test(start_paused = true)]
async fn by_default_a_message_has_1024_fragments_at_the_most() {
    let mut stage = Stage::plain();
    let (mut ann, _) = stage.join("ann").await;
    ann.write_raw(&fragmented(1, 1024)).await.unwrap();
    assert_eq!(number(&stage.message().await), 1);
    ann.write_raw(&fragmented(2, 1025)).await.unwrap();
    assert_eq!(told(&mut ann).await, (1008, "too many fragments".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_fragments_without_an_end_is_cut_off() {
    let (mut stage, mut bad, mut good) = scene(|builder| builder.max_message_size(1 << 20)).await;
    let mut flood = masked(FIRST_TEXT, b"x").to_vec();
    flood.extend(masked(CONTINUATION, b"x").repeat(131_000));
    let flooding = tokio::spawn(async move {
        // It is cut off before it has written all.
        let _ = bad.write_raw(&flood).await;
        told(&mut bad).await
    });
    assert!(matches!(stage.disconnected().await, Disconnect::TransportLost(_)));
    still_echoes(&mut good).await;
    assert_eq!(flooding.await.unwrap().0, 1008);
}

// ---- time ----

#[tokio::test(start_paused = true)]
async fn a_message_that_drips_is_cut_off_after_its_time() {
    let (mut stage, mut bad, mut good) = scene(|builder| builder.message_timeout(4 * SECOND)).await;
    let started = Instant::now();
    let message = masked(0x81, br#"{"event":"slow"}"#);
    for byte in &message[..4] {
        bad.write_raw(&[*byte]).await.unwrap();
        still_echoes(&mut good).await;
        sleep(SECOND).await;
    }
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::MessageTimeout)), "{end:?}");
    assert_passed(started, 4 * SECOND);
    assert_eq!(told(&mut bad).await, (1008, "message timeout".to_owned()));
    still_echoes(&mut good).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_complete_just_in_time_arrives() {
    let mut stage = Stage::new(|builder| builder.message_timeout(4 * SECOND));
    let (mut ann, _) = stage.join("ann").await;
    let message = masked(0x81, br#"{"event":"n","payload":3}"#);
    for _ in 0..3 {
        ann.write_raw(&message[..10]).await.unwrap();
        sleep(shortly_before(4 * SECOND)).await;
        ann.write_raw(&message[10..]).await.unwrap();
        assert_eq!(number(&stage.message().await), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_a_message_has_a_minute() {
    let mut stage = Stage::new(|builder| builder.heartbeat(2 * SECOND, Duration::from_mins(5)));
    let (mut ann, _) = stage.join("ann").await;
    let started = Instant::now();
    ann.write_raw(&masked(FIRST_TEXT, b"{")).await.unwrap();
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::MessageTimeout)), "{end:?}");
    assert_passed(started, Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn control_frames_do_not_give_a_message_more_time() {
    let mut stage = Stage::new(|builder| builder.message_timeout(4 * SECOND));
    let (mut ann, _) = stage.join("ann").await;
    ann.write_raw(&masked(FIRST_TEXT, b"{")).await.unwrap();
    for _ in 0..3 {
        sleep(SECOND).await;
        ann.ping(b"").await.unwrap();
    }
    let end = stage.disconnected().await;
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::MessageTimeout)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_has_all_the_time_there_is() {
    let mut stage = Stage::new(|builder| {
        builder.message_timeout(SECOND).heartbeat(SECOND, Duration::from_mins(10))
    });
    let (mut ann, _) = stage.join("ann").await;
    ann.write_raw(&fragmented(1, 3)).await.unwrap();
    assert_eq!(number(&stage.message().await), 1);
    advance(Duration::from_mins(5)).await;
    settle().await;
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_slowed_down_by_its_rate_has_its_whole_time() {
    let mut stage = Stage::new(|builder| {
        let rate = InboundRate::new(OverRate::Pause).bytes(10, 10);
        builder.message_timeout(SECOND).inbound_rate(rate)
    });
    let (mut ann, _) = stage.join("ann").await;
    let started = Instant::now();
    ann.send(&numbered(1)).await.unwrap();
    assert_eq!(number(&stage.message().await), 1);
    assert!(started.elapsed() > 2 * SECOND, "{:?}", started.elapsed());
}

// ---- counting ----

#[tokio::test(start_paused = true)]
async fn both_limits_are_counted() {
    let recorder = Recorder::default();
    let metrics = recorder.clone();
    let stage = Stage::new(|builder| {
        builder.metrics(metrics).max_message_fragments(2).message_timeout(SECOND)
    });
    let mut many = dial(&stage.server, "many").await;
    many.write_raw(&fragmented(1, 3)).await.unwrap();
    settle().await;
    let mut slow = dial(&stage.server, "slow").await;
    slow.write_raw(b"\x81").await.unwrap();
    sleep(2 * SECOND).await;
    assert_eq!(
        recorder.only("limit_reached"),
        ["limit_reached max_message_fragments", "limit_reached message_timeout"]
    );
}
