//! Members of a large room that have nothing to write follow what it says, without holding it. All
//! that is told of them, and what they hear, is as if each had every frame in a queue of its own.

use std::time::Duration;

use tokio::time::Instant;
use wspulse::testing::TestClient;
use wspulse::{Connection, Delivery, Frame, Outgoing, Server, ServerBuilder};

use crate::support::clients::{Client, dial, hears_nothing, numbered, numbers};
use crate::support::clock::{WINDOW, assert_passed, settle};
use crate::support::house::open_house;

/// Enough for a room to be a large one.
const OTHERS: usize = 40;

/// A large room in which all have heard a first frame, and so follow, with Ann among them.
struct Room {
    server: Server,
    ann: Client,
    connection: Connection,
    others: Vec<Client>,
}

impl Room {
    async fn new(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let server = options(open_house().resume_window(WINDOW)).build().unwrap();
        let mut others = Vec::new();
        for number in 0..OTHERS {
            others.push(dial(&server, &format!("other-{number}")).await);
        }
        let mut ann = dial(&server, "ann").await;
        settle().await;
        say(&server, 0);
        assert_eq!(numbers(&mut ann, 1).await, [0]);
        settle().await;
        let connection = server.connection("ann").unwrap();
        Self { server, ann, connection, others }
    }

    async fn plain() -> Self {
        Self::new(|builder| builder).await
    }
}

fn say(server: &Server, number: usize) {
    let fan_out = server.broadcast("lobby", numbered(number)).unwrap();
    assert_eq!(fan_out.reached, server.connections("lobby").len());
}

#[tokio::test(start_paused = true)]
async fn what_is_said_waits_for_each_member_until_it_is_written() {
    let mut room = Room::plain().await;
    say(&room.server, 1);
    say(&room.server, 2);
    let stats = room.connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.pending), (3, 1, 2));
    assert!(stats.held_bytes > 0);
    assert_eq!(numbers(&mut room.ann, 2).await, [1, 2]);
    settle().await;
    let stats = room.connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.pending, stats.held_bytes), (3, 3, 0, 0));
    assert_eq!(numbers(&mut room.others[7], 3).await, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_direct_send_keeps_its_place_among_broadcasts() {
    let mut room = Room::plain().await;
    say(&room.server, 1);
    room.connection.send(numbered(2)).unwrap();
    say(&room.server, 3);
    room.server.send("ann", numbered(4)).unwrap();
    assert_eq!(numbers(&mut room.ann, 4).await, [1, 2, 3, 4]);
    assert_eq!(numbers(&mut room.others[0], 3).await, [0, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn another_rooms_broadcast_keeps_its_place_too() {
    let mut room = Room::plain().await;
    assert!(room.connection.join("small").unwrap());
    say(&room.server, 1);
    room.server.broadcast("small", numbered(2)).unwrap();
    say(&room.server, 3);
    room.server.to(["small", "lobby"]).broadcast(numbered(4)).unwrap();
    say(&room.server, 5);
    assert_eq!(numbers(&mut room.ann, 5).await, [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&mut room.others[0], 5).await, [0, 1, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn who_is_left_out_hears_all_but_that() {
    let mut room = Room::plain().await;
    say(&room.server, 1);
    let left_out = room.server.broadcast_except("lobby", &room.connection, numbered(2)).unwrap();
    assert_eq!(left_out.reached, OTHERS);
    say(&room.server, 3);
    assert_eq!(numbers(&mut room.ann, 2).await, [1, 3]);
    assert_eq!(numbers(&mut room.others[0], 4).await, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn frames_with_keys_and_without_keep_their_order() {
    let mut room = Room::plain().await;
    say(&room.server, 1);
    let keyed = |number| -> Outgoing { numbered(number).conflate("at") };
    room.server.broadcast("lobby", keyed(2)).unwrap();
    let newer = room.server.broadcast("lobby", keyed(3)).unwrap();
    assert_eq!((newer.reached, newer.conflated), (OTHERS + 1, OTHERS + 1));
    say(&room.server, 4);
    assert_eq!(numbers(&mut room.ann, 3).await, [1, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_beyond_the_send_buffer_drops_the_oldest_of_each_and_says_so() {
    const BUFFER: usize = 16;
    let mut room = Room::new(|builder| builder.send_buffer_size(BUFFER)).await;
    let members = OTHERS + 1;
    let mut dropped = 0;
    for number in 1..=100 {
        dropped += room.server.broadcast("lobby", numbered(number)).unwrap().dropped;
    }
    assert_eq!(dropped, (100 - BUFFER) * members);
    let kept: Vec<_> = (101 - BUFFER..=100).collect();
    assert_eq!(numbers(&mut room.ann, BUFFER).await, kept);
    settle().await;
    let stats = room.connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent), (101, 1 + BUFFER as u64));
    assert_eq!((stats.dropped, stats.pending), (100 - BUFFER as u64, 0));
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_long_to_be_followed_comes_in_order() {
    let mut room = Room::plain().await;
    say(&room.server, 1);
    let text = "x".repeat(200_000);
    room.server.broadcast("lobby", Frame::new("long").json(&text).unwrap()).unwrap();
    say(&room.server, 2);
    assert_eq!(numbers(&mut room.ann, 1).await, [1]);
    let long = room.ann.frame().await.unwrap();
    assert_eq!(long.to_json::<String>().unwrap(), text);
    assert_eq!(numbers(&mut room.ann, 1).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn who_is_kicked_gets_what_was_said_before() {
    let mut room = Room::plain().await;
    say(&room.server, 1);
    room.server.kick("ann").unwrap();
    say(&room.server, 2);
    assert_eq!(numbers(&mut room.ann, 1).await, [1]);
    room.ann.closed().await.unwrap();
    settle().await;
    let stats = room.connection.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.pending), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_gets_what_was_said_before_and_nothing_after() {
    let mut room = Room::plain().await;
    say(&room.server, 1);
    assert!(room.connection.leave("lobby"));
    say(&room.server, 2);
    assert_eq!(numbers(&mut room.ann, 1).await, [1]);
    hears_nothing(&mut room.ann).await;
    // Somebody has taken its place.
    for other in [0, OTHERS - 1] {
        assert_eq!(numbers(&mut room.others[other], 3).await, [0, 1, 2]);
    }
}

/// Also what was put into its queue, as a marked frame is.
#[tokio::test(start_paused = true)]
async fn who_leaves_does_not_wait_for_what_was_said_before() {
    let mut room = Room::plain().await;
    let since = Instant::now();
    say(&room.server, 1);
    assert!(room.connection.leave("lobby"));
    assert_eq!(numbers(&mut room.ann, 1).await, [1]);
    room.server.broadcast("lobby", numbered(2).conflate("at")).unwrap();
    let other = room.server.connection("other-7").unwrap();
    assert!(other.leave("lobby"));
    assert_eq!(numbers(&mut room.others[7], 3).await, [0, 1, 2]);
    assert_passed(since, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_gets_what_it_lacks() {
    for delivery in [Delivery::AtMostOnce, Delivery::AtLeastOnce] {
        let mut room = Room::new(|builder| builder.delivery(delivery)).await;
        say(&room.server, 1);
        drop(std::mem::replace(&mut room.ann, TestClient::new(tokio::io::duplex(1).0)));
        settle().await;
        say(&room.server, 2);
        let mut ann = dial(&room.server, "ann").await;
        say(&room.server, 3);
        settle().await;
        let mut heard = Vec::new();
        while heard.last() != Some(&3) {
            heard.extend(numbers(&mut ann, 1).await);
        }
        let stats = room.connection.outbound_stats();
        assert_eq!((stats.accepted, stats.sent, stats.pending), (4, 4, 0), "{delivery:?}");
        assert!(heard.is_sorted() && heard.ends_with(&[2, 3]), "{delivery:?}: {heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_kept_until_it_is_acknowledged() {
    let room =
        Room::new(|builder| builder.delivery(Delivery::AtLeastOnce).delivery_window(4, 1 << 20))
            .await;
    for number in 1..=10 {
        say(&room.server, number);
    }
    settle().await;
    let stats = room.connection.outbound_stats();
    assert_eq!((stats.accepted, stats.dropped), (11, 0));
    assert_eq!(stats.sent + stats.pending, 11);
    assert!(stats.unacknowledged <= 4, "{stats:?}");
}
