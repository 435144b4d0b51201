//! What is compressed counts against the inbound rate as what it is once it is inflated.

use std::time::Duration;

use tokio::time::Instant;
use wspulse::{Compression, ConfigError, Delivery, Frame, InboundRate, OverRate, ServerBuilder};

use super::client::{DEFLATE, Offering};
use super::support::clock::{WINDOW, assert_passed};
use super::support::speaker::JSON;
use super::{compressing, echo};

const RATE_LIMIT: u16 = 1008;

/// 6,000 bytes as a message, and some 50 on the wire.
fn growing() -> Frame {
    let frame = Frame::new("n").with_payload(format!("\"{}\"", " ".repeat(5_974)));
    assert_eq!(r#"{"event":"n","payload":}"#.len() + frame.payload().len(), 6_000);
    frame
}

fn limited(over: OverRate) -> ServerBuilder {
    compressing().inbound_rate(InboundRate::new(over).bytes(1_000, 11_600))
}

#[tokio::test(start_paused = true)]
async fn who_sends_more_than_its_rate_once_it_is_inflated_is_sent_away() {
    let server = limited(OverRate::Close).build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    ann.send_compressed(&growing()).await;
    assert_eq!(ann.hear().await.frame, growing());
    ann.send_compressed(&growing()).await;
    assert_eq!(ann.close_code().await, RATE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn how_many_times_longer_a_message_becomes_is_no_fault_and_buys_nothing() {
    let rate = InboundRate::new(OverRate::Close).bytes(1_000, 458_000);
    let server = compressing().max_message_size(400_000).inbound_rate(rate).build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    let frame = Frame::new("n").with_payload(format!("\"{}\"", " ".repeat(390_000)));
    let wire_bytes = ann.send_compressed(&frame).await;
    assert!(wire_bytes < 390_000 / 900, "as short as deflate can have it: {wire_bytes}");
    assert_eq!(ann.hear().await.frame, frame);
    // What is left of the burst is less than 68,000.
    ann.send_compressed(&Frame::new("n").with_payload(format!("\"{}\"", " ".repeat(68_000)))).await;
    assert_eq!(ann.close_code().await, RATE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn who_counts_its_frames_is_held_to_the_same_rate() {
    let server = limited(OverRate::Close)
        .delivery(Delivery::ExactlyOnce)
        .resume_window(WINDOW)
        .build()
        .unwrap();
    let headers = [("sec-websocket-extensions", DEFLATE), ("sec-websocket-protocol", JSON)];
    let mut ann = Offering::connect_with(&server, "ann", &headers).await;
    ann.send_compressed(&growing()).await;
    ann.send_compressed(&growing()).await;
    assert_eq!(ann.close_code().await, RATE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn who_is_made_to_wait_waits_for_as_long_as_the_inflated_bytes_take() {
    let server = limited(OverRate::Pause).build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    let started = Instant::now();
    for _ in 0..3 {
        ann.send_compressed(&growing()).await;
    }
    for _ in 0..2 {
        assert_eq!(ann.hear().await.frame, growing());
    }
    assert_passed(started, Duration::ZERO);
    // Two have taken 400 bytes more than there were, and headers count as well.
    assert_eq!(ann.hear().await.frame, growing());
    let waited = started.elapsed();
    assert!((400..600).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_compression_has_made_longer_counts_as_it_came() {
    let server = limited(OverRate::Close).build().unwrap();
    let mut ann = Offering::connect(&server, "ann", DEFLATE).await;
    // Of the burst of 11,600 each takes 14 bytes more than it holds, and the last what is left.
    for _ in 0..11 {
        ann.send_stored(&[b' '; 1_000]).await;
    }
    ann.send_stored(format!("{:430}", r#"{"event":"n"}"#).as_bytes()).await;
    assert_eq!(ann.hear().await.frame, Frame::new("n"));
    ann.send_stored(b" ").await;
    assert_eq!(ann.close_code().await, RATE_LIMIT);
}

#[test]
fn a_burst_over_which_a_client_is_closed_holds_the_largest_message_that_does_not_compress() {
    let with = |builder: ServerBuilder, burst| {
        let rate = InboundRate::new(OverRate::Close).bytes(1, burst);
        builder.max_message_size(1_000).inbound_rate(rate).build()
    };
    let compressing = || echo().compression(Compression::shared());
    assert!(with(echo(), 1_014).is_ok());
    assert!(with(compressing(), 1_220).is_ok());
    let refused: ConfigError = with(compressing(), 1_219).expect_err("a byte less");
    assert!(refused.to_string().contains("a 7th of it"), "{refused}");
}
