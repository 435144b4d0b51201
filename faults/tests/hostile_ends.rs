//! Peers that end their connections badly: resets at every stage, closes that are no closes.

mod support;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wspulse::testing::{Received, masked, request_head};
use wspulse_faults::clients::{
    Peer, close_code, hung_up, join, join_with_small_buffer, reset, target, within,
};
use wspulse_faults::control::Numbered;
use wspulse_faults::{KIB, MIB, process};

use support::*;

const END_OF_STREAM: &str = "peer ended the stream without a close frame";
const RESET: &str = "transport failed: ConnectionReset";

#[tokio::test]
async fn what_follows_a_close_is_ignored() {
    let mut siege = siege(&[]);
    let mut peer = attacker(&siege, "chatty").await;
    let mut bytes = masked(CLOSE, &1000_u16.to_be_bytes()).to_vec();
    for _ in 0..1000 {
        bytes.extend_from_slice(&text_frame("say", "\"after the end\""));
    }
    let received = siege.server.counters().received;
    within(peer.write_raw(&bytes)).await.expect("the server reads");
    assert_eq!(close_code(&mut peer).await.expect("an echo of the close"), Some(1000));
    hung_up(&mut peer).await;
    let inspection = siege.server.wait_for("chatty", |now| now.state == "Suspended");
    assert_eq!(inspection.account.accepted, 0);
    assert!(siege.server.counters().received >= received, "only the healthy ones were heard");
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn a_peer_that_never_answers_a_close_is_hung_up_on() {
    let siege = siege(&["--write-wait-ms", "200"]);
    let mut peer = attacker(&siege, "mute").await;
    peer.write_raw(&text_frame("leave", "null")).await.expect("the server reads");
    assert_eq!(close_code(&mut peer).await.expect("a close frame"), Some(1000));
    // It keeps sending instead, and never a close frame.
    let chatter = text_frame("say", "\"still here\"");
    let chatting = async { while peer.write_raw(&chatter).await.is_ok() {} };
    within(chatting).await;
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn a_peer_that_closes_and_keeps_its_socket_is_hung_up_on() {
    let siege = siege(&["--write-wait-ms", "200"]);
    let before = process::descriptors(siege.server.pid()).expect("it runs");
    let mut peer = attacker(&siege, "lingering").await;
    peer.close(None).await.expect("the server reads");
    while !matches!(within(peer.receive()).await.expect("the answer"), Received::End) {}
    let freed = async {
        while process::descriptors(siege.server.pid()).expect("it runs") > before {
            tokio::task::yield_now().await;
        }
    };
    within(freed).await;
    drop(peer);
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn a_half_closed_socket_is_a_transport_lost() {
    let mut siege = siege(&[]);
    let mut stream = attacker(&siege, "half").await.into_stream();
    stream.shutdown().await.expect("it is connected");
    siege.server.wait_until("the loss", |counters| counters.lost_to(END_OF_STREAM) == 1);
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.expect("the server ends as well");
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn resets_before_and_in_the_middle_of_the_request_leave_nothing() {
    let mut siege = siege(&[]);
    let before = process::descriptors(siege.server.pid()).expect("it runs");
    let head = request_head(&target("attackers", "early"));
    for index in 0..200 {
        let mut stream = TcpStream::connect(siege.address()).await.expect("it listens");
        let sent = &head.as_bytes()[..head.len() * (index % 10) / 10];
        stream.write_all(sent).await.expect("the server reads");
        reset(stream);
    }
    let freed = async {
        while process::descriptors(siege.server.pid()).expect("it runs") > before {
            tokio::task::yield_now().await;
        }
    };
    within(freed).await;
    assert_eq!(siege.server.counters().opened, 2, "only the healthy ones got in");
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn resets_right_after_the_request_and_after_the_101_suspend() {
    let mut siege = siege(&[]);
    for index in 0..100 {
        let mut peer = Peer::new(TcpStream::connect(siege.address()).await.expect("it listens"));
        let head = request_head(&target("attackers", &format!("early-{index}")));
        peer.write_raw(head.as_bytes()).await.expect("the server reads");
        if index % 2 == 0 {
            peer.read_response_head().await.expect("a response");
        }
        reset(peer.into_stream());
    }
    // A reset may overtake a request that is still unread; nobody was let in then.
    let counters = siege.server.wait_until("all to be suspended", |counters| {
        counters.opened >= 52 && counters.suspended == counters.opened - 2
    });
    assert_eq!(counters.closed_in_all(), 0);
    let mut back = join(siege.address(), "attackers", "early-0").await.expect("let in");
    echoes(&mut back, "resumed").await;
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_message_suspends_and_forgets_that_message() {
    let mut siege = siege(&[]);
    let mut peer = attacker(&siege, "half").await;
    let frame = text_frame("echo", "\"whole\"");
    peer.write_raw(&frame[..frame.len() / 2]).await.expect("the server reads");
    reset(peer.into_stream());
    siege.server.wait_for("half", |now| now.state == "Suspended");
    let mut back = attacker(&siege, "half").await;
    echoes(&mut back, "anew").await;
    siege.lift(4 * MIB);
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_write_loses_nothing_that_the_socket_had_not_taken() {
    const FRAMES: u64 = 200;
    let mut siege = siege(&["--kernel-bytes", "65536"]);
    let address = siege.address();
    let peer = join_with_small_buffer(address, "attackers", "full").await.expect("let in");
    let frames = Numbered { first: 0, count: FRAMES, pad_bytes: 32 * 1024 };
    assert_eq!(siege.server.send("full", frames), FRAMES);
    // Both kernels' buffers are full: the server is in the middle of a frame.
    siege.server.wait_for("full", |now| now.account.sent > 0 && now.account.pending > 0);
    reset(peer.into_stream());
    let suspended = siege.server.wait_for("full", |now| now.state == "Suspended").account;
    assert!(suspended.pending > 0, "{suspended:?}");
    let mut back = join(address, "attackers", "full").await.expect("let in");
    assert_numbers(&mut back, suspended.sent..FRAMES).await;
    echoes(&mut back, "nothing follows").await;
    let counters = siege.server.counters();
    assert_eq!(counters.lost_to(RESET), 1, "{counters:#?}");
    assert_eq!(counters.dropped.get("evicted"), None);
    siege.lift(FRAMES * 33 + 8 * MIB);
}

#[tokio::test]
#[ignore = "it takes seconds: run by `.ci/run faults`"]
async fn two_thousand_clients_cut_at_once_all_resume_and_miss_nothing() {
    const CLIENTS: usize = 2000;
    const FRAMES: u64 = 20;
    process::require_descriptors(4500);
    let mut siege = siege(&[]);
    let address = siege.address();
    let mut peers = Vec::new();
    for index in 0..CLIENTS {
        peers.push(join(address, "storm", &index.to_string()).await.expect("let in"));
    }
    for peer in peers.drain(..) {
        reset(peer.into_stream());
    }
    siege.server.wait_until("all to be suspended", |now| now.suspended == CLIENTS as u64);
    siege.server.broadcast("storm", Numbered { first: 0, count: FRAMES, pad_bytes: 100 });
    let returning = (0..CLIENTS).map(|index| {
        tokio::spawn(async move {
            let mut peer = join(address, "storm", &index.to_string()).await.expect("let in");
            assert_numbers(&mut peer, 0..FRAMES).await;
            peer
        })
    });
    for returned in returning.collect::<Vec<_>>() {
        peers.push(within(returned).await.expect("nothing missed"));
    }
    siege.server.broadcast("storm", Numbered { first: FRAMES, count: 1, pad_bytes: 0 });
    for peer in &mut peers {
        assert_numbers(peer, FRAMES..FRAMES + 1).await;
    }
    let counters = siege.server.counters();
    assert_eq!((counters.resumed, counters.closed_in_all()), (CLIENTS as u64, 0));
    assert_eq!(counters.dropped.get("evicted"), None);
    // hyper reads a handshake into 8 KiB; the tasks of both, and the session, are as much again.
    siege.lift(CLIENTS as u64 * 16 * KIB + 8 * MIB);
}

/// That the tests' resets are resets: the server sees one, not a FIN.
#[tokio::test]
async fn a_reset_is_told_as_a_reset() {
    let mut siege = siege(&[]);
    let peer = attacker(&siege, "reset").await;
    reset(peer.into_stream());
    siege.server.wait_until("the reset", |counters| counters.lost_to(RESET) == 1);
    siege.lift(4 * MIB);
}
