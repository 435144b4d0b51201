//! In a process of its own, for its subscriber: it hears everything down to TRACE.
//!
//! What connections and messages are as spans, what nests in them, and what no log line and no span
//! holds.

mod ear;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tracing::Level;
use wspulse::router::{HandlerResult, Json, Router};
use wspulse::testing::{TestClient, masked, request_parts};
use wspulse::{
    Admission, CloseCode, CloseFrame, Frame, MessageKind, Rejection, Server, ServerBuilder,
};

use ear::{Ear, Told, listen};

fn house() -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann")))
}

#[tokio::test(start_paused = true)]
async fn what_a_callback_logs_is_inside_its_message_and_its_connection_also_after_an_await() {
    let (ear, _here) = listen(Level::TRACE);
    let server = house()
        .on_connect(|_| tracing::info!("connected"))
        .on_message(|conn, frame| async move {
            tracing::info!("before");
            tokio::time::sleep(Duration::from_secs(1)).await;
            tracing::info!("after");
            let _ = conn.send(frame);
        })
        .on_disconnect(|_, _| async {
            tokio::task::yield_now().await;
            tracing::info!("left");
        })
        .build()
        .unwrap();
    let mut client = TestClient::connect(&server, "/ws").await.unwrap();
    client.send(&Frame::new("hello").with_payload("\"you\"")).await.unwrap();
    client.frame().await.unwrap();
    server.close().await;
    for (message, inside) in [
        ("connected", &["connection"][..]),
        ("before", &["connection", "message"]),
        ("after", &["connection", "message"]),
        ("left", &["connection"]),
    ] {
        assert_eq!(ear.event(message).inside, inside, "{message}");
    }
    let message = ear.spans("message").remove(0);
    assert_eq!((message.level, message.target), (Level::DEBUG, "wspulse::message"));
    assert_eq!((&*message.fields["event"], &*message.fields["payload_bytes"]), ("hello", "5"));
    assert!(message.is_closed);
}

#[tokio::test]
async fn each_message_of_one_read_has_a_span() {
    let (ear, _here) = listen(Level::DEBUG);
    let server =
        house().on_message(|_, frame| tracing::info!("{}", frame.event())).build().unwrap();
    let mut client = TestClient::connect(&server, "/ws").await.unwrap();
    let texts = ["a", "b", "c"].map(|it| masked(0x81, format!(r#"{{"event":"{it}"}}"#).as_bytes()));
    client.write_raw(&texts.concat()).await.unwrap();
    client.close(None).await.unwrap();
    client.closed().await.unwrap();
    server.close().await;
    let events: Vec<_> = ear.spans("message").iter().map(|it| it.fields["event"].clone()).collect();
    assert_eq!(events, ["a", "b", "c"]);
    for event in events {
        assert_eq!(ear.event(&event).inside, ["connection", "message"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connections_span_ends_with_its_task_and_says_why() {
    let (ear, _here) = listen(Level::DEBUG);
    let server = house().resume_window(Duration::from_secs(5)).build().unwrap();
    let mut client = TestClient::connect(&server, "/ws").await.unwrap();
    client.close(Some(&CloseFrame::new(CloseCode::NORMAL, "enough"))).await.unwrap();
    let _ = client.closed().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!ear.spans("connection")[0].is_closed, "its session waits");
    assert_eq!(ear.event("session suspended").inside, ["connection"]);
    let _back = TestClient::connect(&server, "/ws").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ear.event("session resumed").inside, ["connection"]);
    server.connection("ann").unwrap().close_with(CloseCode::new(4321).unwrap(), "text");
    server.close().await;

    let spans = ear.spans("connection");
    assert_eq!(spans.len(), 1, "a resumption has none of its own");
    let Told { level, is_closed, fields, .. } = &spans[0];
    assert_eq!((*level, *is_closed), (Level::INFO, true));
    assert_eq!((&*fields["id"], &*fields["room"]), ("ann", "lobby"));
    assert_eq!((&*fields["reason"], &*fields["cause"]), ("normal", "closed with 4321"));
    assert_eq!(ear.event("session suspended").fields["cause"], "peer closed with 1000");
    assert_eq!(ear.event("connection ended").fields["reason"], "normal");
}

#[tokio::test]
async fn a_connections_span_is_not_inside_that_of_the_request_which_ends_long_before() {
    use tracing::Instrument as _;

    let (ear, _here) = listen(Level::DEBUG);
    let server = house().build().unwrap();
    let connecting = TestClient::connect(&server, "/ws");
    let client = connecting.instrument(tracing::info_span!("request")).await.unwrap();
    assert_eq!(ear.spans("connection")[0].inside, ["connection"]);
    assert!(ear.spans("request")[0].is_closed);
    drop(client);
    server.close().await;
}

#[tokio::test]
async fn ten_thousand_connections_that_come_speak_and_go_are_no_line_at_info() {
    let (ear, _here) = listen(Level::INFO);
    let server = Server::builder_sync(|_| Ok(Admission::room("lobby")))
        .check_origin(|_| true)
        .on_message(|_, _| ())
        .resume_window(Duration::from_secs(30))
        .build()
        .unwrap();
    let mut clients = Vec::with_capacity(10_000);
    for _ in 0..10_000 {
        let mut client = TestClient::connect_with_capacity(&server, "/ws", 64).await.unwrap();
        client.send(&Frame::new("x")).await.unwrap();
        clients.push(client);
    }
    assert_eq!(server.connection_count(), 10_000);
    drop(clients);
    while server.suspended_count() < 10_000 {
        tokio::task::yield_now().await;
    }
    server.close().await;
    assert_eq!(ear.spans("connection").len(), 10_000);
    let lines: Vec<_> = ear.all().into_iter().filter(|it| !it.is_span).collect();
    assert!(lines.is_empty(), "{} lines, such as {:?}", lines.len(), lines[0]);
}

/// Nothing is to hold it.
const SECRET: &str = "hunter2";

fn assert_kept_secret(ear: &Ear, address: Option<&str>) {
    let all = ear.all();
    for told in &all {
        for (name, value) in &told.fields {
            // A backtrace holds the names and files of this test.
            if *name != "backtrace" {
                assert!(!value.contains(SECRET), "{told:#?}");
                assert!(address.is_none_or(|it| !value.contains(it)), "{told:#?}");
            }
        }
    }
    assert!(all.iter().any(|it| it.target.starts_with("wspulse")), "it heard nothing");
}

/// A handshake with a secret wherever one may be.
async fn client(server: &Server) -> Result<TestClient<DuplexStream>, wspulse::testing::Refused> {
    let mut request = request_parts(&format!("/ws?token={SECRET}"));
    for (name, value) in [
        ("authorization", format!("Bearer {SECRET}")),
        ("cookie", format!("session={SECRET}")),
        ("sec-websocket-protocol", format!("chat, {SECRET}")),
        ("traceparent", SECRET.to_owned()),
    ] {
        request.headers.insert(name, value.parse().unwrap());
    }
    TestClient::connect_with(server, request).await
}

async fn asks(Json(_): Json<u32>) {}

async fn reads(frame: Frame) -> HandlerResult {
    frame.to_json::<Vec<u32>>()?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_payload_token_query_or_header_is_in_any_line_or_span() {
    let (ear, _here) = listen(Level::TRACE);
    let router = Router::builder().on("asks", asks).on("reads", reads).build().unwrap();
    let payload = format!("\"{SECRET}\"");
    let servers = [
        house().router(router),
        house().on_message(|conn, frame| async move {
            tokio::task::yield_now().await;
            let _ = conn.room().broadcast(frame);
        }),
        house().on_message(|_, _| ()).max_message_size(8),
        Server::builder_sync(|request| {
            request.query("user").ok_or_else(Rejection::unauthorized)?;
            Ok(Admission::room("lobby"))
        }),
    ];
    for server in servers {
        let server = server.resume_window(Duration::from_secs(1)).build().unwrap();
        let Ok(mut client) = client(&server).await else { continue };
        for event in ["asks", "reads", "other"] {
            let _ = client.send(&Frame::new(event).with_payload(payload.clone())).await;
        }
        let _ = client.write_message(MessageKind::Text, SECRET.as_bytes()).await;
        let _ = client.write_message(MessageKind::Binary, SECRET.as_bytes()).await;
        let _ = client.ping(SECRET.as_bytes()).await;
        let _ = client.pong(SECRET.as_bytes()).await;
        let _ = client.close(Some(&CloseFrame::new(CloseCode::NORMAL, SECRET))).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let _bad =
            TestClient::connect(&server, "/ws").await.unwrap().write_raw(SECRET.as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        server.close().await;
    }
    for told in ["router: handler failed", "undecodable message dropped", "client refused"] {
        let all = ear.all();
        assert!(
            all.iter().any(|it| it.fields.get("message").is_some_and(|it| it.contains(told))),
            "{told}"
        );
    }
    assert_kept_secret(&ear, None);
}

/// A client that connects over a socket, and one whose request is none.
async fn over_sockets(log_peer_addrs: bool) -> Ear {
    let (ear, _here) = listen(Level::TRACE);
    let server = house().on_message(|_, _| ()).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = wspulse::serve(listener, server.clone()).log_peer_addrs(log_peer_addrs);
    let serving = tokio::spawn(serving.into_future());
    let mut client =
        TestClient::connect_tcp(address, &format!("/ws?token={SECRET}")).await.unwrap();
    client.send(&Frame::new("x")).await.unwrap();
    let mut bad = TcpStream::connect(address).await.unwrap();
    bad.write_all(format!("{SECRET}\r\n\r\n").as_bytes()).await.unwrap();
    let _ = bad.read_to_end(&mut Vec::new()).await;
    let failed = |it: &Told| it.fields.get("message").is_some_and(|it| it.starts_with("HTTP conn"));
    while !ear.all().iter().any(failed) {
        tokio::task::yield_now().await;
    }
    server.close().await;
    serving.abort();
    ear
}

#[tokio::test]
async fn no_address_is_in_any_line_or_span() {
    assert_kept_secret(&over_sockets(false).await, Some("127.0.0.1"));
}

#[tokio::test]
async fn an_address_is_in_the_log_if_the_application_asks_for_it() {
    let ear = over_sockets(true).await;
    let failed = ear.event("HTTP connection failed");
    assert!(failed.fields["peer_addr"].starts_with("127.0.0.1:"), "{failed:?}");
}

#[tokio::test]
async fn an_application_records_in_the_span_what_it_takes_from_the_request() {
    let (ear, _here) = listen(Level::INFO);
    let server = house()
        .connection_span(|span, request| {
            span.record("peer_addr", request.header("x-forwarded-for"));
        })
        .build()
        .unwrap();
    let mut request = request_parts("/ws");
    request.headers.insert("x-forwarded-for", "192.0.2.7".parse().unwrap());
    let _client = TestClient::connect_with(&server, request).await.unwrap();
    assert_eq!(ear.spans("connection")[0].fields["peer_addr"], "192.0.2.7");
}

#[tokio::test]
async fn a_panic_about_a_span_costs_nobody_his_connection() {
    let (ear, _here) = listen(Level::INFO);
    let server = house()
        .connection_span(|_, _| panic!("no"))
        .on_message(|conn, frame| drop(conn.send(frame)))
        .build()
        .unwrap();
    let mut client = TestClient::connect(&server, "/ws").await.unwrap();
    client.send(&Frame::new("still here")).await.unwrap();
    assert_eq!(client.frame().await.unwrap().event(), "still here");
    assert!(ear.all().iter().any(|it| it.level == Level::ERROR));
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_span_and_nobody_is_asked_about_one() {
    let (ear, _here) = listen(Level::WARN);
    let server = house().connection_span(|_, _| panic!("not wanted")).build().unwrap();
    let client = TestClient::connect(&server, "/ws").await.unwrap();
    assert!(ear.spans("connection").is_empty());
    assert!(ear.all().iter().all(|it| it.level != Level::ERROR));
    drop(client);
    server.close().await;
}
