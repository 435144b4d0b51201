//! Who taps a connection sees what passes it, in both directions, and holds nobody up.

use wspulse::testing::TestClient;
use wspulse::{Connection, Direction, Frame, MessageKind, Tap, Tapped};

use crate::support::clients::{dial, named, numbers};
use crate::support::clock::settle;
use crate::support::house::{echo, open_house};
use crate::support::stage::Stage;

fn event(message: &Tapped) -> (Direction, String) {
    (message.direction(), message.decode().unwrap().event().to_owned())
}

/// All that waits.
fn seen(tap: &mut Tap) -> Vec<(Direction, String)> {
    std::iter::from_fn(|| tap.try_next()).map(|message| event(&message)).collect()
}

fn to_client(events: &[&str]) -> Vec<(Direction, String)> {
    events.iter().map(|event| (Direction::ToClient, (*event).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tap_sees_what_comes_and_what_goes_once_each_and_in_order() {
    let server = echo().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let mut tap = server.connection("ann").unwrap().tap(16);
    for number in 1..=2 {
        ann.send(&named(number)).await.unwrap();
        assert_eq!(ann.frame().await.unwrap(), named(number));
    }
    let both = |event: &str| {
        [Direction::FromClient, Direction::ToClient].map(|way| (way, event.to_owned()))
    };
    assert_eq!(seen(&mut tap), [both("1"), both("2")].concat());
}

#[tokio::test(start_paused = true)]
async fn a_tap_of_what_is_sent_sees_nothing_of_what_comes_also_beside_another_tap() {
    let server = echo().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let mut sent = server.connection("ann").unwrap().tap_sent(16);
    let mut both = server.connection("ann").unwrap().tap(16);
    ann.send(&named(1)).await.unwrap();
    assert_eq!(ann.frame().await.unwrap(), named(1));
    assert_eq!((seen(&mut sent), seen(&mut both).len()), (to_client(&["1"]), 2));
}

#[tokio::test(start_paused = true)]
async fn a_tap_tells_how_long_a_message_is() {
    let server = echo().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let mut tap = server.connection("ann").unwrap().tap(16);
    ann.send(&Frame::new("n")).await.unwrap();
    let (came, went) = (tap.next().await.unwrap(), tap.next().await.unwrap());
    assert_eq!((came.bytes(), went.bytes()), (r#"{"event":"n"}"#.len(), r#"{"event":"n"}"#.len()));
}

#[tokio::test(start_paused = true)]
async fn what_passes_other_connections_and_before_and_after_the_tap_is_not_seen() {
    let server = open_house().build().unwrap();
    let (mut ann, mut bob) = (dial(&server, "ann").await, dial(&server, "bob").await);
    let (connection, other) =
        (server.connection("ann").unwrap(), server.connection("bob").unwrap());
    connection.send(named(1)).unwrap();
    ann.frame().await.unwrap();
    let mut tap = connection.tap(16);
    settle().await;
    other.send(named(2)).unwrap();
    bob.frame().await.unwrap();
    connection.send(named(3)).unwrap();
    ann.frame().await.unwrap();
    settle().await;
    assert_eq!(seen(&mut tap), to_client(&["3"]));
    drop(tap);
    let mut another = connection.tap(16);
    connection.send(named(4)).unwrap();
    ann.frame().await.unwrap();
    assert_eq!(seen(&mut another), to_client(&["4"]));
}

#[tokio::test(start_paused = true)]
async fn messages_that_no_handler_wants_or_no_codec_reads_are_seen() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let mut tap = server.connection("ann").unwrap().tap(16);
    ann.write_message(MessageKind::Text, b"no frame").await.unwrap();
    let message = tap.next().await.unwrap();
    assert_eq!((message.direction(), message.bytes()), (Direction::FromClient, 8));
    assert!(message.decode().is_err());
}

#[tokio::test(start_paused = true)]
async fn of_more_than_there_is_room_for_the_oldest_are_left_out_and_counted() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let connection = server.connection("ann").unwrap();
    let mut tap = connection.tap(2);
    for number in 1..=5 {
        connection.send(named(number)).unwrap();
        ann.frame().await.unwrap();
    }
    let (first, second) = (tap.next().await.unwrap(), tap.next().await.unwrap());
    assert_eq!((event(&first).1.as_str(), first.left_out()), ("4", 3));
    assert_eq!((event(&second).1.as_str(), second.left_out()), ("5", 0));
    // One has room for one.
    let mut narrow = connection.tap(0);
    for number in 6..=7 {
        connection.send(named(number)).unwrap();
        ann.frame().await.unwrap();
    }
    let last = narrow.next().await.unwrap();
    assert_eq!((event(&last).1.as_str(), last.left_out()), ("7", 1));
}

#[tokio::test(start_paused = true)]
async fn a_tap_goes_on_after_a_resume_and_ends_with_the_connection() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    let mut tap = connection.tap(16);
    drop(ann);
    stage.dropped().await;
    connection.send(named(1)).unwrap();
    // It is seen when a socket takes it.
    settle().await;
    assert_eq!(seen(&mut tap), []);
    let (mut ann, _) = stage.rejoin("ann").await;
    ann.frame().await.unwrap();
    connection.send(named(2)).unwrap();
    connection.close();
    assert_eq!(event(&tap.next().await.unwrap()).1, "1");
    assert_eq!(event(&tap.next().await.unwrap()).1, "2");
    ann.closed().await.unwrap();
    assert!(tap.next().await.is_none());
    assert!(connection.tap(1).next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_member_of_a_large_room_is_seen_to_get_all_that_is_broadcast() {
    let server = open_house().build().unwrap();
    let mut clients = Vec::new();
    for number in 0..50 {
        clients.push(dial(&server, &number.to_string()).await);
    }
    settle().await;
    let tapped: Vec<Connection> = ["3", "49"].map(|id| server.connection(id).unwrap()).into();
    let mut taps: Vec<_> = tapped.iter().map(|connection| connection.tap(100)).collect();
    let all: Vec<usize> = (0..100).collect();
    for number in &all {
        server.broadcast("lobby", crate::support::clients::numbered(*number)).unwrap();
        if number % 7 == 0 {
            settle().await;
        }
    }
    for client in &mut clients {
        assert_eq!(numbers(client, 100).await, all);
    }
    for tap in &mut taps {
        let told: Vec<usize> = std::iter::from_fn(|| tap.try_next())
            .map(|message| message.decode().unwrap().to_json().unwrap())
            .collect();
        assert_eq!(told, all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tap_takes_no_message_from_its_handler() {
    // What looks like a reply is one only on a server that has asked.
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let _tap = connection.tap(1);
    let reply = Frame::new("reply").with_id("~srv.00000000.1");
    ann.send(&reply).await.unwrap();
    assert_eq!(stage.message().await, reply);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_tapped_connection_may_be_narrow() {
    let server = open_house().build().unwrap();
    let mut ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 8).await.unwrap();
    let connection = server.connection("ann").unwrap();
    let mut tap = connection.tap(16);
    for number in 1..=3 {
        connection.send(named(number)).unwrap();
    }
    settle().await;
    assert_eq!(seen(&mut tap), [], "no frame was taken whole");
    for number in 1..=3 {
        assert_eq!(ann.frame().await.unwrap(), named(number));
    }
    settle().await;
    assert_eq!(seen(&mut tap), to_client(&["1", "2", "3"]));
}
