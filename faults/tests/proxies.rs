//! The server behind nginx and `HAProxy`, with the configurations of the example `proxies`. Each test
//! runs once for each of them.

mod support;
mod support_proxy;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wspulse::testing::{Received, masked, request_head};
use wspulse_faults::Attacked;
use wspulse_faults::clients::{Peer, close_code, hung_up, join, reset, target, within};
use wspulse_faults::control::Numbered;

use support::*;
use support_proxy::{Kind, Proxy};

/// Defines each test for both proxies.
macro_rules! behind_each_proxy {
    ($($test:ident),* $(,)?) => {
        mod nginx {
            $(
                #[tokio::test]
                #[ignore = "it needs nginx: run by `.ci/run faults`"]
                async fn $test() {
                    super::$test(super::Kind::Nginx).await;
                }
            )*
        }
        mod haproxy {
            $(
                #[tokio::test]
                #[ignore = "it needs HAProxy: run by `.ci/run faults`"]
                async fn $test() {
                    super::$test(super::Kind::Haproxy).await;
                }
            )*
        }
    };
}

behind_each_proxy! {
    frames_and_pings_pass_both_ways,
    heartbeats_keep_a_quiet_tunnel_open_past_the_proxys_timeout,
    a_tunnel_that_the_proxy_cuts_costs_a_transport_and_no_frame,
    a_client_that_goes_is_seen_to_go,
    clients_resume_after_the_proxy_has_been_restarted,
    a_clients_address_is_what_the_proxy_says_and_not_the_client,
    a_closing_server_tells_clients_through_the_proxy,
    bytes_behind_the_request_are_messages,
    a_request_behind_the_upgrade_is_never_answered,
    a_refused_upgrade_opens_no_way_past_the_proxy,
}

const ROOM: &str = "far";

fn behind(kind: Kind, arguments: &[&str]) -> (Attacked, Proxy) {
    let server = server(arguments);
    let proxy = Proxy::start(kind, server.address());
    (server, proxy)
}

async fn enter(proxy: &Proxy, id: &str) -> Peer {
    within(join(proxy.address(), ROOM, id)).await.expect("let in through the proxy")
}

async fn frames_and_pings_pass_both_ways(kind: Kind) {
    let (mut server, proxy) = behind(kind, &["--ping-ms", "100", "--pong-ms", "10000"]);
    let mut peer = enter(&proxy, "ann").await;
    for text in ["short", &"long".repeat(10_000)] {
        echoes(&mut peer, text).await;
    }
    server.broadcast(ROOM, Numbered { first: 0, count: 100, pad_bytes: 1000 });
    assert_numbers(&mut peer, 0..100).await;
    peer.ping(b"client's").await.expect("the proxy reads");
    let (mut asked, mut answered) = (false, false);
    while !(asked && answered) {
        match within(peer.receive()).await.expect("pings and pongs") {
            Received::Ping(payload) => asked |= payload.is_empty(),
            Received::Pong(payload) => answered |= payload == "client's",
            other @ (Received::Message(..) | Received::Close(_) | Received::End) => {
                panic!("{other:?}")
            }
        }
    }
}

async fn heartbeats_keep_a_quiet_tunnel_open_past_the_proxys_timeout(kind: Kind) {
    let (mut server, proxy) = behind(kind, &["--ping-ms", "250", "--pong-ms", "10000"]);
    let mut peer = enter(&proxy, "ann").await;
    // Twelve pings: three times the proxy's patience.
    for _ in 0..12 {
        let ping = within(peer.receive()).await.expect("a ping");
        assert_eq!(ping, Received::Ping("".into()));
        peer.pong(b"").await.expect("the proxy reads");
    }
    echoes(&mut peer, "still here").await;
    assert!(server.counters().lost.is_empty());
}

async fn a_tunnel_that_the_proxy_cuts_costs_a_transport_and_no_frame(kind: Kind) {
    let (mut server, proxy) = behind(kind, &[]);
    let mut peer = enter(&proxy, "ann").await;
    // The first ping would come after 10 s, the proxy waits for 1 s.
    hung_up(&mut peer).await;
    server.wait_for("ann", |now| now.state == "Suspended");
    server.broadcast(ROOM, Numbered { first: 0, count: 100, pad_bytes: 100 });
    let mut back = enter(&proxy, "ann").await;
    assert_numbers(&mut back, 0..100).await;
    assert_eq!(server.counters().resumed, 1);
}

async fn a_client_that_goes_is_seen_to_go(kind: Kind) {
    let (mut server, proxy) = behind(kind, &["--ping-ms", "250", "--pong-ms", "60000"]);
    drop(enter(&proxy, "fin").await);
    server.wait_for("fin", |now| now.state == "Suspended");
    reset(enter(&proxy, "reset").await.into_stream());
    server.wait_for("reset", |now| now.state == "Suspended");
    let mut peer = enter(&proxy, "close").await;
    peer.close(None).await.expect("the proxy reads");
    assert_eq!(close_code(&mut peer).await.expect("an answer"), None);
    server.wait_for("close", |now| now.state == "Suspended");
    assert_eq!(server.counters().lost_to("peer closed without a code"), 1);
}

async fn clients_resume_after_the_proxy_has_been_restarted(kind: Kind) {
    const CLIENTS: u64 = 20;
    let (mut server, mut proxy) = behind(kind, &["--ping-ms", "250", "--pong-ms", "60000"]);
    let mut peers = Vec::new();
    for index in 0..CLIENTS {
        peers.push(enter(&proxy, &index.to_string()).await);
    }
    proxy.restart();
    for peer in &mut peers {
        hung_up(peer).await;
    }
    server.wait_until("all to be suspended", |now| now.suspended == CLIENTS);
    server.broadcast(ROOM, Numbered { first: 0, count: 50, pad_bytes: 100 });
    for index in 0..CLIENTS {
        let mut peer = enter(&proxy, &index.to_string()).await;
        assert_numbers(&mut peer, 0..50).await;
    }
    assert_eq!(server.counters().resumed, CLIENTS);
}

async fn a_clients_address_is_what_the_proxy_says_and_not_the_client(kind: Kind) {
    let (mut server, proxy) = behind(kind, &["--ping-ms", "250", "--pong-ms", "60000"]);
    for (address, id, expected) in
        [(server.address(), "unguarded", "192.0.2.66"), (proxy.address(), "guarded", "127.0.0.1")]
    {
        let head = request_head(&target(ROOM, id));
        let forged = head.replace("Host:", "X-Real-IP: 192.0.2.66\r\nHost:");
        let mut peer = Peer::new(TcpStream::connect(address).await.expect("it listens"));
        peer.write_raw(forged.as_bytes()).await.expect("it reads");
        let head = within(peer.read_response_head()).await.expect("a response");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let peer_ip = server.inspect(id).expect("it is connected").peer_ip;
        assert_eq!(peer_ip, expected.parse().ok(), "{id}");
    }
}

async fn a_closing_server_tells_clients_through_the_proxy(kind: Kind) {
    let (mut server, proxy) = behind(kind, &["--ping-ms", "250", "--pong-ms", "60000"]);
    let mut peers = Vec::new();
    for index in 0..20 {
        peers.push(enter(&proxy, &index.to_string()).await);
    }
    server.start_closing();
    for mut peer in peers {
        let frame = within(peer.closed()).await.expect("a close frame").expect("with a code");
        assert_eq!((frame.code().as_u16(), frame.reason()), (1001, "server shutting down"));
    }
    assert_eq!(server.wait_closed().account.unaccounted, 0);
}

async fn bytes_behind_the_request_are_messages(kind: Kind) {
    let (_server, proxy) = behind(kind, &["--ping-ms", "250", "--pong-ms", "60000"]);
    let mut request = request_head(&target(ROOM, "hasty")).into_bytes();
    for number in 0..50 {
        request.extend_from_slice(&text_frame("echo", &number.to_string()));
    }
    let mut peer = Peer::new(TcpStream::connect(proxy.address()).await.expect("it listens"));
    peer.write_raw(&request).await.expect("the proxy reads");
    let head = within(peer.read_response_head()).await.expect("a response");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for number in 0..50 {
        let echo = within(peer.frame()).await.expect("an echo");
        assert_eq!(echo.to_json::<u32>().expect("a number"), number);
    }
}

const PRIVATE: &str = "GET /private HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Writes requests at once and returns all that comes back, until the end.
async fn answers(address: SocketAddr, requests: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(requests).await.expect("it reads");
    let mut answers = Vec::new();
    let _ = within(stream.read_to_end(&mut answers)).await;
    String::from_utf8_lossy(&answers).into_owned()
}

async fn a_request_behind_the_upgrade_is_never_answered(kind: Kind) {
    let (_server, proxy) = behind(kind, &[]);
    let answers =
        answers(proxy.address(), (request_head(&target(ROOM, "x")) + PRIVATE).as_bytes()).await;
    assert!(answers.starts_with("HTTP/1.1 101 "), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    assert!(!answers.contains("private"), "{answers}");
}

/// The known trick is a wrong version: a proxy that takes the request for a tunnel, whatever the
/// answer, lets everything behind it through unseen.
async fn a_refused_upgrade_opens_no_way_past_the_proxy(kind: Kind) {
    let (mut server, proxy) = behind(kind, &[]);
    let good = request_head(&target(ROOM, "x"));
    let bad = [
        good.replace("Version: 13", "Version: 12"),
        good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        good.replace("Upgrade: websocket", "Upgrade: h2c"),
        good.replace("GET ", "POST "),
        good.replace("Upgrade: websocket\r\n", ""),
    ];
    // It ends the connection for good, so that the answers have an end.
    let last = PRIVATE.replace("Host:", "Connection: close\r\nHost:");
    let unguarded = answers(server.address(), last.as_bytes()).await;
    assert!(unguarded.ends_with("private\n"), "{unguarded}");
    for request in bad {
        let answers = answers(proxy.address(), (request.clone() + &last).as_bytes()).await;
        assert!(answers.starts_with("HTTP/1.1 4"), "{request}{answers}");
        assert!(!answers.contains(" 101 "), "{request}{answers}");
        assert!(!answers.contains("private"), "{request}{answers}");
        // Either nothing more is read, or the second request is one of its own.
        let statuses = answers.matches("HTTP/1.1 ").count();
        let refused = answers.matches("HTTP/1.1 4").count();
        assert!(statuses == refused && statuses <= 2, "{request}{answers}");
    }
    assert_eq!(server.counters().opened, 0);
    let frame = masked(TEXT, b"{}");
    let mut peer = enter(&proxy, "after").await;
    peer.write_raw(&frame).await.expect("the proxy works as before");
    echoes(&mut peer, "in").await;
}
