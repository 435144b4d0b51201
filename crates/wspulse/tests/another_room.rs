//! A client that comes back to its session with another room stays in the one that it has, and the
//! log says so.

mod support_wire;

use std::time::Duration;

use support_wire::logs::Logs;
use tokio::time::advance;
use wspulse::testing::TestClient;
use wspulse::{Admission, ConnectionState, Rejection, Server};

fn server() -> Server {
    Server::builder_sync(|request| {
        let room = request.query("room").ok_or_else(Rejection::unauthorized)?;
        Ok(Admission::room(room).id("ann"))
    })
    .resume_window(Duration::from_hours(1))
    .check_origin(|_| true)
    .build()
    .expect("valid options")
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
