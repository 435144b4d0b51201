//! Whoever joins a room that keeps what it is told gets that first, without a gap and without a double.

use std::time::Duration;

use serde_json::json;
use tokio::time::advance;
use wspulse::codec::MessagePackCodec;
use wspulse::testing::Received;
use wspulse::{Connection, RoomOptions, ServerBuilder};

use crate::support::clients::{dial, hears_nothing, numbered, numbers};
use crate::support::clock::WINDOW;
use crate::support::codecs::{Encoded, MSGPACK, Member};
use crate::support::house::open_house;
use crate::support::speaker::{JSON, configured};
use crate::support::stage::Stage;

const AGE: Duration = Duration::from_mins(5);

/// A server whose rooms keep so many frames.
fn keeping(frames: usize) -> impl FnOnce(ServerBuilder) -> ServerBuilder {
    move |builder| builder.room_options(move |_| RoomOptions::new().history(frames, AGE))
}

fn tell(from: &Connection, room: &str, told: impl IntoIterator<Item = usize>) {
    for number in told {
        from.server().broadcast(room, numbered(number)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_to_its_home_room_hears_the_last_frames_and_then_what_is_live() {
    let mut stage = Stage::new(keeping(3));
    let (_ann, first) = stage.join("ann").await;
    tell(&first, "lobby", 1..=5);
    let (mut bob, _) = stage.join("bob").await;
    tell(&first, "lobby", 6..=7);
    assert_eq!(numbers(&mut bob, 5).await, [3, 4, 5, 6, 7]);
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_further_room_hears_what_it_was_told() {
    let mut stage = Stage::new(keeping(3));
    let (_ann, first) = stage.join("ann").await;
    first.join("attic").unwrap();
    tell(&first, "attic", 1..=2);
    let (mut bob, second) = stage.join("bob").await;
    second.join("attic").unwrap();
    second.join("attic").unwrap();
    assert_eq!(numbers(&mut bob, 2).await, [1, 2]);
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn what_an_audience_is_told_is_in_the_history_of_each_of_its_rooms() {
    let mut stage = Stage::new(keeping(3));
    let (_ann, first) = stage.join("ann").await;
    first.join("attic").unwrap();
    stage.server.to(["lobby", "attic"]).broadcast(numbered(1)).unwrap();
    stage.server.broadcast_all(numbered(2)).unwrap();
    let (mut bob, second) = stage.join("bob").await;
    assert_eq!(numbers(&mut bob, 1).await, [1]);
    second.join("attic").unwrap();
    assert_eq!(numbers(&mut bob, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_room_keeps_nothing_unless_the_rule_says_so() {
    let mut stage = Stage::new(|builder| {
        builder.room_options(|room| match room {
            "attic" => RoomOptions::new().history(3, AGE),
            _ => RoomOptions::new(),
        })
    });
    let (_ann, first) = stage.join("ann").await;
    tell(&first, "lobby", [1]);
    let (mut bob, _) = stage.join("bob").await;
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_forgotten_at_its_age() {
    let mut stage = Stage::new(|builder| keeping(3)(builder).resume_window(WINDOW));
    let (_ann, first) = stage.join("ann").await;
    tell(&first, "lobby", [1]);
    advance(Duration::from_secs(1)).await;
    tell(&first, "lobby", [2]);
    advance(AGE.checked_sub(Duration::from_secs(1)).unwrap()).await;
    let mut bob = dial(&stage.server, "bob").await;
    assert_eq!(numbers(&mut bob, 1).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_history_is_gone_with_the_last_member_of_its_room() {
    let mut stage = Stage::new(keeping(3));
    let (_ann, first) = stage.join("ann").await;
    let handle = first.room();
    tell(&first, "lobby", [1]);
    assert!(first.leave("lobby"));
    handle.broadcast(numbered(2)).unwrap();
    let (mut bob, _) = stage.join("bob").await;
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_comes_back_hears_what_it_missed_and_no_history() {
    let mut stage = Stage::new(|builder| keeping(3)(builder).resume_window(WINDOW));
    let (mut ann, first) = stage.join("ann").await;
    tell(&first, "lobby", [1]);
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    drop(ann);
    stage.dropped().await;
    tell(&first, "lobby", [2]);
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 1).await, [2]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_of_a_history_is_given_than_a_send_buffer_has_room_for() {
    let mut stage = Stage::new(|builder| keeping(10)(builder).send_buffer_size(2));
    let (mut ann, first) = stage.join("ann").await;
    for number in 1..=5 {
        tell(&first, "lobby", [number]);
        assert_eq!(numbers(&mut ann, 1).await, [number]);
    }
    let (mut bob, second) = stage.join("bob").await;
    assert_eq!(numbers(&mut bob, 2).await, [4, 5]);
    assert_eq!((second.outbound_stats().accepted, second.outbound_stats().dropped), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_histories_of_all_rooms_hold_no_more_bytes_than_they_may() {
    // {"event":"n","payload":1} and two bytes before it.
    let mut stage = Stage::new(|builder| keeping(10)(builder).max_history_bytes(3 * 27));
    let (_ann, first) = stage.join("ann").await;
    first.join("attic").unwrap();
    tell(&first, "attic", [1]);
    tell(&first, "lobby", 2..=5);
    let (mut bob, second) = stage.join("bob").await;
    assert_eq!(numbers(&mut bob, 2).await, [4, 5]);
    second.join("attic").unwrap();
    assert_eq!(numbers(&mut bob, 1).await, [1]);
    // What ends makes room for others.
    first.leave("attic");
    second.leave("attic");
    tell(&first, "lobby", [6]);
    let (mut eve, _) = stage.join("eve").await;
    assert_eq!(numbers(&mut eve, 3).await, [4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_larger_than_all_histories_may_be_leaves_no_gap() {
    let mut stage = Stage::new(|builder| keeping(10)(builder).max_history_bytes(3 * 27));
    let (_ann, first) = stage.join("ann").await;
    tell(&first, "lobby", [1]);
    let large = wspulse::Frame::new("n").json(&"x".repeat(100)).unwrap();
    stage.server.broadcast("lobby", large).unwrap();
    tell(&first, "lobby", [3]);
    let (mut bob, _) = stage.join("bob").await;
    assert_eq!(numbers(&mut bob, 1).await, [3]);
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn where_a_history_begins_and_ends_is_announced_to_who_wants_it() {
    let options = |builder| keeping(3)(builder).announce_history(true);
    let mut stage = Stage::new(options);
    let (mut ann, first) = stage.join("ann").await;
    for _ in 0..2 {
        assert_eq!(ann.frame().await.unwrap().event(), "history");
    }
    tell(&first, "lobby", [1]);
    let (mut bob, _) = stage.join("bob").await;
    let begin = bob.frame().await.unwrap();
    assert_eq!(&begin.payload()[..], br#"{"room":"lobby","history":"begin"}"#);
    assert_eq!(numbers(&mut bob, 1).await, [1]);
    let end: serde_json::Value = bob.frame().await.unwrap().to_json().unwrap();
    assert_eq!(end, json!({"room": "lobby", "history": "end"}));
}

#[tokio::test(start_paused = true)]
async fn who_has_another_codec_than_those_before_hears_the_history_in_its_own() {
    let encoded = Encoded::default();
    let server = encoded.server(keeping(3)(open_house())).build().unwrap();
    let (mut ann, _) = Member::join(&server, JSON, "ann").await;
    server.broadcast("lobby", numbered(1)).unwrap();
    assert_eq!(ann.heard().await, ("n".to_owned(), json!(1)));
    assert_eq!(encoded.take(), (1, 0));
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    assert_eq!(bob.heard().await, ("n".to_owned(), json!(1)));
    let (mut eve, _) = Member::join(&server, MSGPACK, "eve").await;
    assert_eq!(eve.heard().await, ("n".to_owned(), json!(1)));
    assert_eq!(encoded.take(), (0, 1), "it is encoded once for all of a codec");
    server.broadcast("lobby", numbered(2)).unwrap();
    assert_eq!(bob.heard().await, ("n".to_owned(), json!(2)));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_panics_leaves_its_room_without_a_history() {
    let mut stage = Stage::new(|builder| builder.room_options(|room| panic!("{room}")));
    let (_ann, first) = stage.join("ann").await;
    tell(&first, "lobby", [1]);
    let (mut bob, _) = stage.join("bob").await;
    hears_nothing(&mut bob).await;
}

#[test]
fn the_bounds_of_histories_are_checked() {
    for (builder, option) in [
        (open_house().max_history_bytes(0), "max_history_bytes"),
        (open_house().history_event(""), "history_event"),
        (open_house().history_event("x".repeat(129)), "history_event"),
    ] {
        assert_eq!(builder.build().unwrap_err().option(), option);
    }
    assert!(open_house().max_history_bytes(1).history_event("x".repeat(128)).build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn of_frames_with_one_key_the_newest_is_kept_and_none_that_is_volatile() {
    let mut stage = Stage::new(keeping(10));
    let (_ann, first) = stage.join("ann").await;
    let room = first.room();
    room.broadcast(numbered(1).conflate("cursor")).unwrap();
    room.broadcast(numbered(2)).unwrap();
    room.broadcast(numbered(3).volatile()).unwrap();
    room.broadcast(numbered(4).conflate("cursor")).unwrap();
    let (mut bob, _) = stage.join("bob").await;
    assert_eq!(numbers(&mut bob, 2).await, [2, 4]);
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_frame_takes_the_place_of_the_one_that_a_history_brought() {
    let mut stage = Stage::new(keeping(10));
    let (_ann, first) = stage.join("ann").await;
    first.join("attic").unwrap();
    let attic = stage.server.room("attic");
    attic.broadcast(numbered(1).conflate("cursor")).unwrap();
    attic.broadcast(numbered(2).conflate("price")).unwrap();
    let (mut bob, second) = stage.join("bob").await;
    second.join("attic").unwrap();
    attic.broadcast(numbered(3).conflate("cursor")).unwrap();
    assert_eq!(numbers(&mut bob, 2).await, [3, 2]);
    let stats = second.outbound_stats();
    assert_eq!((stats.accepted, stats.sent, stats.conflated), (3, 2, 1));
    hears_nothing(&mut bob).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_encoded_late_is_marked_as_when_it_was_told() {
    let builder = configured(keeping(10)(open_house())).name_rooms(true);
    let server = builder.also_codec(MessagePackCodec).build().unwrap();
    let (_ann, _) = Member::join(&server, MSGPACK, "ann").await;
    let ann = server.connection("ann").unwrap();
    ann.join("attic").unwrap();
    let attic = server.room("attic");
    // Nobody gets the first two, so nobody has encoded them.
    for number in 1..=2 {
        let cursor = numbered(number).conflate("cursor");
        server.broadcast_except("attic", &ann, cursor).unwrap();
    }
    attic.broadcast(numbered(3).conflate("price")).unwrap();
    let (mut bob, _) = Member::join(&server, JSON, "bob").await;
    server.connection("bob").unwrap().join("attic").unwrap();
    attic.broadcast(numbered(4).conflate("price")).unwrap();
    for number in [2, 4] {
        let received = bob.speaker.client.receive().await.unwrap();
        let Received::Message(_, text) = received else { panic!("{received:?} came") };
        let told: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(told, json!({"event": "n", "payload": number, "room": "attic"}));
    }
    hears_nothing(&mut bob.speaker.client).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_only_member_says_to_the_others_is_kept_for_who_comes() {
    let encoded = Encoded::default();
    let server = encoded.server(keeping(3)(open_house())).build().unwrap();
    let (_ann, _) = Member::join(&server, JSON, "ann").await;
    let ann = server.connection("ann").unwrap();
    server.broadcast_except("lobby", &ann, numbered(1)).unwrap();
    let (mut bob, _) = Member::join(&server, MSGPACK, "bob").await;
    assert_eq!(bob.heard().await, ("n".to_owned(), json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_too_long_is_refused_also_where_nobody_is_there_to_hear_the_frame() {
    let encoded = Encoded::default();
    let server = encoded.server(keeping(3)(open_house())).build().unwrap();
    let (_ann, _) = Member::join(&server, JSON, "ann").await;
    let ann = server.connection("ann").unwrap();
    let long = || numbered(1).conflate("k".repeat(256));
    let error = server.broadcast_except("lobby", &ann, long()).unwrap_err();
    assert!(error.to_string().contains("256 bytes, but may have 255 at most"), "{error}");
    let error = server.broadcast("nowhere", long()).unwrap_err();
    assert_eq!(error.into_frame(), numbered(1));
}

#[tokio::test(start_paused = true)]
async fn what_an_audience_was_told_without_the_only_member_is_kept() {
    let mut stage = Stage::new(keeping(3));
    let (_ann, connection) = stage.join("ann").await;
    stage.server.to(["lobby"]).except(&connection).broadcast(numbered(1)).unwrap();
    let (mut bob, _) = stage.join("bob").await;
    assert_eq!(numbers(&mut bob, 1).await, [1]);
}
