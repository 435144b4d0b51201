//! A client that comes back to its session with another room: by default it stays in the one that
//! it has, and the log says so.

use std::time::Duration;

use tokio::time::advance;
use wspulse::testing::{TestClient, request_parts};
use wspulse::{
    Admission, ConnectionState, Delivery, Disconnect, DuplicatePolicy, Frame, Rejection,
    RoomChange, Server, ServerBuilder,
};
use wspulse_core::protocol::SessionKind;

use crate::support::clock::{WINDOW, settle};
use crate::support::logs::Logs;
use crate::support::speaker::{JSON, Speaker, frame};
use crate::support::stage::Stage;

fn server() -> Server {
    ruled(RoomChange::default())
}

fn ruled(policy: RoomChange) -> Server {
    builder().room_changes(policy).build().expect("valid options")
}

fn builder() -> ServerBuilder {
    Server::builder_sync(|request| {
        let room = request.query("room").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room(room).id("ann"))
    })
    .resume_window(Duration::from_hours(1))
    .check_origin(|_| true)
}

/// Comes back to the one session that there is, with this room.
async fn come_back(server: &Server, room: &str) {
    let client = TestClient::connect(server, &format!("/?room={room}")).await.expect("101");
    drop(client);
    while server.connection("ann").expect("within the window").state() != ConnectionState::Suspended
    {
        tokio::task::yield_now().await;
    }
}

const TEXT: &str = "came back with another room";

#[tokio::test(start_paused = true)]
async fn a_session_that_is_asked_for_with_another_room_stays_and_both_rooms_are_logged() {
    let logs = Logs::capture();
    let server = server();
    come_back(&server, "kitchen").await;
    come_back(&server, "garden").await;
    let connection = server.connection("ann").expect("within the window");
    assert_eq!(connection.room_id(), "kitchen");
    let line = logs.one("WARN", TEXT);
    assert!(line.contains("kitchen") && line.contains("garden"), "{line}");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_asked_for_with_its_own_room_is_not_logged() {
    let logs = Logs::capture();
    let server = server();
    come_back(&server, "kitchen").await;
    come_back(&server, "kitchen").await;
    assert_eq!(logs.all("WARN", TEXT), Vec::<String>::new());
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_so_again_and_again_is_a_line_in_a_while() {
    let logs = Logs::capture();
    let server = server();
    come_back(&server, "kitchen").await;
    for _ in 0..100 {
        come_back(&server, "garden").await;
    }
    assert_eq!(logs.all("WARN", TEXT).len(), 1);
    advance(Duration::from_secs(10)).await;
    come_back(&server, "garden").await;
    assert_eq!(logs.all("WARN", "not_logged=99").len(), 1);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_room_can_begin_a_new_session_with_nothing_of_the_old_one() {
    let logs = Logs::capture();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = builder()
        .room_changes(RoomChange::Replace)
        .on_disconnect(move |conn, end| tell.send((conn, end)).unwrap())
        .build()
        .expect("valid options");
    come_back(&server, "kitchen").await;
    let old = server.connection("ann").expect("within the window");
    old.send(Frame::new("old")).expect("it waits");
    let mut client = TestClient::connect(&server, "/?room=garden").await.expect("101");
    let new = server.connection("ann").expect("it is new");
    assert_eq!((new.room_id(), old.state()), ("garden", ConnectionState::Closed));
    assert_eq!((server.room("kitchen").len(), server.room("garden").len()), (0, 1));
    let (ended, end) = told.recv().await.expect("the old one has ended");
    assert!(ended == old && matches!(end, Disconnect::Duplicate), "{end}");
    new.send(Frame::new("new")).expect("it is connected");
    assert_eq!(client.frame().await.expect("a frame").event(), "new");
    assert_eq!(logs.all("WARN", TEXT), Vec::<String>::new());
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_connected_can_be_replaced_by_one_in_a_new_room_as_well() {
    let server = builder()
        .duplicates(DuplicatePolicy::Resume)
        .room_changes(RoomChange::Replace)
        .build()
        .expect("valid options");
    let mut old = TestClient::connect(&server, "/?room=kitchen").await.expect("101");
    let _new = TestClient::connect(&server, "/?room=garden").await.expect("101");
    let close = old.closed().await.expect("it is told").expect("with a frame");
    assert_eq!((close.code().as_u16(), close.reason()), (1000, "duplicate connection id"));
    assert_eq!(server.connection("ann").expect("it is new").room_id(), "garden");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_room_resumes_whatever_is_said_of_others() {
    for policy in [RoomChange::Keep, RoomChange::Replace, RoomChange::Refuse] {
        let server = ruled(policy);
        come_back(&server, "kitchen").await;
        let session = server.connection("ann").expect("within the window");
        come_back(&server, "kitchen").await;
        assert!(session.state() == ConnectionState::Suspended, "{policy:?}");
        server.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_with_another_room_can_be_refused_and_its_session_goes_on() {
    let server = ruled(RoomChange::Refuse);
    come_back(&server, "kitchen").await;
    let session = server.connection("ann").expect("within the window");
    session.send(Frame::new("waits")).expect("it waits");
    let refused = TestClient::connect(&server, "/?room=garden").await.expect_err("refused");
    assert_eq!(refused.status().as_u16(), 409);
    assert_eq!(refused.body(), "the session is in another room\n");
    assert_eq!((server.connection_count(), server.room_count()), (1, 1));
    let mut client = TestClient::connect(&server, "/?room=kitchen").await.expect("101");
    assert_eq!(client.frame().await.expect("what waited").event(), "waits");
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_that_would_not_resume_is_not_refused() {
    let server = ruled(RoomChange::Refuse);
    let _old = TestClient::connect(&server, "/?room=kitchen").await.expect("101");
    let _new = TestClient::connect(&server, "/?room=garden").await.expect("it replaces the other");
    assert_eq!(server.connection("ann").expect("it is new").room_id(), "garden");
    server.close().await;
}

const KITCHEN: &str = "/ws?id=ann&room=kitchen";
const GARDEN: &str = "/ws?id=ann&room=garden";

fn exactly_once(builder: ServerBuilder) -> ServerBuilder {
    builder.resume_window(WINDOW).delivery(Delivery::ExactlyOnce)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_with_its_token_and_another_room_can_be_sent_to_a_new_session() {
    let mut stage = Stage::new(|builder| exactly_once(builder).room_changes(RoomChange::Replace));
    let (ann, hello) = Speaker::begin(&stage.server, KITCHEN).await;
    let old = stage.connected().await;
    old.send(Frame::new("old")).unwrap();
    settle().await;
    drop(ann);
    stage.dropped().await;
    let (mut ann, hello) = Speaker::resume(&stage.server, GARDEN, &hello.token, 0).await;
    assert_eq!((hello.session, hello.replay), (SessionKind::New, 0));
    ann.hears_nothing().await;
    assert_eq!(stage.server.connection("ann").unwrap().room_id(), "garden");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_refused_for_its_room_comes_back_with_the_same_token() {
    let mut stage = Stage::new(|builder| exactly_once(builder).room_changes(RoomChange::Refuse));
    let (ann, hello) = Speaker::begin(&stage.server, KITCHEN).await;
    stage.connected().await.send(Frame::new("a")).unwrap();
    settle().await;
    drop(ann);
    stage.dropped().await;
    let mut parts = request_parts(GARDEN);
    let offers = format!("{JSON}, wspulse.1.resume.{}.0", hello.token);
    parts.headers.insert("sec-websocket-protocol", offers.parse().unwrap());
    let refused = TestClient::connect_with(&stage.server, parts).await.expect_err("refused");
    assert_eq!(refused.status().as_u16(), 409);
    let (mut ann, hello) = Speaker::resume(&stage.server, KITCHEN, &hello.token, 0).await;
    assert_eq!(hello.session, SessionKind::Resumed);
    assert_eq!(ann.hear().await, frame("a"));
}
