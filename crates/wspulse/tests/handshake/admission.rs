//! Valid handshakes: what the connect function sees and decides, and what becomes of it.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use tokio::io::duplex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wspulse::testing::{TestClient, masked, request_head, request_parts};
use wspulse::{
    Admission, ConnectRequest, Connection, ConnectionState, Disconnect, Frame, Rejection, Server,
    TransportLost,
};

use crate::support::clients::{close, dial, echoes, numbered};
use crate::support::clock::{assert_passed, settle};
use crate::support::house::{admit, echo, open_house};
use crate::support::http::{ACCEPT_KEY, Answer, head_with, serve_at_ws, write_to};
use crate::support::logs::Logs;

#[tokio::test]
async fn a_connect_function_may_refuse_with_a_status_and_body_of_its_own() {
    let full = || Rejection::with_status(StatusCode::TOO_MANY_REQUESTS, "lobby is full");
    let server = Server::builder_sync(move |_| Err(full())).build().unwrap();
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.summary(), (429, "lobby is full\n"));
}

#[tokio::test(start_paused = true)]
async fn a_connect_function_that_takes_too_long_is_given_up() {
    let patience = Duration::from_secs(3);
    let builder = Server::builder(|_| std::future::pending()).connect_timeout(patience);
    let server = builder.build().unwrap();
    let asked_at = Instant::now();
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.summary(), (503, "connect timeout\n"));
    assert_passed(asked_at, patience);
}

#[tokio::test(start_paused = true)]
async fn a_connect_function_may_take_its_time() {
    let server = Server::builder(|request| async move {
        tokio::time::sleep(Duration::from_secs(9)).await;
        Ok(admit(&request))
    });
    let server = server.build().unwrap();
    assert!(TestClient::connect(&server, "/ws").await.is_ok());
}

#[tokio::test]
async fn a_connect_function_that_panics_costs_its_own_request_only() {
    let logs = Logs::capture();
    let server = Server::builder(|request: ConnectRequest| {
        assert!(request.query("panic").as_deref() != Some("early"), "early panic");
        async move {
            tokio::task::yield_now().await;
            assert!(request.query("panic").as_deref() != Some("late"), "late panic");
            Ok::<_, Rejection>(admit(&request))
        }
    });
    let server =
        server.on_message(|connection, frame| connection.send(frame).unwrap()).build().unwrap();
    let mut client = TestClient::connect(&server, "/ws").await.unwrap();
    for (target, text) in [("/ws?panic=early", "early panic"), ("/ws?panic=late", "late panic")] {
        let answer = Answer::to(&server, request_parts(target)).await;
        assert_eq!(answer.summary(), (500, "internal error\n"));
        assert!(logs.one("ERROR", text).contains("admission.rs:"));
    }
    echoes(&mut client, 1).await;
    assert!(TestClient::connect(&server, "/ws").await.is_ok());
}

#[tokio::test]
async fn a_101_says_no_more_than_it_must() {
    let server = open_house().build().unwrap();
    let offering = head_with(&[
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
    ]);
    let accepted = server.handshake(offering).unwrap().connect().await.unwrap();
    let response = accepted.response();
    assert_eq!(response.status(), 101);
    let mut headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    headers.sort_unstable();
    let expected =
        [("connection", "Upgrade"), ("sec-websocket-accept", ACCEPT_KEY), ("upgrade", "websocket")];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn on_the_wire_only_the_date_comes_to_the_101() {
    let address = serve_at_ws(&open_house().build().unwrap()).await;
    let mut client = TestClient::new(tokio::net::TcpStream::connect(address).await.unwrap());
    client.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    let head = client.read_response_head().await.unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("HTTP/1.1 101 Switching Protocols"));
    let mut names: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["connection", "date", "sec-websocket-accept", "upgrade"]);
}

#[tokio::test]
async fn the_empty_room_is_a_room_like_any_other() {
    let server = Server::builder_sync(|request| Ok::<_, Rejection>(in_no_room(&request)));
    let server = server.build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let mut ben = dial(&server, "ben").await;
    assert_eq!(server.room_count(), 1);
    assert_eq!(server.connections("").len(), 2);
    server.broadcast("", Frame::new("hello")).unwrap();
    for client in [&mut ann, &mut ben] {
        assert_eq!(client.frame().await.unwrap().event(), "hello");
    }
}

fn in_no_room(request: &ConnectRequest) -> Admission {
    Admission::room("").id(&*request.query("id").unwrap())
}

#[tokio::test]
async fn a_connection_without_an_id_gets_a_random_uuid() {
    let server = open_house().build().unwrap();
    let _nameless = TestClient::connect(&server, "/ws").await.unwrap();
    let _emptily_named = dial(&server, "").await;
    let connections = server.all_connections();
    let ids: Vec<_> = connections.iter().map(Connection::id).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    for id in ids {
        let uuid: uuid::Uuid = id.parse().expect("a UUID");
        assert_eq!(uuid.get_version_num(), 4);
        assert_eq!(id, uuid.hyphenated().to_string(), "in its usual spelling");
    }
}

#[tokio::test]
async fn the_connect_function_sees_the_whole_request() {
    #[derive(Clone, PartialEq, Debug)]
    struct User(u64);

    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::builder_sync(move |request| {
        seen.send(request).unwrap();
        Ok(Admission::room("lobby"))
    })
    .peer_addr(|request| request.header("x-real-ip")?.parse().ok())
    .build()
    .unwrap();
    let mut parts = request_parts("/chat/ws?room=a%20b&room=c&plus=1+1&empty=");
    parts.headers.insert("cookie", "session=7".parse().unwrap());
    parts.headers.insert("x-real-ip", "192.0.2.7:4711".parse().unwrap());
    parts.extensions.insert(User(7));
    let _accepted = server.handshake(parts).unwrap().connect().await.unwrap();

    let request = requests.recv().await.unwrap();
    assert_eq!(request.method(), "GET");
    assert_eq!(request.uri().path(), "/chat/ws");
    assert_eq!(request.uri().query(), Some("room=a%20b&room=c&plus=1+1&empty="));
    assert_eq!(request.query("room").as_deref(), Some("a b"), "the first one, decoded");
    assert_eq!(request.query("plus").as_deref(), Some("1 1"));
    assert_eq!(request.query("empty").as_deref(), Some(""));
    assert_eq!(request.query("absent"), None);
    assert_eq!(request.header("Cookie"), Some("session=7"));
    assert_eq!(request.header("absent"), None);
    assert_eq!(request.headers()["upgrade"], "websocket");
    assert_eq!(request.extensions().get(), Some(&User(7)));
    let peer_addr: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    assert_eq!(request.peer_addr(), Some(peer_addr));
    assert_eq!(server.all_connections()[0].peer_addr(), Some(peer_addr));
}

#[tokio::test]
async fn without_a_hint_the_peers_address_is_the_sockets() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house().on_connect(move |connection| drop(tell.send(connection)));
    let address = serve_at_ws(&server.build().unwrap()).await;
    let client = TestClient::connect_tcp(address, "/ws").await.unwrap();
    let connection = told.recv().await.unwrap();
    assert_eq!(connection.peer_addr(), client.into_stream().local_addr().ok());
}

/// A registered connection whose 101 has not left yet.
async fn accepted(server: &Server, id: &str) -> wspulse::http::Accepted {
    let handshake = server.handshake(request_parts(&format!("/ws?id={id}"))).unwrap();
    handshake.connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_found_before_its_101_leaves() {
    let server = open_house().build().unwrap();
    let accepted = accepted(&server, "ann").await;
    assert_eq!(server.connection("ann").unwrap().state(), ConnectionState::Connected);
    assert_eq!(server.connections("lobby").len(), 1);
    server.send("ann", Frame::new("direct")).unwrap();
    server.broadcast("lobby", Frame::new("for all")).unwrap();

    let (ours, theirs) = duplex(1024);
    accepted.attach(theirs, &[]);
    let mut client = TestClient::new(ours);
    assert_eq!(client.frame().await.unwrap().event(), "direct");
    assert_eq!(client.frame().await.unwrap().event(), "for all");
}

#[tokio::test(start_paused = true)]
async fn a_client_kicked_while_it_is_upgraded_is_told() {
    let server = open_house().build().unwrap();
    let accepted = accepted(&server, "ann").await;
    server.kick("ann").unwrap();
    assert!(server.connection("ann").is_none());
    settle().await;
    let (ours, theirs) = duplex(1024);
    accepted.attach(theirs, &[]);
    let mut client = TestClient::new(ours);
    assert_eq!(client.closed().await.unwrap(), Some(close(1000, "kicked")));
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_whose_upgrade_fails_ends() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let connected = tell.clone();
    let server = open_house()
        .on_connect(move |_| drop(connected.send(None)))
        .on_disconnect(move |_, end| drop(tell.send(Some(end))))
        .build()
        .unwrap();
    drop(accepted(&server, "ann").await);
    assert!(told.recv().await.unwrap().is_none(), "on_connect comes first");
    let end = told.recv().await.unwrap();
    assert!(
        matches!(end, Some(Disconnect::TransportLost(TransportLost::UpgradeFailed(_)))),
        "{end:?}"
    );
    assert!(server.connection("ann").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_suspended_session_whose_upgrade_fails_waits_on_with_its_old_deadline() {
    let window = Duration::from_mins(1);
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .resume_window(window)
        .on_disconnect(move |_, end| drop(tell.send(end)))
        .build()
        .unwrap();
    drop(dial(&server, "ann").await);
    let connection = server.connection("ann").unwrap();
    let suspended_at = Instant::now();
    settle().await;
    tokio::time::sleep(window / 2).await;
    drop(accepted(&server, "ann").await);
    settle().await;
    assert_eq!(connection.state(), ConnectionState::Suspended);
    let end = told.recv().await.unwrap();
    assert!(matches!(end, Disconnect::GraceExpired(TransportLost::EndOfStream)), "{end:?}");
    assert_passed(suspended_at, window);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_never_comes_about_is_given_up() {
    let wait = Duration::from_secs(7);
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house().write_wait(wait);
    let server = server.on_disconnect(move |_, end| drop(tell.send(end))).build().unwrap();
    let registered_at = Instant::now();
    let _accepted = accepted(&server, "ann").await;
    let end = told.recv().await.unwrap();
    assert!(matches!(end, Disconnect::TransportLost(TransportLost::UpgradeFailed(_))), "{end:?}");
    assert_passed(registered_at, wait);
}

#[tokio::test]
async fn bytes_right_behind_the_request_are_the_first_frames() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house().on_message(move |_, frame| drop(tell.send(frame)));
    let address = serve_at_ws(&server.build().unwrap()).await;
    // Less than one read of the HTTP layer, several of them, and more than sockets buffer.
    for messages in [1, 2_000, 200_000] {
        let mut bytes = request_head("/ws").into_bytes();
        for number in 0..messages {
            let text = format!(r#"{{"event":"n","payload":{number}}}"#);
            bytes.extend_from_slice(&masked(0x81, text.as_bytes()));
        }
        let writing = tokio::spawn(async move { write_to(address, &bytes).await });
        for number in 0..messages {
            assert_eq!(told.recv().await.unwrap(), numbered(number));
        }
        let mut client = TestClient::new(writing.await.unwrap());
        assert!(client.read_response_head().await.unwrap().starts_with("HTTP/1.1 101 "));
    }
}

#[tokio::test]
async fn an_unread_rest_of_the_request_comes_before_what_the_stream_brings() {
    let server = echo().build().unwrap();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let accepted = handshake.admit(Admission::room("lobby")).await.unwrap();
    let frame = masked(0x81, br#"{"event":"n","payload":7}"#);
    let (unread, rest) = frame.split_at(9);
    let (ours, theirs) = duplex(1024);
    accepted.attach(theirs, unread);
    let mut client = TestClient::new(ours);
    client.write_raw(rest).await.unwrap();
    assert_eq!(client.frame().await.unwrap(), numbered(7));
    echoes(&mut client, 8).await;
}

#[tokio::test]
async fn a_client_that_is_gone_when_it_is_answered_ends_what_was_registered_for_it() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house().on_disconnect(move |_, end| drop(tell.send(end))).build().unwrap();
    let address = serve_at_ws(&server).await;
    drop(write_to(address, request_head("/ws?id=ann").as_bytes()).await);
    let end = told.recv().await.unwrap();
    assert!(matches!(end, Disconnect::TransportLost(_)), "{end:?}");
    assert!(server.connection("ann").is_none());
}
