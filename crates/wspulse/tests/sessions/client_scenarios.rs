//! What clients that were written for the protocol count on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use wspulse::testing::{Received, TestClient, masked, request_parts};
use wspulse::{
    Admission, CloseCode, CloseFrame, ConnectionState, Frame, MessageKind, Rejection, Server,
};

use crate::support::clients::{dial, hears_nothing, number, numbered, numbers};
use crate::support::clock::{TICK, WINDOW, assert_passed, settle};
use crate::support::house::open_house;
use crate::support::reconnecting::{Ended, Endpoint, Event, PAUSE, Reconnecting};
use crate::support::stage::Stage;

/// A server that sends every frame back.
fn echo(window: Duration) -> Server {
    open_house()
        .resume_window(window)
        .max_message_size(1024 * 1024)
        .on_message(|connection, frame| drop(connection.send(frame)))
        .build()
        .unwrap()
}

async fn echoed(client: &mut Reconnecting, sent: usize) {
    client.send(&numbered(sent)).await.unwrap();
    assert_eq!(number(&client.frame().await.unwrap()), sent);
}

#[tokio::test(start_paused = true)]
async fn a_client_connects_sends_hears_its_echo_and_closes() {
    let endpoint = Endpoint::new(echo(Duration::ZERO));
    let mut ann = Reconnecting::dial(&endpoint, "/ws?id=ann", 0).await.unwrap();
    let frame = Frame::new("chat").with_id("7").json(&["hi", "there"]).unwrap();
    ann.send(&frame).await.unwrap();
    assert_eq!(ann.frame().await.unwrap(), frame);
    ann.close().await;
    ann.close().await;
    assert_eq!(ann.events, [Event::Closed]);
    assert_eq!(ann.send(&frame).await, Err(Ended));
    assert_eq!(endpoint.server().connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_come_back_is_dropped_and_disconnected_once() {
    let endpoint = Endpoint::new(echo(WINDOW));
    let mut ann = Reconnecting::dial(&endpoint, "/ws?id=ann", 0).await.unwrap();
    endpoint.server().kick("ann").unwrap();
    assert_eq!(ann.frame().await, Err(Ended));
    ann.close().await;
    assert_eq!(ann.events, [Event::Dropped, Event::ConnectionLost]);
}

#[tokio::test(start_paused = true)]
async fn a_kicked_client_comes_back_as_a_new_session() {
    let endpoint = Endpoint::new(echo(WINDOW));
    let mut ann = Reconnecting::dial(&endpoint, "/ws?id=ann", 5).await.unwrap();
    let before = endpoint.server().connection("ann").unwrap();
    echoed(&mut ann, 1).await;
    endpoint.server().kick("ann").unwrap();
    assert!(timeout(2 * PAUSE, ann.frame()).await.is_err());
    echoed(&mut ann, 2).await;
    assert_eq!(ann.events, [Event::Dropped, Event::Restored]);
    assert_ne!(endpoint.server().connection("ann").unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_client_resumes_its_session_by_its_url_alone() {
    let endpoint = Endpoint::new(echo(WINDOW));
    let mut ann = Reconnecting::dial(&endpoint, "/ws?id=ann", 5).await.unwrap();
    let connection = endpoint.server().connection("ann").unwrap();
    echoed(&mut ann, 1).await;
    assert_eq!(ann.events, []);
    ann.lose_transport();
    settle().await;
    assert_eq!(connection.state(), ConnectionState::Suspended);
    for number in 2..5 {
        connection.send(numbered(number)).unwrap();
    }
    for expected in 2..5 {
        assert_eq!(number(&ann.frame().await.unwrap()), expected);
    }
    echoed(&mut ann, 5).await;
    assert_eq!(ann.events, [Event::Dropped, Event::Restored]);
    assert_eq!(endpoint.server().connection("ann").unwrap(), connection);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_exhausts_the_retries_once() {
    let endpoint = Endpoint::new(echo(WINDOW));
    let mut ann = Reconnecting::dial(&endpoint, "/ws?id=ann", 3).await.unwrap();
    let server = endpoint.server();
    let closing = tokio::spawn(async move { server.close().await });
    let closed_at = Instant::now();
    assert_eq!(ann.frame().await, Err(Ended));
    assert_passed(closed_at, 7 * PAUSE);
    assert_eq!(ann.frame().await, Err(Ended));
    assert_eq!(ann.events, [Event::Dropped, Event::RetriesExhausted]);
    closing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_outlives_a_restart() {
    let endpoint = Endpoint::new(echo(WINDOW));
    let mut ann = Reconnecting::dial(&endpoint, "/ws?id=ann", 5).await.unwrap();
    echoed(&mut ann, 1).await;
    let restarting = tokio::spawn({
        let endpoint = endpoint.clone();
        async move {
            endpoint.server().close().await;
            sleep(2 * PAUSE).await;
            endpoint.restart(echo(WINDOW));
        }
    });
    assert!(timeout(10 * PAUSE, ann.frame()).await.is_err());
    restarting.await.unwrap();
    echoed(&mut ann, 2).await;
    assert_eq!(ann.events, [Event::Dropped, Event::Restored]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_while_it_waits_to_come_back_does_not() {
    let endpoint = Endpoint::new(echo(WINDOW));
    let mut ann = Reconnecting::dial(&endpoint, "/ws?id=ann", 5).await.unwrap();
    endpoint.server().kick("ann").unwrap();
    assert!(timeout(PAUSE / 2, ann.frame()).await.is_err());
    ann.close().await;
    sleep(10 * PAUSE).await;
    assert_eq!(ann.events, [Event::Dropped, Event::Closed]);
    assert_eq!(endpoint.server().connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_races_a_kick_is_one_end_on_both_sides() {
    let mut stage = Stage::resuming();
    let (mut ann, _) = stage.join("ann").await;
    let goodbye = CloseFrame::new(CloseCode::NORMAL, "");
    ann.close(Some(&goodbye)).await.unwrap();
    stage.server.kick("ann").unwrap();
    // The client's close counts as the answer to the server's.
    assert!(matches!(ann.receive().await.unwrap(), Received::Close(Some(_))));
    assert_eq!(ann.receive().await.unwrap(), Received::End);
    assert_eq!(stage.disconnected().await.reason().as_str(), "kick");
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_is_echoed_with_its_code() {
    let mut stage = Stage::plain();
    for code in [None, Some(1000), Some(1001), Some(4000)] {
        let code = code.map(|code| CloseCode::new(code).unwrap());
        let (mut ann, _) = stage.join("ann").await;
        let sent = code.map(|code| CloseFrame::new(code, "bye"));
        ann.close(sent.as_ref()).await.unwrap();
        let echo = code.map(|code| CloseFrame::new(code, ""));
        assert_eq!(ann.receive().await.unwrap(), Received::Close(echo));
        assert_eq!(ann.receive().await.unwrap(), Received::End);
        stage.disconnected().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pings_hears_a_pong_every_time_and_is_kept() {
    let server = echo(Duration::ZERO);
    let mut ann = dial(&server, "ann").await;
    for _ in 0..30 {
        sleep(Duration::from_secs(20)).await;
        ann.ping(b"").await.unwrap();
        while ann.receive().await.unwrap() != Received::Pong(Bytes::new()) {}
    }
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn json_goes_out_as_text() {
    let server = echo(Duration::ZERO);
    let mut ann = dial(&server, "ann").await;
    ann.write_message(MessageKind::Binary, br#"{"event":"n"}"#).await.unwrap();
    let expected = Received::Message(MessageKind::Text, br#"{"event":"n"}"#[..].into());
    assert_eq!(ann.receive().await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_sees_why_and_no_callback_is_called() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let disconnect = tell.clone();
    let refusing = Server::builder_sync(|_| Err::<Admission, _>(Rejection::unauthorized()))
        .on_connect(move |_| tell.send("connect").unwrap())
        .on_disconnect(move |_, _| disconnect.send("disconnect").unwrap())
        .build()
        .unwrap();
    let endpoint = Endpoint::new(refusing);
    let refused = Reconnecting::dial(&endpoint, "/ws", 5).await.err().unwrap();
    assert_eq!(refused.0.status(), 401);
    assert_eq!(endpoint.server().connection_count(), 0);
    settle().await;
    assert!(told.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_refused_when_it_comes_back_goes_on_trying() {
    let refusing = Arc::new(AtomicBool::new(false));
    let server = Server::builder_sync({
        let refusing = Arc::clone(&refusing);
        move |_| {
            if refusing.load(Ordering::Relaxed) {
                return Err(Rejection::unauthorized());
            }
            Ok(Admission::room("lobby").id("ann"))
        }
    })
    .resume_window(WINDOW)
    .on_message(|connection, frame| drop(connection.send(frame)))
    .build()
    .unwrap();
    let endpoint = Endpoint::new(server);
    let mut ann = Reconnecting::dial(&endpoint, "/ws", 10).await.unwrap();
    let connection = endpoint.server().connection("ann").unwrap();
    ann.lose_transport();
    settle().await;
    connection.send(numbered(1)).unwrap();
    refusing.store(true, Ordering::Relaxed);
    let lost_at = Instant::now();
    tokio::spawn(async move {
        sleep(4 * PAUSE).await;
        refusing.store(false, Ordering::Relaxed);
    });
    assert_eq!(number(&ann.frame().await.unwrap()), 1);
    assert_passed(lost_at, 7 * PAUSE);
    assert_eq!(ann.events, [Event::Dropped, Event::Restored]);
}

#[tokio::test(start_paused = true)]
async fn the_headers_of_a_handshake_reach_the_connect_function() {
    let server = Server::builder_sync(|request| {
        let user = request.header("x-user").ok_or(Rejection::unauthorized())?;
        Ok(Admission::room("lobby").id(user))
    })
    .build()
    .unwrap();
    let mut parts = request_parts("/ws");
    parts.headers.insert("x-user", "ann".parse().unwrap());
    let _accepted = server.handshake(parts).unwrap().connect().await.unwrap();
    assert!(server.connection("ann").is_some());
}

#[tokio::test(start_paused = true)]
async fn many_messages_come_back_in_order() {
    let endpoint = Endpoint::new(echo(Duration::ZERO));
    let mut ann = Reconnecting::dial(&endpoint, "/ws", 0).await.unwrap();
    for number in 0..200 {
        ann.send(&numbered(number)).await.unwrap();
    }
    for expected in 0..200 {
        assert_eq!(number(&ann.frame().await.unwrap()), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_at_once_hear_their_own_echoes_intact() {
    let server = echo(Duration::ZERO);
    let clients = (0..50).map(|client| {
        let server = server.clone();
        tokio::spawn(async move {
            let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
            let expected: Vec<_> = (0..5).map(|number| client * 5 + number).collect();
            for number in &expected {
                ann.send(&numbered(*number)).await.unwrap();
            }
            assert_eq!(numbers(&mut ann, 5).await, expected);
        })
    });
    join_all(clients.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_message_is_dropped_and_the_connection_stays() {
    let mut stage = Stage::plain();
    let (mut ann, _) = stage.join("ann").await;
    for malformed in [&b"not json"[..], b"[1]", b"null", br#"{"id":7}"#, b""] {
        ann.write_message(MessageKind::Text, malformed).await.unwrap();
    }
    ann.send(&numbered(1)).await.unwrap();
    assert_eq!(number(&stage.message().await), 1);
}

#[tokio::test(start_paused = true)]
async fn an_oversize_message_closes_and_one_at_the_limit_does_not() {
    let mut stage = Stage::new(|builder| builder.max_message_size(25));
    let (mut ann, _) = stage.join("ann").await;
    // A frame of exactly 25 bytes.
    ann.send(&numbered(1)).await.unwrap();
    stage.message().await;
    hears_nothing(&mut ann).await;
    ann.write_raw(&masked(0x81, &[b' '; 26])).await.unwrap();
    assert_eq!(ann.closed().await.unwrap().unwrap().code(), CloseCode::MESSAGE_TOO_BIG);
    stage.disconnected().await;
    sleep(TICK).await;
    assert_eq!(stage.server.connection_count(), 0);
}
