//! What a server says that it has, when it is asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use wspulse::metrics::{Gauges, Readings, ServerBuilt};
use wspulse::testing::TestClient;
use wspulse::{
    Admission, ConnectionState, Delivery, Frame, MetricsCollector, Rejection, RoomOptions, Server,
    ServerBuilder,
};

use crate::support::clients::{dial, dial_room};
use crate::support::clock::{WINDOW, settle};
use crate::support::house::open_house;

/// Keeps what it is given to ask servers.
#[derive(Clone, Default)]
struct Asker(Arc<Mutex<Vec<Gauges>>>);

impl MetricsCollector for Asker {
    fn server_built(&self, built: &ServerBuilt<'_>) {
        self.0.lock().unwrap().push(built.gauges.clone());
    }
}

impl Asker {
    fn gauges(&self) -> Gauges {
        self.0.lock().unwrap().last().unwrap().clone()
    }
}

/// Users, each in the rooms of its query's `rooms`, with commas between.
fn users() -> ServerBuilder {
    Server::builder_sync(|request| {
        let id = request.query("id").ok_or_else(Rejection::unauthorized)?;
        let user = request.query("user").unwrap_or_default();
        let rooms = request.query("rooms").unwrap_or_default();
        let rooms: Vec<_> = rooms.split(',').map(str::to_owned).collect();
        Ok(Admission::without_room().also_in(rooms).user(&*user).id(&*id))
    })
}

#[tokio::test(start_paused = true)]
async fn a_collector_is_given_a_handle_when_the_server_is_built() {
    let asker = Asker::default();
    let server = open_house().metrics(asker.clone()).build().unwrap();
    let _ann = dial(&server, "ann").await;
    assert_eq!(asker.gauges().read(), Some(server.readings()));
    assert_eq!(server.readings().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handle_does_not_keep_the_server() {
    let asker = Asker::default();
    let server = open_house().metrics(asker.clone()).build().unwrap();
    assert!(!asker.gauges().is_gone());
    server.close().await;
    drop(server);
    settle().await;
    assert_eq!((asker.gauges().read(), asker.gauges().is_gone()), (None, true));
}

#[tokio::test(start_paused = true)]
async fn a_user_counts_once_and_a_member_once_for_each_room() {
    let server = users().build().unwrap();
    let mut clients = Vec::new();
    for query in ["id=1&user=ann&rooms=a,b", "id=2&user=ann&rooms=a", "id=3&user=bob&rooms=a"] {
        clients.push(TestClient::connect(&server, &format!("/ws?{query}")).await.unwrap());
    }
    let Readings { connections, users, rooms, room_members, largest_room_members, .. } =
        server.readings();
    assert_eq!((connections, users, rooms), (3, 2, 2));
    assert_eq!((room_members, largest_room_members), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_client_that_is_away_is_waiting() {
    let server = open_house().resume_window(WINDOW).build().unwrap();
    drop(dial(&server, "ann").await);
    settle().await;
    server.send("ann", Frame::new("news")).unwrap();
    let Readings { suspended, waiting_frames, waiting_bytes, unacknowledged_frames, .. } =
        server.readings();
    assert_eq!((suspended, waiting_frames, unacknowledged_frames), (1, 1, 0));
    let held = server.connection("ann").unwrap().outbound_stats().held_bytes;
    assert_eq!(waiting_bytes, held);
    assert!(waiting_bytes > 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_under_a_promise_is_unacknowledged_also_when_its_client_is_away() {
    let server =
        open_house().resume_window(WINDOW).delivery(Delivery::AtLeastOnce).build().unwrap();
    let ann = dial(&server, "ann").await;
    server.send("ann", Frame::new("news")).unwrap();
    settle().await;
    let before = server.readings();
    assert_eq!((before.unacknowledged_frames, before.waiting_frames), (1, 0));
    assert!(before.unacknowledged_bytes > 0);
    drop(ann);
    settle().await;
    server.send("ann", Frame::new("more")).unwrap();
    let after = server.readings();
    assert_eq!(after.unacknowledged_bytes, before.unacknowledged_bytes);
    assert_eq!((after.unacknowledged_frames, after.waiting_frames), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn people_are_here_or_away_as_was_told_last() {
    let server = open_house()
        .room_options(|_| RoomOptions::new().presence())
        .resume_window(WINDOW)
        .build()
        .unwrap();
    let _ann = dial(&server, "ann").await;
    drop(dial(&server, "bob").await);
    sleep(Duration::from_millis(60)).await;
    let Readings { people_here, people_away, .. } = server.readings();
    assert_eq!((people_here, people_away), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rooms_history_counts_in_bytes() {
    let server = open_house()
        .room_options(|_| RoomOptions::new().history(8, Duration::MAX))
        .build()
        .unwrap();
    let _ann = dial(&server, "ann").await;
    assert_eq!(server.readings().history_bytes, 0);
    server.broadcast("lobby", Frame::new("news")).unwrap();
    assert!(server.readings().history_bytes > 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_ended_is_ending_until_its_callbacks_are_over() {
    let server = open_house()
        .on_disconnect(async |_, _| sleep(Duration::from_secs(5)).await)
        .build()
        .unwrap();
    let _ann = dial(&server, "ann").await;
    settle().await;
    server.kick("ann").unwrap();
    settle().await;
    let Readings { connections, ending, .. } = server.readings();
    assert_eq!((connections, ending), (0, 1));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(server.readings(), Readings::default());
}

#[tokio::test(start_paused = true)]
async fn several_servers_are_added_up_but_for_the_largest_room() {
    let (one, other) = (open_house().build().unwrap(), open_house().build().unwrap());
    let _ann = dial(&one, "ann").await;
    let _bob = dial(&other, "bob").await;
    let _cat = dial_room(&other, "attic", "cat").await;
    let sum: Readings = [one.readings(), other.readings()].into_iter().sum();
    assert_eq!((sum.connections, sum.rooms, sum.largest_room_members), (3, 3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_says_what_it_has_without_being_served_otherwise() {
    let server = open_house().on_message(|_, _| {}).build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let connection = server.connection("ann").unwrap();
    for _ in 0..3 {
        ann.send(&Frame::new("n")).await.unwrap();
    }
    connection.send(Frame::new("n")).unwrap();
    settle().await;
    let readings = connection.readings();
    assert_eq!((readings.state, readings.received), (ConnectionState::Connected, 3));
    assert_eq!((readings.outbound.sent, readings.outbound.pending), (1, 0));
    assert_eq!(readings.outbound, connection.outbound_stats());
    connection.close();
    assert_eq!(connection.readings().state, ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn users_are_listed_once_each() {
    let server = users().build().unwrap();
    let mut clients = Vec::new();
    for query in ["id=1&user=ann&rooms=a", "id=2&user=ann&rooms=a", "id=3&user=bob&rooms=a"] {
        clients.push(TestClient::connect(&server, &format!("/ws?{query}")).await.unwrap());
    }
    let mut names: Vec<_> = server.users().iter().map(|user| user.id().to_owned()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ann", "bob"]);
}
