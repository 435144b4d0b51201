//! A server process that is stopped for longer than its deadlines, and continued: nobody is thrown
//! out or turned away for that, and nothing is lost.

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use wspulse::testing::{Received, request_head};
use wspulse::{CloseCode, Frame};
use wspulse_faults::Attacked;
use wspulse_faults::clients::{Peer, join, join_with_small_buffer, number, reset, target, within};
use wspulse_faults::control::Numbered;
use wspulse_faults::process;

use support::*;

/// Of each kind.
const CLIENTS: u64 = 200;
const FRAMES: u64 = 20;

/// Longer than the pong timeout, a write's deadline and the resume window.
const STOP: Duration = Duration::from_secs(35);
/// So long is looked for whom the server throws out afterwards: a ping and its answer fit in.
const AFTER: Duration = Duration::from_secs(15);
/// More than the few seconds that everybody has after a stop, less than the resume window.
const LATER: Duration = Duration::from_secs(8);
const SLOWLY: Duration = Duration::from_millis(200);

fn signal(server: &Attacked, name: &str) {
    let status = Command::new("kill").args([name, &server.pid().to_string()]).status();
    assert!(status.expect("there is a `kill`").success(), "kill {name}");
}

/// Reads, and answers pings, until there was time to be thrown out; nothing may come.
async fn stay(mut peer: Peer, until: Instant) {
    tokio::select! {
        message = stay_on(&mut peer) => panic!("{message}"),
        () = sleep_until(until) => {}
    }
    echoes(&mut peer, "still here").await;
}

/// `message` has patience for a minute only, which is less than the whole test takes.
async fn stay_on(peer: &mut Peer) -> String {
    loop {
        match peer.receive().await {
            Ok(Received::Ping(payload)) => peer.pong(&payload).await.expect("the server is there"),
            Ok(Received::Pong(_)) => {}
            other => return format!("{other:?} for one who stays"),
        }
    }
}

fn numbered(number: u64) -> Frame {
    Frame::new("echo").json(&(number, "")).expect("numbers are JSON")
}

/// Says something all the time, also while nobody hears it, and misses no answer.
async fn talk(mut peer: Peer, until: Instant) {
    let pause = (until - Instant::now()) / u32::try_from(FRAMES).expect("few");
    for said in 0..FRAMES {
        peer.send(&numbered(said)).await.expect("the server is there");
        sleep(pause).await;
    }
    for expected in 0..FRAMES {
        let frame = within(peer.frame()).await.expect("an echo");
        let (heard, _) = frame.to_json::<(u64, String)>().expect("it is what was said");
        assert_eq!(heard, expected);
    }
    echoes(&mut peer, "still here").await;
}

async fn read_slowly(mut peer: Peer, until: Instant) {
    for expected in 0..FRAMES {
        let frame = within(peer.frame()).await;
        let frame = frame.unwrap_or_else(|error| panic!("{error} instead of frame {expected}"));
        assert_eq!(number(&frame), expected);
        sleep(SLOWLY).await;
    }
    stay(peer, until).await;
}

/// Connects and asks to be let in, whether or not anybody is there to answer.
async fn ask_in(address: SocketAddr, id: &str) -> Peer {
    let mut peer = Peer::new(TcpStream::connect(address).await.expect("the kernel accepts"));
    let head = request_head(&target("stopped", id));
    peer.write_raw(head.as_bytes()).await.expect("the kernel takes it");
    peer
}

async fn come_in(mut peer: Peer, until: Instant, waiting: u64) {
    within(peer.read_response_head()).await.expect("let in");
    assert_numbers(&mut peer, 0..waiting).await;
    stay(peer, until).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes a minute: run by `.ci/run faults`"]
async fn a_thousand_clients_of_a_process_that_was_stopped_lose_nothing() {
    process::require_descriptors(2500);
    let mut server = server(&["--resume-window-ms", "20000", "--kernel-bytes", "65536"]);
    let address = server.address();
    let enter = async |id: String| join(address, "stopped", &id).await.expect("let in");
    let [mut idle, mut talking, mut slow] = [Vec::new(), Vec::new(), Vec::new()];
    for index in 0..CLIENTS {
        idle.push(enter(format!("idle-{index}")).await);
        talking.push(enter(format!("talking-{index}")).await);
        let peer = join_with_small_buffer(address, "stopped", &format!("slow-{index}")).await;
        slow.push(peer.expect("let in"));
    }
    for index in 0..CLIENTS {
        reset(enter(format!("gone-{index}")).await.into_stream());
    }
    server.wait_until("those to be suspended", |now| now.suspended == CLIENTS);
    for index in 0..CLIENTS {
        let small = Numbered { first: 0, count: FRAMES, pad_bytes: 100 };
        assert_eq!(server.send(&format!("gone-{index}"), small), FRAMES);
        let large = Numbered { first: 0, count: FRAMES, pad_bytes: 32 * 1024 };
        assert_eq!(server.send(&format!("slow-{index}"), large), FRAMES);
    }

    let continued_at = Instant::now() + STOP;
    let until = continued_at + AFTER;
    signal(&server, "-STOP");
    let mut clients = JoinSet::new();
    for peer in idle {
        clients.spawn(stay(peer, until));
    }
    for peer in talking {
        clients.spawn(talk(peer, until));
    }
    for peer in slow {
        clients.spawn(read_slowly(peer, until));
    }
    for index in 0..CLIENTS {
        let peer = ask_in(address, &format!("new-{index}")).await;
        clients.spawn(come_in(peer, until, 0));
    }
    for index in 0..CLIENTS / 2 {
        let peer = ask_in(address, &format!("gone-{index}")).await;
        clients.spawn(come_in(peer, until, FRAMES));
    }
    sleep_until(continued_at).await;
    signal(&server, "-CONT");
    // Their window has not run on meanwhile.
    sleep(LATER).await;
    for index in CLIENTS / 2..CLIENTS {
        let peer = ask_in(address, &format!("gone-{index}")).await;
        clients.spawn(come_in(peer, until, FRAMES));
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client that lost nothing");
    }
    let counters = server.counters();
    println!("{counters:?}");
    assert_eq!((counters.opened, counters.closed_in_all()), (5 * CLIENTS, 0), "{counters:#?}");
    assert_eq!(counters.resumed, CLIENTS);
    assert_eq!((counters.account.dropped, counters.account.unaccounted), (0, 0));
    assert!(counters.refused.is_empty());
    // The clients themselves end so, before the stop or at the end of the test.
    let by_clients = counters.lost_to("transport failed: ConnectionReset")
        + counters.lost_to("peer ended the stream without a close frame");
    assert_eq!(by_clients, counters.lost.values().sum::<u64>(), "{counters:#?}");
}

/// What half a request still lacks comes so long after the stop.
const SHORTLY: Duration = Duration::from_secs(1);

/// Begins a request before the stop and ends it after.
async fn ask_in_halves(address: SocketAddr, id: &str, continued_at: Instant) {
    let mut peer = Peer::new(TcpStream::connect(address).await.expect("the kernel accepts"));
    let head = request_head(&target("stopped", id));
    let (before, after) = head.as_bytes().split_at(head.len() / 2);
    peer.write_raw(before).await.expect("the kernel takes it");
    sleep_until(continued_at + SHORTLY).await;
    peer.write_raw(after).await.expect("it was not cut off");
    within(peer.read_response_head()).await.expect("let in");
    echoes(&mut peer, "here").await;
}

/// Asks before the stop, and is still being decided upon when it begins.
async fn ask_in_early(address: SocketAddr, id: &str) {
    let mut peer = ask_in(address, id).await;
    within(peer.read_response_head()).await.expect("let in");
    echoes(&mut peer, "here").await;
}

/// Reads what was accepted before the server closed, and its farewell.
async fn read_to_the_end(mut peer: Peer, continued_at: Instant) {
    sleep_until(continued_at).await;
    for expected in 0..FRAMES {
        let frame = within(peer.frame()).await;
        let frame = frame.unwrap_or_else(|error| panic!("{error} instead of frame {expected}"));
        assert_eq!(number(&frame), expected);
        sleep(SLOWLY / 2).await;
    }
    let close = within(peer.closed()).await.expect("a farewell").expect("with a code");
    assert_eq!(close.code(), CloseCode::GOING_AWAY);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes a minute: run by `.ci/run faults`"]
async fn clients_that_come_or_are_told_to_go_while_the_process_is_stopped_are_let_in_and_told() {
    process::require_descriptors(2500);
    let entrance = server(&["--serve", "--connect-ms", "2000"]);
    // Its clients read nothing before the stop, however long it takes to get there.
    let mut closing = server(&[
        "--serve",
        "--kernel-bytes",
        "65536",
        "--drain-ms",
        "30000",
        "--write-wait-ms",
        "30000",
    ]);
    let mut slow = Vec::new();
    for index in 0..CLIENTS {
        let id = format!("slow-{index}");
        let peer = join_with_small_buffer(closing.address(), "stopped", &id).await;
        slow.push(peer.expect("let in"));
        let large = Numbered { first: 0, count: FRAMES, pad_bytes: 32 * 1024 };
        assert_eq!(closing.send(&id, large), FRAMES);
    }
    let stopped_at = Instant::now() + SHORTLY;
    let continued_at = stopped_at + STOP;
    let mut clients = JoinSet::new();
    for peer in slow {
        clients.spawn(read_to_the_end(peer, continued_at));
    }
    let address = entrance.address();
    for index in 0..CLIENTS {
        clients.spawn(async move {
            ask_in_halves(address, &format!("half-{index}"), continued_at).await;
        });
        clients.spawn(async move { ask_in_early(address, &format!("late-{index}")).await });
    }
    closing.start_closing();
    sleep_until(stopped_at).await;
    for server in [&entrance, &closing] {
        signal(server, "-STOP");
    }
    sleep_until(continued_at).await;
    for server in [&entrance, &closing] {
        signal(server, "-CONT");
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client that was let in or told");
    }
    let counters = closing.wait_closed();
    println!("{counters:?}");
    assert_eq!((counters.account.dropped, counters.account.unaccounted), (0, 0));
}
