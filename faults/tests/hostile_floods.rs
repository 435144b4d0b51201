//! Peers that send more than they should, or read less.

mod support;

use std::time::Duration;

use wspulse::testing::masked;
use wspulse_faults::clients::{close_code, join, join_with_small_buffer, within};
use wspulse_faults::control::Numbered;
use wspulse_faults::{KIB, MIB, process};

use support::*;

/// What the server tells of a peer that reads nothing.
const WRITE_TIMEOUT: &str = "peer took no frame within the write wait";

#[tokio::test]
async fn a_message_of_131_000_fragments_ends_at_a_limit() {
    let siege = siege(&["--message-bytes-max", "65536"]);
    let mut peer = attacker(&siege, "fragments").await;
    let mut flood = masked(TEXT_WITHOUT_FIN, b"x").to_vec();
    for _ in 1..131_000 {
        flood.extend_from_slice(&masked(CONTINUATION_WITHOUT_FIN, b"x"));
    }
    // The server may have had enough before it has all.
    let _ = within(peer.write_raw(&flood)).await;
    let code = close_code(&mut peer).await.expect("a close frame");
    // By the message's bytes, or by its fragments.
    assert!(matches!(code, Some(1009 | 1008)), "{code:?}");
    drop(peer);
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn a_peer_that_floods_with_pings_and_reads_nothing_is_given_up() {
    let mut siege = siege(&["--write-wait-ms", "200", "--kernel-bytes", "16384"]);
    let address = siege.address();
    let mut peer = join_with_small_buffer(address, "attackers", "pings").await.expect("let in");
    let flood = masked(PING, &[b'p'; 125]).repeat(1000);
    // Until the server has hung up.
    let flooding = async { while peer.write_raw(&flood).await.is_ok() {} };
    within(flooding).await;
    siege.server.wait_until("the write wait", |counters| counters.lost_to(WRITE_TIMEOUT) == 1);
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn a_peer_that_floods_with_pings_and_reads_gets_its_newest_answer() {
    let siege = siege(&[]);
    let mut peer = attacker(&siege, "pings").await;
    let mut flood = masked(PING, b"old").repeat(20_000);
    flood.extend_from_slice(&masked(PING, b"newest"));
    within(peer.write_raw(&flood)).await.expect("the server reads");
    let newest = async {
        while !matches!(peer.receive().await.expect("pongs"), wspulse::testing::Received::Pong(payload) if payload == "newest")
        {
        }
    };
    within(newest).await;
    drop(peer);
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn a_flood_of_messages_that_nobody_reads_the_answers_of_is_bounded() {
    let mut siege = siege(&["--write-wait-ms", "200", "--kernel-bytes", "16384"]);
    let address = siege.address();
    let mut peer = join_with_small_buffer(address, "attackers", "echoes").await.expect("let in");
    let flood = text_frame("echo", &format!("\"{}\"", "x".repeat(1024))).repeat(256);
    let flooding = async { while peer.write_raw(&flood).await.is_ok() {} };
    within(flooding).await;
    let counters =
        siege.server.wait_until("the write wait", |counters| counters.lost_to(WRITE_TIMEOUT) == 1);
    assert!(counters.dropped["rejected"] > 0, "{counters:#?}");
    siege.lift(8 * MIB);
}

#[tokio::test]
#[ignore = "it takes seconds: run by `.ci/run faults`"]
async fn a_thousand_stopped_readers_in_a_busy_room_cost_their_neighbours_nothing() {
    const STOPPED: u64 = 1000;
    const BATCH: u64 = 50;
    const BATCHES: u64 = 20;
    process::require_descriptors(1500);
    let mut siege = siege(&["--write-wait-ms", "2000", "--kernel-bytes", "16384"]);
    let address = siege.address();
    let mut reader = join(address, "busy", "reader").await.expect("let in");
    let mut stopped = Vec::new();
    for index in 0..STOPPED {
        let peer = join_with_small_buffer(address, "busy", &format!("stopped-{index}")).await;
        stopped.push(peer.expect("let in"));
    }
    for batch in 0..BATCHES {
        let first = batch * BATCH;
        siege.server.broadcast("busy", Numbered { first, count: BATCH, pad_bytes: 1024 });
        assert_numbers(&mut reader, first..first + BATCH).await;
    }
    siege.server.wait_until("all to be given up", |counters| {
        counters.lost_to(WRITE_TIMEOUT) == STOPPED && counters.suspended == STOPPED
    });
    echoes(&mut reader, "still here").await;
    drop(stopped);
    // 256 references of at most 64 bytes for each, and what they refer to.
    siege.lift(STOPPED * 16 * KIB + 8 * MIB);
}

#[tokio::test]
#[ignore = "it takes seconds: run by `.ci/run faults`"]
async fn two_thousand_connections_that_come_and_go_leave_nothing() {
    let mut siege = siege(&["--resume-window-ms", "100"]);
    let before = process::descriptors(siege.server.pid()).expect("it runs");
    for index in 0..2000_u32 {
        let mut peer = attacker(&siege, &format!("churn-{index}")).await;
        match index % 4 {
            0 => leave(peer).await,
            1 => drop(peer),
            2 => wspulse_faults::clients::reset(peer.into_stream()),
            _ => {
                peer.write_raw(&text_frame("leave", "null")).await.expect("the server reads");
                assert_eq!(close_code(&mut peer).await.expect("a close frame"), Some(1000));
            }
        }
    }
    let counters = siege.server.wait_until("all to be gone", |counters| counters.connections == 2);
    assert_eq!((counters.opened, counters.closed_in_all()), (2002, 2000));
    while process::descriptors(siege.server.pid()).expect("it runs") > before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    siege.lift(8 * MIB);
}
