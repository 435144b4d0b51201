//! What lost packets do. Run by `faults/packets`, in network namespaces of its own.

mod support;
mod support_network;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use wspulse::testing::request_head;
use wspulse_faults::clients::{Peer, join, number, target, within};
use wspulse_faults::control::Numbered;
use wspulse_faults::{Attacked, HealthyPair};

use support::*;
use support_network::{Network, Victim};

const SILENT: &str = "peer was silent for the pong timeout";

/// A client and its port, by which it can be cut off.
async fn join_from_port(address: SocketAddr, room: &str, id: &str) -> (Peer, u16) {
    let stream = within(TcpStream::connect(address)).await.expect("it listens");
    let port = stream.local_addr().expect("connected").port();
    let mut peer = Peer::new(stream);
    peer.write_raw(request_head(&target(room, id)).as_bytes()).await.expect("it reads");
    peer.read_response_head().await.expect("a response");
    (peer, port)
}

fn assert_nothing_lost(server: &mut Attacked) {
    let counters = server.counters();
    assert!(counters.lost.is_empty(), "{:?}", counters.lost);
    assert_eq!(counters.account.dropped, 0);
}

#[tokio::test]
#[ignore = "it needs a network of its own: run by `faults/packets`"]
async fn a_peer_behind_a_black_hole_is_suspended_by_the_pong_deadline() {
    let network = Network::lay();
    let mut server = network.server(program(), &["--ping-ms", "200", "--pong-ms", "1000"]);
    let pair = HealthyPair::start(server.address());
    let (mut peer, port) = join_from_port(server.address(), "far", "gone").await;
    echoes(&mut peer, "here").await;
    network.cut(Victim::Port(port));
    server.wait_for("gone", |now| now.state == "Suspended");
    assert_eq!(server.counters().lost_to(SILENT), 1);
    pair.stop();
}

#[tokio::test]
#[ignore = "it needs a network of its own: run by `faults/packets`"]
async fn a_peer_behind_a_black_hole_is_suspended_sooner_by_the_user_timeout() {
    let network = Network::lay();
    let arguments = ["--ping-ms", "200", "--pong-ms", "60000", "--user-timeout-ms", "1000"];
    let mut server = network.server(program(), &arguments);
    let (mut peer, port) = join_from_port(server.address(), "far", "gone").await;
    echoes(&mut peer, "here").await;
    network.cut(Victim::Port(port));
    server.wait_for("gone", |now| now.state == "Suspended");
    let counters = server.counters();
    assert_eq!(counters.lost_to("transport failed: TimedOut"), 1, "{:?}", counters.lost);
}

/// Messages both ways, several at once, while packets are lost both ways.
async fn exchange_at_loss(percent: u8) {
    const BATCHES: u64 = 5;
    const BATCH: u64 = 20;
    let network = Network::lay();
    let mut server = network.server(program(), &["--pong-ms", "60000", "--ping-ms", "30000"]);
    let mut peer = join(server.address(), "lossy", "peer").await.expect("let in");
    network.lose(percent);
    for batch in 0..BATCHES {
        let first = batch * BATCH;
        for number in first..first + BATCH {
            let frame = text_frame("echo", &format!("[{number},\"\"]"));
            within(peer.write_raw(&frame)).await.expect("the server reads");
        }
        assert_numbers(&mut peer, first..first + BATCH).await;
        server.broadcast("lossy", Numbered { first, count: BATCH, pad_bytes: 1000 });
        assert_numbers(&mut peer, first..first + BATCH).await;
    }
    assert_nothing_lost(&mut server);
}

#[tokio::test]
#[ignore = "it needs a network of its own: run by `faults/packets`"]
async fn messages_arrive_once_and_in_order_at_5_percent_loss() {
    exchange_at_loss(5).await;
}

#[tokio::test]
#[ignore = "it needs a network of its own: run by `faults/packets`"]
async fn messages_arrive_once_and_in_order_at_20_percent_loss() {
    exchange_at_loss(20).await;
}

#[tokio::test]
#[ignore = "it needs a network of its own: run by `faults/packets`"]
async fn messages_arrive_once_and_in_order_through_a_narrow_and_slow_link() {
    let network = Network::lay();
    let mut server = network.server(program(), &["--ping-ms", "300", "--pong-ms", "5000"]);
    let mut peer = join(server.address(), "narrow", "peer").await.expect("let in");
    // 100 KiB at 512 kbit/s: the last of it comes after more than a second.
    network.narrow(512);
    server.broadcast("narrow", Numbered { first: 0, count: 100, pad_bytes: 1024 });
    assert_numbers(&mut peer, 0..100).await;
    echoes(&mut peer, "and back").await;
    assert_nothing_lost(&mut server);
}

#[tokio::test]
#[ignore = "it needs a network of its own: run by `faults/packets`"]
async fn a_partition_that_heals_before_the_deadline_costs_nothing() {
    let network = Network::lay();
    let mut server = network.server(program(), &["--ping-ms", "1000", "--pong-ms", "30000"]);
    let mut peer = join(server.address(), "parted", "peer").await.expect("let in");
    network.cut(Victim::Everybody);
    server.broadcast("parted", Numbered { first: 0, count: 100, pad_bytes: 1000 });
    // The fault's length, not a wait for something: some retransmissions are lost as well.
    tokio::time::sleep(Duration::from_millis(700)).await;
    network.heal();
    assert_numbers(&mut peer, 0..100).await;
    assert_eq!(server.counters().resumed, 0);
    assert_nothing_lost(&mut server);
}

#[tokio::test]
#[ignore = "it needs a network of its own: run by `faults/packets`"]
async fn a_client_resumes_after_a_long_partition_and_misses_nothing_of_it() {
    let network = Network::lay();
    let mut server = network.server(program(), &["--ping-ms", "200", "--pong-ms", "800"]);
    let old = join(server.address(), "parted", "peer").await.expect("let in");
    network.cut(Victim::Everybody);
    server.wait_for("peer", |now| now.state == "Suspended");
    server.broadcast("parted", Numbered { first: 0, count: 200, pad_bytes: 1000 });
    network.heal();
    let mut back = within(join(server.address(), "parted", "peer")).await.expect("let in");
    assert_numbers(&mut back, 0..200).await;
    let counters = server.counters();
    assert_eq!((counters.resumed, counters.account.dropped), (1, 0));
    drop(old);
}

/// What the kernel tells of a socket that an administrator has killed.
const KILLED_SOCKET: &str = "transport failed: ConnectionAborted";

const LAST: u64 = 3000;

/// Reads numbered frames up to the last, across resets; tells how many were missed at them. Those
/// were in the kernel's hands: taken by the socket, and lost with it.
async fn read_to_last(address: SocketAddr, id: String, mut peer: Peer) -> io::Result<u64> {
    let (mut next, mut missed) = (0, 0);
    let mut is_resumed = false;
    while next <= LAST {
        let Ok(frame) = within(peer.frame()).await else {
            // A connection that is reset while its successor is made is dialled again.
            while let Err(error) = within(join(address, "busy", &id)).await.map(|new| peer = new) {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
            is_resumed = true;
            continue;
        };
        let number = number(&frame);
        if is_resumed {
            // At the seam one frame may come again, the half-written one.
            assert!(number + 1 >= next, "{id}: {number} after {next}");
            missed += number.saturating_sub(next);
        } else {
            assert_eq!(number, next, "{id}");
        }
        is_resumed = false;
        next = number + 1;
    }
    Ok(missed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs a network of its own: run by `faults/packets`"]
async fn sockets_killed_in_the_middle_of_a_broadcast_resume_where_their_socket_stopped() {
    const CLIENTS: u16 = 20;
    const KILLED: usize = 10;
    const BATCH: u64 = LAST / KILLED as u64;
    let network = Network::lay();
    let mut server = network.server(program(), &["--send-buffer-frames", "4096"]);
    let address = server.address();
    let (mut ports, mut readers) = (Vec::new(), Vec::new());
    for index in 0..CLIENTS {
        let id = format!("reader-{index}");
        let (peer, port) = join_from_port(address, "busy", &id).await;
        ports.push(port);
        readers.push(tokio::spawn(read_to_last(address, id, peer)));
    }
    // One after the other is killed between two batches, while the batch before is on its way.
    for (batch, port) in ports.iter().take(KILLED).enumerate() {
        let first = batch as u64 * BATCH;
        server.broadcast("busy", Numbered { first, count: BATCH, pad_bytes: 1000 });
        network.kill(*port);
    }
    server.broadcast("busy", Numbered { first: LAST, count: 1, pad_bytes: 0 });
    let mut missed = Vec::new();
    for reader in readers {
        missed.push(within(reader).await.expect("frames in order").expect("a way back"));
    }
    let counters = server.counters();
    println!("killed {KILLED} sockets: {:?}; frames lost in them: {missed:?}", counters.lost);
    assert_eq!(counters.lost_to(KILLED_SOCKET), KILLED as u64, "{:?}", counters.lost);
    assert_eq!(counters.resumed, KILLED as u64);
    assert!(missed[KILLED..].iter().all(|missed| *missed == 0), "{missed:?}");
    let account = counters.account;
    assert_eq!((account.unaccounted, account.dropped), (0, 0));
}
