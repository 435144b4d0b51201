//! What becomes of frames for which there is no room: what their sender says, or the server.

use wspulse::testing::{Received, Recorder};
use wspulse::{
    BroadcastError, CloseCode, Connection, Delivery, Disconnect, DisconnectReason, DropReason,
    KeyTooLong, OutboundStats, Outgoing, Overflow, SendError, ServerBuilder,
};

use crate::support::clients::{Client, hears_nothing, number, numbered, numbers};
use crate::support::clock::{WINDOW, settle};
use crate::support::house::open_house;
use crate::support::stage::Stage;

/// A client whose socket takes nothing more than a part of frame 0, and a buffer of so many frames.
async fn clogged(
    frames: usize,
    options: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Stage, Recorder, Client, Connection) {
    let recorder = Recorder::default();
    let mut stage =
        Stage::new(|builder| options(builder.send_buffer_size(frames)).metrics(recorder.clone()));
    let (ann, connection) = stage.join_narrow("ann", 8).await;
    connection.send(numbered(0)).unwrap();
    settle().await;
    (stage, recorder, ann, connection)
}

fn unchanged(builder: ServerBuilder) -> ServerBuilder {
    builder
}

fn keyed(number: usize) -> Outgoing {
    numbered(number).conflate("cursor:7")
}

/// Sends frames 1 and 2, after which a buffer of two is full.
fn fill(connection: &Connection) {
    connection.send(numbered(1)).unwrap();
    connection.send(numbered(2)).unwrap();
}

#[track_caller]
fn assert_balanced(connection: &Connection) -> OutboundStats {
    let stats = connection.outbound_stats();
    let sum = stats.sent + stats.dropped + stats.conflated + stats.pending;
    assert_eq!(stats.accepted, sum, "{stats:?}");
    stats
}

/// Reads until the close frame.
async fn closed(client: &mut Client) -> (Vec<usize>, (u16, String)) {
    let mut numbers = Vec::new();
    loop {
        match client.receive().await.expect("frames until a close") {
            Received::Message(_, payload) => {
                let text = String::from_utf8(payload.to_vec()).unwrap();
                let digits = text.rsplit(':').next().unwrap().trim_end_matches('}');
                numbers.push(digits.parse().unwrap());
            }
            Received::Close(Some(close)) => {
                return (numbers, (close.code().as_u16(), close.reason().to_owned()));
            }
            Received::Ping(_) | Received::Pong(_) => {}
            other @ (Received::Close(None) | Received::End) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_the_newest_frame_of_a_key_and_no_backlog() {
    let (stage, recorder, mut ann, connection) = clogged(4, unchanged).await;
    for number in 1..=1_000 {
        connection.send(keyed(number)).unwrap();
        let fan_out = stage.server.broadcast("lobby", numbered(number).conflate("another"));
        let fan_out = fan_out.unwrap();
        let replaced = usize::from(number > 1);
        assert_eq!((fan_out.reached, fan_out.conflated, fan_out.dropped), (1, replaced, 0));
    }
    let stats = assert_balanced(&connection);
    assert_eq!((stats.pending, stats.conflated, stats.dropped), (3, 2 * 999, 0));
    assert_eq!(recorder.only("frames_conflated").len(), 2 * 999);
    assert_eq!(numbers(&mut ann, 3).await, [0, 1_000, 1_000]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_frame_of_a_key_does_not_overtake_a_frame_without_one() {
    let (_stage, _, mut ann, connection) = clogged(4, unchanged).await;
    connection.send(keyed(1)).unwrap();
    connection.send(numbered(2)).unwrap();
    connection.send(keyed(3)).unwrap();
    assert_eq!(numbers(&mut ann, 3).await, [0, 2, 3]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn members_of_a_room_share_the_key_and_each_has_its_own_place_for_it() {
    let (mut stage, _, mut ann, slow) = clogged(4, unchanged).await;
    let (mut ben, _) = stage.join("ben").await;
    for number in 1..=3 {
        assert_eq!(stage.server.broadcast("lobby", keyed(number)).unwrap().reached, 2);
        assert_eq!(numbers(&mut ben, 1).await, [number]);
    }
    assert_eq!(assert_balanced(&slow).conflated, 2);
    assert_eq!(numbers(&mut ann, 2).await, [0, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_client_gets_the_newest_frame_of_a_key() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    for number in 1..=300 {
        connection.send(keyed(number)).unwrap();
    }
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 1).await, [300]);
    hears_nothing(&mut ann).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_too_long_is_refused_with_the_frame() {
    let mut stage = Stage::plain();
    let (_ann, connection) = stage.join("ann").await;
    let long = || numbered(1).conflate("k".repeat(256));
    let error = connection.send(long()).unwrap_err();
    let SendError::Encode { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.get_ref().downcast_ref(), Some(&KeyTooLong { bytes: 256 }));
    assert_eq!(number(&error.into_frame()), 1);
    let error = stage.server.broadcast("lobby", long()).unwrap_err();
    assert!(error.to_string().contains("256 bytes, but may have 255 at most"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_send_may_drop_the_oldest() {
    let (_stage, recorder, mut ann, connection) = clogged(2, unchanged).await;
    fill(&connection);
    assert!(matches!(connection.send(numbered(3)), Err(SendError::Full { .. })));
    connection.send(numbered(4).on_overflow(Overflow::DropOldest)).unwrap();
    assert_eq!(numbers(&mut ann, 3).await, [0, 2, 4]);
    assert_eq!(recorder.dropped(DropReason::Evicted), 1);
    assert_balanced(&connection);
}

#[tokio::test(start_paused = true)]
async fn a_send_to_a_suspended_client_may_be_refused() {
    let mut stage = Stage::new(|builder| builder.resume_window(WINDOW).send_buffer_size(1));
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    connection.send(numbered(1)).unwrap();
    let refused = connection.send(numbered(2).on_overflow(Overflow::Refuse));
    assert!(matches!(refused, Err(SendError::Full { .. })));
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_is_refused_is_dropped_for_the_slow_member_alone() {
    let (mut stage, recorder, mut ann, slow) = clogged(2, unchanged).await;
    let (mut ben, _) = stage.join("ben").await;
    fill(&slow);
    let frame = numbered(3).on_overflow(Overflow::Refuse);
    assert_eq!(stage.server.broadcast("lobby", frame).unwrap().reached, 1);
    assert_eq!(numbers(&mut ben, 1).await, [3]);
    assert_eq!(numbers(&mut ann, 3).await, [0, 1, 2]);
    hears_nothing(&mut ann).await;
    assert_eq!(recorder.dropped(DropReason::NoRoom), 1);
    assert_eq!(assert_balanced(&slow).dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_disconnected_by_a_broadcast_that_says_so() {
    let (mut stage, recorder, mut ann, slow) = clogged(2, unchanged).await;
    fill(&slow);
    let frame = numbered(3).on_overflow(Overflow::Disconnect);
    assert_eq!(stage.server.broadcast("lobby", frame).unwrap().reached, 0);
    assert!(matches!(slow.send(numbered(4)), Err(SendError::Closed { .. })));
    let (numbers, close) = closed(&mut ann).await;
    assert_eq!(numbers, [0, 1, 2], "what was accepted before is written");
    assert_eq!(close, (4408, "slow consumer".to_owned()));
    let end = stage.disconnected().await;
    assert!(
        matches!(&end, Disconnect::SlowConsumer(close) if close.code() == CloseCode::SLOW_CONSUMER)
    );
    assert_eq!(end.reason(), DisconnectReason::SlowConsumer);
    assert_eq!(end.to_string(), "its send buffer was full: 4408 (slow consumer)");
    assert!(!end.is_normal());
    assert_eq!(recorder.dropped(DropReason::SlowConsumer), 1);
    assert_eq!(assert_balanced(&slow).dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_disconnected_by_a_send_that_gives_its_frame_back() {
    let (mut stage, recorder, mut ann, slow) =
        clogged(2, |builder| builder.slow_consumer_close(CloseCode::TRY_AGAIN_LATER, "too slow"))
            .await;
    fill(&slow);
    let refused = slow.send(numbered(3).on_overflow(Overflow::Disconnect)).unwrap_err();
    assert!(matches!(refused, SendError::Full { .. }), "{refused}");
    assert_eq!(number(&refused.into_frame()), 3);
    assert_eq!(closed(&mut ann).await.1, (1013, "too slow".to_owned()));
    assert_eq!(stage.disconnected().await.reason(), DisconnectReason::SlowConsumer);
    assert_eq!(recorder.dropped(DropReason::Rejected), 1);
    assert_eq!(assert_balanced(&slow).dropped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_may_disconnect_slow_consumers_by_default_even_if_nobody_counts() {
    let mut stage =
        Stage::new(|builder| builder.send_buffer_size(1).overflow(Overflow::Disconnect));
    let (_ann, slow) = stage.join_narrow("ann", 8).await;
    slow.send(numbered(0)).unwrap();
    settle().await;
    slow.send(numbered(1)).unwrap();
    assert_eq!(stage.server.broadcast("lobby", numbered(2)).unwrap().reached, 0);
    assert!(stage.server.connection("ann").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_frame_overrides_the_default_of_its_server() {
    let (stage, _, mut ann, slow) =
        clogged(2, |builder| builder.overflow(Overflow::Disconnect)).await;
    fill(&slow);
    let frame = numbered(3).on_overflow(Overflow::DropOldest);
    assert_eq!(stage.server.broadcast("lobby", frame).unwrap().reached, 1);
    assert_eq!(numbers(&mut ann, 3).await, [0, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_volatile_frame_does_not_wait_for_a_suspended_client() {
    let recorder = Recorder::default();
    let mut stage = Stage::new(|builder| builder.resume_window(WINDOW).metrics(recorder.clone()));
    let (ann, connection) = stage.join_narrow("ann", 8).await;
    for number in 0..3 {
        connection.send(numbered(number)).unwrap();
        connection.send(numbered(10 + number).volatile()).unwrap();
    }
    settle().await;
    drop(ann);
    stage.dropped().await;
    assert_eq!(recorder.dropped(DropReason::Volatile), 3, "those that waited");
    connection.send(numbered(20).volatile()).unwrap();
    assert_eq!(stage.server.broadcast("lobby", numbered(21).volatile()).unwrap().reached, 0);
    assert_eq!(recorder.dropped(DropReason::Volatile), 5);
    assert_eq!(assert_balanced(&connection).dropped, 5);
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 3).await, [0, 1, 2]);
    connection.send(numbered(22).volatile()).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [22]);
}

#[tokio::test(start_paused = true)]
async fn a_volatile_frame_pushes_no_other_out_and_makes_room_for_any() {
    let (stage, recorder, mut ann, connection) = clogged(2, unchanged).await;
    connection.send(numbered(1).volatile()).unwrap();
    connection.send(numbered(2)).unwrap();
    connection.send(numbered(3).volatile()).unwrap();
    assert_eq!(stage.server.broadcast("lobby", numbered(4).volatile()).unwrap().reached, 0);
    assert_eq!(recorder.dropped(DropReason::Volatile), 2);
    connection.send(numbered(5)).unwrap();
    assert_eq!(recorder.dropped(DropReason::Evicted), 1);
    assert!(matches!(connection.send(numbered(6)), Err(SendError::Full { .. })));
    assert_eq!(numbers(&mut ann, 3).await, [0, 2, 5]);
    assert_balanced(&connection);
}

#[tokio::test(start_paused = true)]
async fn volatile_frames_do_not_end_a_session_whose_delivery_is_promised() {
    let (stage, _, mut ann, connection) =
        clogged(2, |builder| builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce)).await;
    for number in 1..=10 {
        stage.server.broadcast("lobby", numbered(number).volatile()).unwrap();
    }
    stage.server.broadcast("lobby", numbered(20)).unwrap();
    stage.server.broadcast("lobby", numbered(21)).unwrap();
    assert_balanced(&connection);
    assert_eq!(numbers(&mut ann, 3).await, [0, 20, 21]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_acknowledgement_of_a_volatile_frame_that_is_gone() {
    let mut stage =
        Stage::new(|builder| builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce));
    let (ann, connection) = stage.join_narrow("ann", 8).await;
    connection.send(numbered(1)).unwrap();
    connection.send(numbered(2).volatile()).unwrap();
    settle().await;
    let waiting = connection.clone();
    let waiting = tokio::spawn(async move { waiting.acknowledged().await });
    settle().await;
    drop(ann);
    stage.dropped().await;
    let (mut ann, _) = stage.rejoin("ann").await;
    assert_eq!(numbers(&mut ann, 1).await, [1]);
    tokio::spawn(async move {
        while let Ok(received) = ann.receive().await {
            if let Received::Ping(payload) = received {
                ann.pong(&payload).await.unwrap();
            }
        }
    });
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn conflation_is_no_hole_where_delivery_is_promised() {
    let (stage, _, mut ann, connection) =
        clogged(2, |builder| builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce)).await;
    for number in 1..=100 {
        stage.server.broadcast("lobby", keyed(number)).unwrap();
    }
    assert_eq!(numbers(&mut ann, 2).await, [0, 100]);
    settle().await;
    let stats = assert_balanced(&connection);
    assert_eq!((stats.sent, stats.conflated, stats.dropped), (2, 99, 0));
}

#[tokio::test(start_paused = true)]
async fn all_has_arrived_although_frames_were_replaced_even_after_the_end() {
    let (_stage, _, mut ann, connection) =
        clogged(2, |builder| builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce)).await;
    connection.send(keyed(1)).unwrap();
    connection.send(keyed(2)).unwrap();
    let reading = tokio::spawn(async move {
        while let Ok(received) = ann.receive().await {
            match received {
                Received::Ping(payload) => ann.pong(&payload).await.unwrap(),
                Received::Close(_) | Received::End => return,
                Received::Message(..) | Received::Pong(_) => {}
            }
        }
    });
    assert_eq!(connection.acknowledged().await, Ok(()));
    connection.close();
    assert_eq!(connection.acknowledged().await, Ok(()), "it had before");
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_promise_of_delivery_refuses_what_would_break_it() {
    let mut stage =
        Stage::new(|builder| builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce));
    let (mut ann, connection) = stage.join("ann").await;
    let error = connection.send(numbered(1).on_overflow(Overflow::DropOldest)).unwrap_err();
    let text = "wspulse: Overflow::DropOldest is not allowed where delivery is promised";
    assert_eq!(error.to_string(), text);
    assert_eq!(number(&error.into_frame()), 1);
    for overflow in [Overflow::DropOldest, Overflow::Refuse] {
        let error = stage.server.broadcast("lobby", numbered(2).on_overflow(overflow));
        let error = error.unwrap_err();
        assert!(matches!(error, BroadcastError::BreaksPromise { .. }), "{error}");
        assert_eq!(number(&error.into_frame()), 2);
    }
    connection.send(numbered(3).on_overflow(Overflow::Refuse)).unwrap();
    stage.server.broadcast("lobby", numbered(4).on_overflow(Overflow::Disconnect)).unwrap();
    assert_eq!(numbers(&mut ann, 2).await, [3, 4]);
}

#[tokio::test]
async fn options_of_overflow_that_cannot_be_are_named() {
    for overflow in [Overflow::DropOldest, Overflow::Refuse] {
        let promising = open_house().resume_window(WINDOW).delivery(Delivery::AtLeastOnce);
        let error = promising.overflow(overflow).build().unwrap_err();
        assert_eq!(error.option(), "overflow");
        assert_eq!(error.rule(), "a promise of delivery allows Disconnect alone");
        assert!(open_house().overflow(overflow).build().is_ok());
    }
    let close = |code| {
        let code = CloseCode::new(code).unwrap();
        open_house().slow_consumer_close(code, "").build().map(drop)
    };
    for code in [4000, 4408, 4999, 1013] {
        assert!(close(code).is_ok(), "{code}");
    }
    for code in [1000, 3999, 4410] {
        let error = close(code).unwrap_err();
        assert_eq!(error.option(), "slow_consumer_close");
        assert_eq!(error.rule(), "must be 4000 to 4999 but 4410, or 1013");
    }
}

#[tokio::test(start_paused = true)]
async fn all_queues_together_need_no_room_for_two_frames_of_a_key() {
    let (_stage, _, mut ann, connection) = clogged(8, |builder| builder.max_queued_bytes(64)).await;
    for number in 11..=99 {
        connection.send(keyed(number)).unwrap();
    }
    assert_eq!(numbers(&mut ann, 2).await, [0, 99]);
    settle().await;
    let stats = assert_balanced(&connection);
    assert_eq!((stats.sent, stats.conflated), (2, 88));
    // All of it is free again.
    connection.send(numbered(1)).unwrap();
    assert_eq!(numbers(&mut ann, 1).await, [1]);
}
