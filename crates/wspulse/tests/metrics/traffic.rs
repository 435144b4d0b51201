//! The hooks of messages and frames: received, broadcast, sent, dropped.

use std::time::Duration;

use wspulse::testing::{Recorder, masked};
use wspulse::{
    BufferLimit, Connection, DropReason, Frame, MessageKind, SendError, Server, ServerBuilder,
};

use crate::support::clients::{dial, dial_narrow, named};
use crate::support::clock::settle;
use crate::support::house::open_house;

const WINDOW: Duration = Duration::from_secs(30);

fn recorded(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Recorder) {
    let recorder = Recorder::default();
    let server = configure(open_house()).metrics(recorder.clone()).build().unwrap();
    (server, recorder)
}

/// The hooks agree with the connection's own account.
fn assert_accounted(connection: &Connection, recorder: &Recorder) {
    let stats = connection.outbound_stats();
    assert_eq!(stats.accepted, stats.sent + stats.dropped + stats.pending);
    let dropped = recorder.dropped(DropReason::Evicted) + recorder.dropped(DropReason::Ended);
    assert_eq!(stats.dropped, dropped);
    assert_eq!(stats.sent, recorder.sent());
}

#[tokio::test(start_paused = true)]
async fn a_message_is_counted_with_the_payload_of_all_its_fragments() {
    let (server, recorder) = recorded(|builder| builder.on_message(|_, _| ()));
    let mut ann = dial(&server, "ann").await;
    ann.write_raw(&masked(0x01, br#"{"event""#)).await.unwrap();
    settle().await;
    assert_eq!(recorder.only("message_received"), [""; 0]);
    ann.ping(b"between").await.unwrap();
    ann.write_raw(&masked(0x80, br#":"e"}"#)).await.unwrap();
    settle().await;
    assert_eq!(recorder.lines()[2..], ["message_received lobby 13"]);
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_message_is_counted_as_received_and_then_as_undecodable() {
    let (server, recorder) = recorded(|builder| builder.on_message(|_, _| ()));
    let mut ann = dial(&server, "ann").await;
    ann.write_message(MessageKind::Text, b"[1]").await.unwrap();
    settle().await;
    let expected = ["message_received lobby 3", "message_undecodable lobby ann 3"];
    assert_eq!(recorder.lines()[2..], expected);
    assert_eq!(server.connection_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_message_callback_messages_are_counted_and_not_decoded() {
    let (server, recorder) = recorded(|builder| builder);
    let mut ann = dial(&server, "ann").await;
    ann.write_message(MessageKind::Binary, b"no frame").await.unwrap();
    settle().await;
    assert_eq!(recorder.lines()[2..], ["message_received lobby 8"]);
}

#[tokio::test(start_paused = true)]
async fn an_oversize_message_is_not_counted_as_received() {
    let (server, recorder) = recorded(|builder| builder.max_message_size(10));
    let mut ann = dial(&server, "ann").await;
    ann.write_message(MessageKind::Text, &[b' '; 10]).await.unwrap();
    ann.write_message(MessageKind::Text, &[b' '; 11]).await.unwrap();
    assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1009);
    assert_eq!(recorder.only("message_received"), ["message_received lobby 10"]);
}

#[tokio::test(start_paused = true)]
async fn what_one_write_sends_is_counted_with_its_payload_and_what_still_waits() {
    let (server, recorder) = recorded(|builder| builder.send_buffer_size(8));
    let mut ann = dial(&server, "ann").await;
    for number in 1..=3 {
        server.send("ann", named(number)).unwrap();
    }
    assert_eq!(recorder.only("messages_sent"), [""; 0]);
    for number in 1..=3 {
        assert_eq!(ann.frame().await.unwrap(), named(number));
    }
    // Three of {"event":"1"}.
    assert_eq!(recorder.lines()[2..], ["messages_sent lobby ann 3 39, 0 of 8 wait"]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_sent_only_once_the_transport_has_all_of_it() {
    let (server, recorder) = recorded(|builder| builder);
    let mut ann = dial_narrow(&server, "ann").await;
    let frame = Frame::new("longer than the sixteen bytes that the stream holds");
    server.send("ann", frame.clone()).unwrap();
    settle().await;
    assert_eq!(recorder.only("messages_sent"), [""; 0]);
    assert_eq!(ann.frame().await.unwrap(), frame);
    settle().await;
    assert_eq!(recorder.only("messages_sent"), ["messages_sent lobby ann 1 63, 0 of 256 wait"]);
}

#[tokio::test(start_paused = true)]
async fn pings_and_close_frames_are_no_sent_messages() {
    let (server, recorder) = recorded(|builder| builder);
    let mut ann = dial(&server, "ann").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    server.kick("ann").unwrap();
    ann.closed().await.unwrap();
    assert_eq!(recorder.only("messages_sent"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_is_counted_with_the_members_that_it_was_offered_to() {
    let (server, recorder) = recorded(|builder| builder.resume_window(WINDOW));
    let _ann = dial(&server, "ann").await;
    drop(dial(&server, "bob").await);
    settle().await;
    server.broadcast("lobby", named(1)).unwrap();
    let ann = server.connection("ann").unwrap();
    server.broadcast_except("lobby", &ann, named(1)).unwrap();
    server.kick("bob").unwrap();
    server.broadcast("lobby", named(1)).unwrap();
    assert_eq!(
        recorder.only("message_broadcast"),
        [
            // Suspended members are members.
            "message_broadcast lobby 13 2",
            "message_broadcast lobby 13 1",
            "message_broadcast lobby 13 1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_counts_the_members_that_dropped_a_frame_for_it() {
    let (server, recorder) = recorded(|builder| builder.send_buffer_size(1));
    let _ann = dial(&server, "ann").await;
    server.broadcast("lobby", named(1)).unwrap();
    server.broadcast("lobby", named(2)).unwrap();
    assert_eq!(
        recorder.lines()[2..],
        [
            "message_broadcast lobby 13 1",
            "message_broadcast lobby 13 1",
            "frame_dropped lobby ann evicted",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_to_an_unknown_room_is_not_counted() {
    let (server, recorder) = recorded(|builder| builder);
    server.broadcast("nowhere", named(1)).unwrap();
    assert_eq!(recorder.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_send_to_a_full_buffer_is_counted_as_rejected() {
    let (server, recorder) = recorded(|builder| builder.send_buffer_size(2));
    let mut ann = dial(&server, "ann").await;
    let connection = server.connection("ann").unwrap();
    for number in 1..=2 {
        connection.send(named(number)).unwrap();
    }
    for number in 3..=5 {
        let refused = connection.send(named(number)).unwrap_err();
        assert!(matches!(
            refused,
            SendError::Full { limit: BufferLimit::Frames { capacity_frames: 2 }, .. }
        ));
    }
    assert_eq!(recorder.only("frame_dropped"), ["frame_dropped lobby ann rejected"; 3]);
    // What was rejected never entered the account.
    assert_eq!(connection.outbound_stats().accepted, 2);
    ann.frame().await.unwrap();
    ann.frame().await.unwrap();
    assert_accounted(&connection, &recorder);
}

#[tokio::test(start_paused = true)]
async fn each_frame_that_a_newer_one_pushes_out_is_counted_as_evicted() {
    let (server, recorder) = recorded(|builder| builder.send_buffer_size(2).resume_window(WINDOW));
    drop(dial(&server, "ann").await);
    settle().await;
    let connection = server.connection("ann").unwrap();
    for number in 1..=4 {
        connection.send(named(number)).unwrap();
        server.broadcast("lobby", named(number)).unwrap();
    }
    assert_eq!(recorder.only("frame_dropped"), ["frame_dropped lobby ann evicted"; 6]);
    let mut ann = dial(&server, "ann").await;
    assert_eq!(ann.frame().await.unwrap(), named(4));
    assert_eq!(ann.frame().await.unwrap(), named(4));
    settle().await;
    assert_accounted(&connection, &recorder);
}

#[tokio::test(start_paused = true)]
async fn frames_that_wait_at_the_end_are_counted_as_ended() {
    let (server, recorder) = recorded(|builder| builder.resume_window(WINDOW));
    drop(dial(&server, "ann").await);
    settle().await;
    let connection = server.connection("ann").unwrap();
    for number in 1..=3 {
        connection.send(named(number)).unwrap();
    }
    server.kick("ann").unwrap();
    settle().await;
    assert_eq!(recorder.only("frame_dropped"), ["frame_dropped lobby ann ended"; 3]);
    assert_eq!(connection.outbound_stats().dropped, 3);
    assert_accounted(&connection, &recorder);
}

#[tokio::test(start_paused = true)]
async fn frames_that_a_stopped_reader_never_takes_are_counted_as_ended_at_the_deadline() {
    let (server, recorder) = recorded(|builder| builder.send_buffer_size(8));
    let ann = dial_narrow(&server, "ann").await;
    settle().await;
    let connection = server.connection("ann").unwrap();
    for number in 0..20 {
        server.broadcast("lobby", named(number)).unwrap();
        settle().await;
    }
    connection.close();
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(ann);
    settle().await;
    let stats = connection.outbound_stats();
    assert_eq!((stats.accepted, stats.pending), (20, 0));
    assert!(recorder.dropped(DropReason::Evicted) > 0);
    assert!(recorder.dropped(DropReason::Ended) > 0);
    assert_accounted(&connection, &recorder);
}

#[test]
fn the_labels_of_drop_reasons_are_fixed() {
    let labels = DropReason::ALL.map(DropReason::as_str);
    assert_eq!(labels[..4], ["rejected", "evicted", "no_room", "ended"]);
    assert_eq!(labels[4..], ["undeliverable", "volatile", "slow_consumer"]);
}
