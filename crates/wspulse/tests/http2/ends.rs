//! How streams and connections end, and what becomes of the sessions in them.

use std::time::Duration;

use axum::Router;
use axum::routing;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use wspulse::serve::Http2;
use wspulse::{ConnectionState, TransportLost};

use crate::raw::{
    CANCEL, DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Raw, SETTINGS, frame, websocket,
};
use crate::support::clients::{echoes, numbered, numbers};
use crate::support::clock::{TICK, assert_passed, settle};
use crate::support::house::echo;
use crate::support::listener::serve_in_memory;
use crate::support::stage::Stage;
use crate::ways::{Connection, extended_connect, get, serve_both};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_is_a_lost_transport_whose_session_goes_on_in_another() {
    for code in [CANCEL, 1, 2] {
        let mut stage = Stage::resuming();
        let (dialler, _serving) = serve_both(&stage.server, |serve| serve);
        let mut raw = Raw::connect(&dialler).await;
        raw.write(&websocket(1, "/ws?id=ann")).await;
        assert_eq!(raw.next(HEADERS).await.stream, 1);
        let connection = stage.connected().await;
        raw.write(&frame(RST_STREAM, 0, 1, &code.to_be_bytes())).await;
        let lost = stage.dropped().await;
        assert!(matches!(lost, TransportLost::EndOfStream | TransportLost::Io(_)), "{lost:?}");
        assert_eq!(connection.state(), ConnectionState::Suspended);
        connection.send(numbered(1)).unwrap();

        raw.write(&websocket(3, "/ws?id=ann")).await;
        assert_eq!(stage.restored().await, connection);
        let heard = raw.next(DATA).await;
        assert_eq!(heard.stream, 3);
        stage.is_silent().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_has_ended_its_side_is_a_lost_transport() {
    let mut stage = Stage::resuming();
    let (dialler, _serving) = serve_both(&stage.server, |serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&websocket(1, "/ws?id=ann")).await;
    stage.connected().await;
    raw.write(&frame(DATA, END_STREAM, 1, &[])).await;
    assert!(matches!(stage.dropped().await, TransportLost::EndOfStream));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_suspends_all_sessions_in_it() {
    let stage = Stage::resuming();
    let (dialler, _serving) = serve_both(&stage.server, |serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    for id in 0..10 {
        raw.write(&websocket(2 * id + 1, &format!("/ws?id={id}"))).await;
    }
    settle().await;
    assert_eq!(stage.server.connection_count(), 10);
    raw.hang_up().await;
    settle().await;
    for connection in stage.server.all_connections() {
        assert_eq!(connection.state(), ConnectionState::Suspended);
    }
    assert_eq!(stage.server.connection_count(), 10);
}

#[tokio::test(start_paused = true)]
async fn websockets_go_on_in_a_connection_whose_client_says_goaway() {
    let mut stage = Stage::resuming();
    let (dialler, _serving) = serve_both(&stage.server, |serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&websocket(1, "/ws?id=ann")).await;
    let connection = stage.connected().await;
    raw.write(&frame(GOAWAY, 0, 0, &[0; 8])).await;
    settle().await;
    connection.send(numbered(1)).unwrap();
    assert_eq!(raw.next(DATA).await.stream, 1);
    assert_eq!(connection.state(), ConnectionState::Connected);
}

fn app(server: &wspulse::Server) -> Router {
    Router::new()
        .route("/slow", routing::get(|| async { sleep(5 * SECOND).await }))
        .route("/stuck", routing::get(|| async { sleep(50 * SECOND).await }))
        .route("/panics", routing::get(async || -> String { panic!("a handler's own fault") }))
        .route_service("/ws", server.clone())
}

/// A server, whoever dials it, its end, and what stops it.
struct Stoppable {
    server: wspulse::Server,
    dialler: wspulse::testing::Dialler,
    serving: tokio::task::JoinHandle<Result<(), wspulse::ConfigError>>,
    stop: oneshot::Sender<()>,
}

fn stoppable() -> Stoppable {
    let (stop, stopped) = oneshot::channel();
    let server = echo().build().unwrap();
    let (dialler, serving) = serve_in_memory(app(&server), |serve| {
        serve.http2(Http2::new()).with_graceful_shutdown(async { drop(stopped.await) })
    });
    Stoppable { server, dialler, serving, stop }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_connection_without_streams_at_once() {
    let Stoppable { dialler, serving, stop, .. } = stoppable();
    let connection = Connection::over(dialler.dial()).await;
    let stopped_at = Instant::now();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert_passed(stopped_at, Duration::ZERO);
    connection.driver.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_no_longer_than_a_moment_for_a_client_that_does_not_answer() {
    let Stoppable { dialler, serving, stop, .. } = stoppable();
    let _silent = Raw::connect(&dialler).await;
    settle().await;
    let stopped_at = Instant::now();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert_passed(stopped_at, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_requests_beside_websockets_and_for_no_websocket() {
    let Stoppable { server, dialler, serving, stop } = stoppable();
    let mut connection = Connection::over(dialler.dial()).await;
    let mut ann = connection.open("/ws?id=ann").await;
    let slow = tokio::spawn(async move { (connection.get("/slow").await.status(), connection) });
    settle().await;
    let stopped_at = Instant::now();
    stop.send(()).unwrap();
    let (status, connection) = slow.await.unwrap();
    assert_eq!(status, 200);
    serving.await.unwrap().unwrap();
    assert_passed(stopped_at, 5 * SECOND);

    echoes(&mut ann, 1).await;
    // With the last of its WebSockets it ends.
    let ((), told) = tokio::join!(server.close(), ann.closed());
    assert_eq!(told.unwrap().unwrap().code().as_u16(), 1001);
    connection.driver.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_requests_off_after_the_drain_timeout_and_no_websocket() {
    let Stoppable { dialler, serving, stop, .. } = stoppable();
    let mut connection = Connection::over(dialler.dial()).await;
    let mut ann = connection.open("/ws?id=ann").await;
    let stuck =
        tokio::spawn(async move { connection.send(get("/stuck")).await.map(|_| connection) });
    settle().await;
    let stopped_at = Instant::now();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert_passed(stopped_at, 10 * SECOND);
    assert!(stuck.await.unwrap().is_err());
    echoes(&mut ann, 1).await;
}

#[tokio::test(start_paused = true)]
async fn websockets_outlive_the_future_that_served_them() {
    let Stoppable { dialler, serving, stop: _stop, .. } = stoppable();
    let mut connection = Connection::over(dialler.dial()).await;
    let mut ann = connection.open("/ws?id=ann").await;
    let stuck =
        tokio::spawn(async move { connection.send(get("/stuck")).await.map(|_| connection) });
    settle().await;
    serving.abort();
    assert!(stuck.await.unwrap().is_err());
    echoes(&mut ann, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_costs_its_own_stream_only() {
    let logs = crate::support::logs::Logs::capture();
    let Stoppable { dialler, stop: _stop, .. } = stoppable();
    let mut connection = Connection::over(dialler.dial()).await;
    let mut ann = connection.open("/ws?id=ann").await;
    assert!(connection.send(get("/panics")).await.is_err());
    echoes(&mut ann, 1).await;
    assert!(logs.one("ERROR", "serving an HTTP connection").contains("a handler's own fault"));
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_before_a_close_is_written_before_its_end() {
    let server = echo().send_buffer_size(500).build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut connection = Connection::over(dialler.dial()).await;
    let mut ann = connection.open("/ws?id=ann").await;
    for number in 0..500 {
        server.send("ann", numbered(number)).unwrap();
    }
    let heard = async {
        let heard = numbers(&mut ann, 500).await;
        (heard, ann.closed().await.unwrap().unwrap().code().as_u16())
    };
    let ((), (heard, code)) = tokio::join!(server.close(), heard);
    assert_eq!((heard, code), ((0..500).collect(), 1001));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_in_the_middle_of_a_frame_leaves_nothing() {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut stream = dialler.dial();
    stream.write_all(crate::raw::PREFACE).await.unwrap();
    stream.write_all(&websocket(1, "/ws?id=ann")[..20]).await.unwrap();
    drop(stream);
    sleep(TICK).await;
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_websocket_that_has_a_body_ends_its_own_connection() {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut healthy = Connection::over(dialler.dial()).await;
    let mut ann = healthy.open("/ws?id=ann").await;
    let mut connection = Connection::over(dialler.dial()).await;
    let mut request = extended_connect("/ws?id=bob");
    request.headers_mut().insert("content-length", "3".parse().unwrap());
    assert!(connection.send(request).await.is_err());
    echoes(&mut ann, 1).await;
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_for_a_client_that_takes_nothing_is_not_kept_for_ever() {
    let server = echo().build().unwrap();
    let (dialler, _serving) = serve_both(&server, |serve| serve);
    let mut raw = Raw::connect(&dialler).await;
    // Its streams have no window.
    raw.write(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    raw.write(&websocket(1, "/ws?id=ann")).await;
    raw.next(HEADERS).await;
    settle().await;
    server.send("ann", numbered(1)).unwrap();
    settle().await;
    server.kick("ann").unwrap();
    let kicked_at = Instant::now();
    // What its session waits for an answer, then what its stream waits, then what a connection does
    // that has none.
    assert_eq!(raw.ended().await, Some((0, String::new())));
    assert!(kicked_at.elapsed() < 35 * SECOND, "{:?}", kicked_at.elapsed());
    assert_eq!(server.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_opens_streams_after_the_end_is_refused() {
    let Stoppable { dialler, serving, stop: _stop, .. } = stoppable();
    // It never answers the PING that comes with a GOAWAY.
    let mut raw = Raw::connect(&dialler).await;
    raw.write(&websocket(1, "/ws?id=ann")).await;
    raw.next(HEADERS).await;
    serving.abort();
    settle().await;
    raw.write(&crate::raw::request(3, "GET", "/slow")).await;
    let asked_at = Instant::now();
    let answer = raw.next(HEADERS).await;
    assert_eq!((answer.stream, answer.flags & END_STREAM), (3, END_STREAM));
    assert_passed(asked_at, Duration::ZERO);
}
