//! What holds over HTTP/1.1 and over HTTP/2 alike: a session does not know what carries it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wspulse::testing::{Received, masked};
use wspulse::{
    Admission, Compression, ConnectRequest, ConnectionState, Rejection, Server, TransportLost,
};

use crate::offering::Offering;
use crate::support::clients::{close, close_frame, echoes, named, numbered, numbers};
use crate::support::clock::{TICK, WINDOW, assert_passed, settle};
use crate::support::house::{echo, open_house};
use crate::support::stage::Stage;
use crate::ways::{Way, serve_both};

macro_rules! over_both_versions {
    ($($name:ident)*) => {
        mod over_http1 {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Way::Http1).await;
            })*
        }
        mod over_http2 {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(super::Way::Http2).await;
            })*
        }
    };
}

over_both_versions! {
    a_client_is_let_in_and_echoed
    a_subprotocol_is_chosen_among_those_that_are_offered
    a_connect_function_hears_of_the_target_and_the_headers
    a_connect_function_refuses
    a_foreign_origin_is_forbidden_and_the_own_one_is_not
    a_version_other_than_13_is_a_bad_request
    a_closed_server_takes_nobody
    a_connect_function_that_takes_too_long_is_given_up
    a_ping_is_answered
    a_close_is_answered_and_the_stream_ends
    a_server_that_closes_tells_why
    who_is_kicked_is_told_why
    frames_against_the_protocol_are_answered_by_their_close_codes
    a_message_of_many_frames_and_one_of_many_writes_come_whole
    a_room_hears_its_broadcasts_in_order
    a_session_waits_for_its_client_and_goes_on
    a_second_connection_of_an_id_takes_the_first_ones_place
    a_silent_client_is_given_up_by_the_heartbeat
    compression_is_agreed_on_and_used_both_ways
}

async fn a_client_is_let_in_and_echoed(way: Way) {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut ann = way.connect(&dialler, "/ws?id=ann").await;
    for number in 0..3 {
        echoes(&mut ann.client, number).await;
    }
    assert_eq!(server.connection("ann").unwrap().state(), ConnectionState::Connected);
}

async fn a_subprotocol_is_chosen_among_those_that_are_offered(way: Way) {
    let server = Server::builder_sync(|_| Ok::<_, Rejection>(Admission::room("").protocol("b")));
    let (dialler, _serving) = serve_both(&server.build().unwrap(), |serve| serve);
    for (offered, chosen) in [("a, b", Some("b")), ("a", None)] {
        let offer = [("sec-websocket-protocol", offered)];
        let let_in = way.dial(&dialler, "/ws", &offer).await.expect("it is let in");
        let answered = let_in.headers.get("sec-websocket-protocol");
        assert_eq!(answered.map(|chosen| chosen.to_str().unwrap()), chosen);
    }
}

async fn a_connect_function_hears_of_the_target_and_the_headers(way: Way) {
    let server = Server::builder_sync(|request: ConnectRequest| {
        assert_eq!(request.uri().path(), "/ws");
        assert_eq!(request.query("room").as_deref(), Some("a b"));
        assert_eq!(request.header("cookie"), Some("a=b"));
        Ok::<_, Rejection>(Admission::room("lobby"))
    });
    let (dialler, _serving) = serve_both(&server.build().unwrap(), |serve| serve);
    let cookie = [("cookie", "a=b")];
    assert!(way.dial(&dialler, "/ws?room=a%20b", &cookie).await.is_ok());
}

/// The answer to who is not let in.
async fn refused(way: Way, server: &Server, headers: &[(&'static str, &str)]) -> (u16, String) {
    let (dialler, _serving) = serve_both(server, |serve| serve);
    match way.dial(&dialler, "/ws", headers).await {
        Ok(_) => panic!("it is let in"),
        Err((status, body)) => (status.as_u16(), body),
    }
}

async fn a_connect_function_refuses(way: Way) {
    let server = Server::builder_sync(|_| Err::<Admission, _>(Rejection::unauthorized()));
    let (status, _) = refused(way, &server.build().unwrap(), &[]).await;
    assert_eq!(status, 401);
}

async fn a_foreign_origin_is_forbidden_and_the_own_one_is_not(way: Way) {
    let server = echo().check_origin(wspulse::origin::same_origin()).build().unwrap();
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(refused(way, &server, &foreign).await, (403, "Forbidden\n".to_owned()));
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    assert!(way.dial(&dialler, "/ws", &[("origin", "http://localhost")]).await.is_ok());
}

async fn a_version_other_than_13_is_a_bad_request(way: Way) {
    let server = echo().build().unwrap();
    let (status, body) = refused(way, &server, &[("sec-websocket-version", "8")]).await;
    assert_eq!((status, &*body), (400, "Bad Request: Sec-WebSocket-Version must be 13, once\n"));
}

async fn a_closed_server_takes_nobody(way: Way) {
    let server = echo().build().unwrap();
    server.close().await;
    assert_eq!(refused(way, &server, &[]).await, (503, "server closed\n".to_owned()));
}

async fn a_connect_function_that_takes_too_long_is_given_up(way: Way) {
    let server = Server::builder(|_| std::future::pending::<Result<Admission, Rejection>>())
        .connect_timeout(Duration::from_secs(3))
        .build()
        .unwrap();
    let dialled_at = Instant::now();
    assert_eq!(refused(way, &server, &[]).await, (503, "connect timeout\n".to_owned()));
    assert_passed(dialled_at, Duration::from_secs(3));
}

async fn a_ping_is_answered(way: Way) {
    let (dialler, _serving) = serve_both(&echo().build().unwrap(), |serve| serve);
    let mut ann = way.connect(&dialler, "/ws").await;
    ann.client.ping(b"are you there?").await.unwrap();
    assert_eq!(ann.client.receive().await.unwrap(), Received::Pong("are you there?".into()));
}

async fn a_close_is_answered_and_the_stream_ends(way: Way) {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut ann = way.connect(&dialler, "/ws").await;
    ann.client.close(Some(&close(1000, "bye"))).await.unwrap();
    assert_eq!(close_frame(&mut ann.client).await, Some(close(1000, "")));
    assert_eq!(ann.client.receive().await.unwrap(), Received::End);
    settle().await;
    assert_eq!(server.connection_count(), 0);
}

async fn a_server_that_closes_tells_why(way: Way) {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut ann = way.connect(&dialler, "/ws").await;
    let closed_at = Instant::now();
    let ((), told) = tokio::join!(server.close(), ann.client.closed());
    assert_eq!(told.unwrap().unwrap().code().as_u16(), 1001);
    assert_passed(closed_at, Duration::ZERO);
}

async fn who_is_kicked_is_told_why(way: Way) {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut ann = way.connect(&dialler, "/ws?id=ann").await;
    server.kick_with_reason("ann", "enough").unwrap();
    assert_eq!(ann.client.closed().await.unwrap().unwrap().reason(), "enough");
}

async fn frames_against_the_protocol_are_answered_by_their_close_codes(way: Way) {
    let server = open_house().max_message_size(100).build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let unmasked = bytes::Bytes::from_static(&[0x81, 2, b'{', b'}']);
    let reserved = masked(0xc1, b"{}");
    for (frame, code) in [
        (unmasked, 1002),
        (reserved, 1002),
        (masked(0x81, &[0xff]), 1007),
        (masked(0x81, &[b' '; 101]), 1009),
    ] {
        let mut ann = way.connect(&dialler, "/ws").await;
        ann.client.write_raw(&frame).await.unwrap();
        let told = close_frame(&mut ann.client).await;
        assert_eq!(told.unwrap().code().as_u16(), code, "{frame:?}");
    }
}

async fn a_message_of_many_frames_and_one_of_many_writes_come_whole(way: Way) {
    const BYTES: usize = 300_000;
    let server = echo().max_message_size(2 * BYTES).build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut ann = way.connect(&dialler, "/ws").await;
    let long = named(1).json(&"y".repeat(BYTES)).unwrap();
    ann.client.send(&long).await.unwrap();
    assert_eq!(ann.client.frame().await.unwrap(), long);
    for (first, part) in [(0x01, &br#"{"eve"#[..]), (0x00, br#"nt":"#), (0x80, br#""1"}"#)] {
        ann.client.write_raw(&masked(first, part)).await.unwrap();
        settle().await;
    }
    assert_eq!(ann.client.frame().await.unwrap(), named(1));
}

async fn a_room_hears_its_broadcasts_in_order(way: Way) {
    let server = open_house().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(way.connect(&dialler, "/ws").await);
    }
    for number in 0..100 {
        server.broadcast("lobby", numbered(number)).unwrap();
    }
    for let_in in &mut clients {
        assert_eq!(numbers(&mut let_in.client, 100).await, (0..100).collect::<Vec<_>>());
    }
}

async fn a_session_waits_for_its_client_and_goes_on(way: Way) {
    let mut stage = Stage::resuming();
    let (dialler, _serving) = serve_both(&stage.server, |serve| serve);
    let ann = way.connect(&dialler, "/ws?id=ann").await;
    let connection = stage.connected().await;
    drop(ann);
    assert!(matches!(stage.dropped().await, TransportLost::EndOfStream | TransportLost::Io(_)));
    assert_eq!(connection.state(), ConnectionState::Suspended);
    connection.send(numbered(1)).unwrap();
    sleep(WINDOW / 2).await;
    let mut ann = way.connect(&dialler, "/ws?id=ann").await;
    assert_eq!(stage.restored().await, connection);
    assert_eq!(numbers(&mut ann.client, 1).await, [1]);
    stage.is_silent().await;
}

async fn a_second_connection_of_an_id_takes_the_first_ones_place(way: Way) {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut first = way.connect(&dialler, "/ws?id=ann").await;
    let mut second = way.connect(&dialler, "/ws?id=ann").await;
    echoes(&mut second.client, 1).await;
    assert!(close_frame(&mut first.client).await.is_some());
    assert_eq!(server.connection_count(), 1);
}

async fn a_silent_client_is_given_up_by_the_heartbeat(way: Way) {
    let second = Duration::from_secs(1);
    let mut stage =
        Stage::new(|builder| builder.resume_window(WINDOW).heartbeat(10 * second, 15 * second));
    let (dialler, _serving) = serve_both(&stage.server, |serve| serve);
    let _ann = way.connect(&dialler, "/ws?id=ann").await;
    stage.connected().await;
    assert!(matches!(stage.dropped().await, TransportLost::PongTimeout));
}

async fn compression_is_agreed_on_and_used_both_ways(way: Way) {
    let server = echo().compression(Compression::shared()).max_message_size(10_000);
    let (dialler, _serving) = serve_both(&server.build().unwrap(), |serve| serve);
    let offer = [("sec-websocket-extensions", "permessage-deflate")];
    let let_in = way.dial(&dialler, "/ws", &offer).await.expect("it is let in");
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(let_in.headers["sec-websocket-extensions"], agreed);
    let mut ann = Offering::over(let_in.client.into_stream(), Some(agreed.to_owned()));
    let long = named(1).json(&vec![7; 300]).unwrap();
    ann.send_compressed(&long).await;
    let heard = ann.hear().await;
    assert_eq!((heard.frame, heard.is_compressed), (long, true));
    sleep(TICK).await;
}
