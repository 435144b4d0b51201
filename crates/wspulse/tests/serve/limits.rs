//! What one address, and one request, may take up before there is a WebSocket.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use wspulse::testing::{TestClient, request_head};
use wspulse::{Server, ServerBuilder};

use crate::support::clients::echoes;
use crate::support::clock::settle;
use crate::support::house::{echo, open_house};
use crate::support::http::{read_response, read_to_end, write_to};
use crate::support::listener::{serve_in_memory, serve_over_tcp};
use crate::support::logs::Logs;

const KIB: usize = 1024;
const HERE: &str = "192.0.2.1:5000";
const THERE: &str = "192.0.2.2:5000";

fn app() -> Router {
    let server = echo().build().unwrap();
    Router::new().route("/", get(|| async { "hello" })).route_service("/ws", server)
}

/// Whether a client, on a connection of its own, is answered.
async fn is_answered(mut client: DuplexStream) -> bool {
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    // It fails if the connection has been closed already.
    let _ = client.write_all(request).await;
    read_to_end(&mut client).await.ends_with("hello")
}

#[tokio::test(start_paused = true)]
async fn by_default_one_address_may_have_128_connections_without_a_websocket() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve);
    let mut silent: Vec<_> = (0..128).map(|_| dialler.dial_from(HERE)).collect();
    settle().await;
    let mut refused = dialler.dial_from(HERE);
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0, "closed at once");
    assert!(is_answered(dialler.dial_from(THERE)).await);
    assert!(is_answered(dialler.dial()).await, "nobody's address is not limited");

    silent.pop();
    settle().await;
    assert!(is_answered(dialler.dial_from(HERE)).await);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_place_is_named_in_the_log_once_in_a_while() {
    let logs = Logs::capture();
    let (dialler, _serving) =
        serve_in_memory(app(), |serve| serve.max_pending_per_addr(1).log_peer_addrs(true));
    let _clients = [(); 100].map(|()| dialler.dial_from(HERE));
    settle().await;
    assert!(logs.one("WARN", "max_pending_per_addr").contains("192.0.2.1"));
}

#[tokio::test(start_paused = true)]
async fn a_websocket_takes_up_no_place_of_its_address() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve.max_pending_per_addr(1));
    let mut clients = Vec::new();
    for number in 0..3 {
        let mut client = TestClient::new(dialler.dial_from(HERE));
        client.write_raw(request_head("/ws").as_bytes()).await.unwrap();
        client.read_response_head().await.unwrap();
        echoes(&mut client, number).await;
        settle().await;
        clients.push(client);
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_ipv6_network_share_their_connections() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| serve.max_pending_per_addr(1));
    let _silent = dialler.dial_from("[2001:db8::1]:5000");
    settle().await;
    assert!(!is_answered(dialler.dial_from("[2001:db8::2]:5000")).await);
    assert!(is_answered(dialler.dial_from("[2001:db8:0:1::1]:5000")).await);
}

/// The status line that comes for a request, however much of it was read.
async fn status_line(request: String, app: Router) -> String {
    let address = serve_over_tcp(app, |serve| serve).await;
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    // It fails where the server has closed the connection without having read all of it.
    let writing = tokio::spawn(async move { drop(writing.write_all(request.as_bytes()).await) });
    let response = read_to_end(&mut reading).await;
    writing.await.unwrap();
    response.lines().next().unwrap_or_default().to_owned()
}

/// A valid handshake with these lines added.
fn handshake_with(lines: &str) -> String {
    request_head("/ws").replacen("\r\n\r\n", &format!("\r\n{lines}\r\n"), 1)
}

const TOO_LARGE: &str = "HTTP/1.1 431 Request Header Fields Too Large";

#[tokio::test]
async fn a_megabyte_of_header_is_refused() {
    let request = handshake_with(&format!("x: {}\r\n", "y".repeat(KIB * KIB)));
    assert_eq!(status_line(request, app()).await, TOO_LARGE);
}

#[tokio::test]
async fn two_thousand_headers_are_refused() {
    let request = handshake_with(&"x: y\r\n".repeat(2_000));
    assert_eq!(status_line(request, app()).await, TOO_LARGE);
}

#[tokio::test]
async fn a_head_without_end_is_refused_unread() {
    let request = handshake_with("").trim_end().to_owned() + &"\r\nx: y".repeat(10_000);
    assert_eq!(status_line(request, app()).await, TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_a_head_can_be_moved() {
    let (dialler, _serving) = serve_in_memory(app(), |serve| {
        serve.max_request_header_bytes(64 * KIB).max_request_headers(200)
    });
    for (lines, status) in [
        (format!("x: {}\r\n", "y".repeat(63 * KIB)), "200"),
        (format!("x: {}\r\n", "y".repeat(65 * KIB)), "431"),
        ("x: y\r\n".repeat(199), "200"),
        ("x: y\r\n".repeat(200), "431"),
    ] {
        let mut client = dialler.dial_with_capacity(128 * KIB);
        let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let (head, _) = read_response(&mut client).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
    }
}

#[tokio::test]
async fn a_handshake_in_segments_of_one_byte_is_accepted() {
    let address = serve_over_tcp(app(), |serve| serve).await;
    let mut stream = write_to(address, b"").await;
    stream.set_nodelay(true).unwrap();
    for byte in request_head("/ws").as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut client = TestClient::new(stream);
    assert!(client.read_response_head().await.unwrap().starts_with("HTTP/1.1 101 "));
    echoes(&mut client, 1).await;
}

/// Has 200 clients connect at once, over sockets; those who were let in, and how many were told
/// this status.
async fn rush(builder: ServerBuilder, status: &str) -> (Server, Vec<TestClient<TcpStream>>, usize) {
    const CLIENTS: usize = 200;
    let server = builder.build().unwrap();
    let app = Router::new().route_service("/ws", server.clone());
    let address = serve_over_tcp(app, |serve| serve.max_pending_per_addr(CLIENTS)).await;
    let start = Arc::new(Barrier::new(CLIENTS));
    let dialling = (0..CLIENTS).map(|_| {
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            TestClient::connect_tcp(address, "/ws").await
        })
    });
    let dialling: Vec<_> = dialling.collect();
    let mut clients = Vec::new();
    let mut refused = 0;
    for dialled in join_all(dialling).await {
        match dialled.unwrap() {
            Ok(client) => clients.push(client),
            Err(error) => {
                assert!(error.to_string().starts_with(&format!("HTTP/1.1 {status} ")), "{error}");
                refused += 1;
            }
        }
    }
    (server, clients, refused)
}

/// Both in one test: each takes 400 descriptors.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_200_sockets_at_once_exactly_as_many_get_in_as_there_are_places() {
    for (limited, status) in [
        (open_house().max_connections(50), "503"),
        (open_house().max_connections_per_addr(50), "429"),
    ] {
        let (server, clients, refused) = rush(limited, status).await;
        assert_eq!((clients.len(), refused, server.connection_count()), (50, 150, 50));
    }
}

#[tokio::test]
async fn sockets_that_are_gone_leave_their_places_to_others() {
    let server = open_house().max_connections_per_addr(1).build().unwrap();
    let app = Router::new().route_service("/ws", server.clone());
    let address = serve_over_tcp(app, |serve| serve).await;
    for id in ["ann", "ben", "cleo"] {
        let client = TestClient::connect_tcp(address, &format!("/ws?id={id}")).await.unwrap();
        let refused = TestClient::connect_tcp(address, "/ws?id=dora").await.unwrap_err();
        assert!(refused.to_string().starts_with("HTTP/1.1 429 "), "{refused}");
        let connection = server.connection(id).unwrap();
        drop(client);
        connection.done().await;
    }
}
