//! What is counted of a promise of delivery: what has arrived and how long that took, and what is
//! lost.

#![allow(clippy::wildcard_enum_match_arm, reason = "whatever else comes fails the test")]

use std::time::Duration;

use tokio::time::{sleep, timeout};
use wspulse::testing::{Received, Recorder, TestClient, request_parts};
use wspulse::{Connection, ConnectionState, Delivery, DuplicatePolicy, Frame, ServerBuilder};

use crate::support::clients::{Client, dial, numbered};
use crate::support::clock::{TICK, WINDOW, settle};
use crate::support::speaker::{Heard, Speaker, frame};
use crate::support::stage::Stage;

const ANN: &str = "/ws?id=ann";
const MS: Duration = Duration::from_millis(1);

fn stage(options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Stage, Recorder) {
    let recorder = Recorder::default();
    let stage = Stage::new(|builder| {
        options(builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce))
            .metrics(recorder.clone())
    });
    (stage, recorder)
}

/// The next Ping within this time, with whatever comes before it read away.
async fn question_within(client: &mut Client, time: Duration) -> Vec<u8> {
    let found = timeout(time, async {
        loop {
            match client.receive().await.unwrap() {
                Received::Ping(payload) => return payload.to_vec(),
                Received::Message(..) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    found.await.expect("a question")
}

async fn question(client: &mut Client) -> Vec<u8> {
    question_within(client, Duration::from_secs(2)).await
}

/// Answers, and lets the server hear it.
async fn answer(client: &mut Client, question: &[u8]) {
    client.pong(question).await.unwrap();
    settle().await;
}

/// The frames and the ages of all acknowledgements so far; the timers have a resolution of 1 ms.
fn acknowledged(recorder: &Recorder) -> Vec<(usize, Option<u64>)> {
    let lines = recorder.only("frames_acknowledged");
    let told = lines.iter().map(|line| {
        let words: Vec<_> = line.splitn(5, ' ').collect();
        assert_eq!(words[1..3], ["lobby", "ann"]);
        let age = words[4].strip_prefix("Some(").map(|age| age.trim_end_matches(')'));
        (words[3].parse().unwrap(), age.map(|age| age.parse().unwrap()))
    });
    told.collect()
}

#[track_caller]
fn assert_acknowledged(recorder: &Recorder, expected: &[(usize, u64)]) {
    let told = acknowledged(recorder);
    let frames = |told: &[(usize, u64)]| told.iter().map(|(frames, _)| *frames).collect::<Vec<_>>();
    let told: Vec<_> = told.iter().map(|(frames, age)| (*frames, age.expect("an age"))).collect();
    assert_eq!(frames(&told), frames(expected), "{told:?}");
    for ((_, age), (_, expected)) in told.iter().zip(expected) {
        assert!(age.abs_diff(*expected) <= 5, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_is_told_with_the_age_of_its_oldest_frame() {
    let (mut stage, recorder) = stage(|builder| builder);
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    sleep(500 * MS).await;
    connection.send(numbered(2)).unwrap();
    let asked = question_within(&mut ann, 5000 * MS).await;
    sleep(300 * MS).await;
    answer(&mut ann, &asked).await;
    // It is asked after 4 s instead of 1, as another came meanwhile.
    assert_acknowledged(&recorder, &[(2, 4300)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_written_behind_a_question_has_its_own_age() {
    let (mut stage, recorder) = stage(|builder| builder);
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    let asked = question(&mut ann).await;
    sleep(200 * MS).await;
    connection.send(numbered(2)).unwrap();
    sleep(300 * MS).await;
    answer(&mut ann, &asked).await;
    let asked = question(&mut ann).await;
    sleep(100 * MS).await;
    answer(&mut ann, &asked).await;
    assert_acknowledged(&recorder, &[(1, 1500), (1, 1100)]);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_asked_again_behind_newer_frames_has_two_ages() {
    let (mut stage, recorder) = stage(|builder| builder.heartbeat(10_000 * MS, 60_000 * MS));
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    let first = question(&mut ann).await;
    sleep(4000 * MS).await;
    connection.send(numbered(2)).unwrap();
    // The heartbeat's Ping, up to a thirtieth late.
    let second = question_within(&mut ann, 10_000 * MS).await;
    assert_ne!(first, second);
    let begun = tokio::time::Instant::now();
    answer(&mut ann, &first).await;
    let [(1, Some(age_of_first))] = acknowledged(&recorder)[..] else {
        panic!("{:?}", recorder.lines())
    };
    sleep(1000 * MS).await;
    answer(&mut ann, &second).await;
    let passed = u64::try_from(begun.elapsed().as_millis()).unwrap();
    assert_acknowledged(&recorder, &[(1, age_of_first), (1, age_of_first - 5000 + passed)]);
}

#[tokio::test(start_paused = true)]
async fn an_age_goes_on_over_a_suspension() {
    let (mut stage, recorder) = stage(|builder| builder);
    let (ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    settle().await;
    drop(ann);
    stage.dropped().await;
    sleep(5000 * MS).await;
    let mut ann = dial(&stage.server, "ann").await;
    let asked = question(&mut ann).await;
    answer(&mut ann, &asked).await;
    assert_acknowledged(&recorder, &[(1, 6000)]);
    // What comes after all of it is as young as it is.
    connection.send(numbered(2)).unwrap();
    let asked = question(&mut ann).await;
    answer(&mut ann, &asked).await;
    assert_acknowledged(&recorder, &[(1, 6000), (1, 1000)]);
}

#[tokio::test(start_paused = true)]
async fn a_count_in_the_handshake_is_an_acknowledgement() {
    let (mut stage, recorder) = stage(|builder| builder.delivery(Delivery::ExactlyOnce));
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.connected().await;
    connection.send(Frame::new("a")).unwrap();
    connection.send(Frame::new("b")).unwrap();
    assert_eq!(ann.hear().await, frame("a"));
    settle().await;
    drop(ann);
    stage.dropped().await;
    sleep(5000 * MS).await;
    let (mut ann, _) = Speaker::resume(&stage.server, ANN, &hello.token, 1).await;
    assert_acknowledged(&recorder, &[(1, 5000)]);
    assert_eq!(ann.hear().await, frame("b"));
    assert_eq!(ann.hear().await, Heard::Ask);
    ann.ack(2).await;
    settle().await;
    assert_acknowledged(&recorder, &[(1, 5000), (1, 6000)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_by_an_answer_to_nothing_nor_by_silence_nor_without_a_promise() {
    let (mut stage, recorder) = stage(|builder| builder);
    let (mut ann, connection) = stage.join("ann").await;
    let asked = question_within(&mut ann, 11_000 * MS).await;
    answer(&mut ann, &asked).await;
    assert_eq!(recorder.only("frames_acknowledged").len(), 0);
    assert_eq!(connection.outbound_stats().accepted, 0);

    let (mut stage, recorder) = self::stage(|builder| builder);
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    for _ in 0..40 {
        ann.send(&Frame::new("alive")).await.unwrap();
        sleep(1000 * MS).await;
    }
    assert_eq!(connection.outbound_stats().unacknowledged, 0, "it is presumed");
    assert_eq!(recorder.only("frames_acknowledged").len(), 0);

    let (mut stage, recorder) = self::stage(|builder| builder.delivery(Delivery::AtMostOnce));
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    let asked = question_within(&mut ann, 11_000 * MS).await;
    answer(&mut ann, &asked).await;
    assert_eq!(recorder.only("frames_acknowledged").len(), 0);
}

async fn suspended(stage: &mut Stage) -> Connection {
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    connection
}

fn lost(recorder: &Recorder) -> Vec<String> {
    recorder.only("frames_lost")
}

async fn is_told_of_the_gap(client: &mut Speaker) {
    let mut heard = client.hear().await;
    while let Heard::Ack(_) = heard {
        heard = client.hear().await;
    }
    let Heard::Closed(Some(close)) = heard else { panic!("{heard:?}") };
    assert_eq!(close.reason(), "frames lost");
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_cannot_be_kept_is_a_lost_frame_once() {
    let (mut stage, recorder) = stage(|builder| builder.send_buffer_size(2));
    let connection = suspended(&mut stage).await;
    for n in 1..=5 {
        connection.room().broadcast(numbered(n)).unwrap();
    }
    settle().await;
    assert_eq!(lost(&recorder), ["frames_lost lobby ann 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_lacks_what_is_no_longer_kept_has_lost_all_from_there_on() {
    let (mut stage, recorder) = stage(|builder| builder.delivery(Delivery::ExactlyOnce));
    let (mut ann, hello) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.connected().await;
    for name in ["a", "b", "c"] {
        connection.send(Frame::new(name)).unwrap();
        ann.hear().await;
    }
    assert_eq!(ann.hear().await, Heard::Ask);
    ann.ack(2).await;
    settle().await;
    drop(ann);
    stage.dropped().await;
    connection.send(Frame::new("d")).unwrap();
    // It had said that it has two.
    let mut ann = Speaker::come_back(&stage.server, ANN, &hello.token, 1).await;
    is_told_of_the_gap(&mut ann).await;
    settle().await;
    assert_eq!(lost(&recorder), ["frames_lost lobby ann 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_counts_too_many_has_lost_what_waits() {
    let (mut stage, recorder) = stage(|builder| builder.delivery(Delivery::ExactlyOnce));
    let (ann, hello) = Speaker::begin(&stage.server, ANN).await;
    let connection = stage.connected().await;
    drop(ann);
    stage.dropped().await;
    connection.send(Frame::new("a")).unwrap();
    let mut ann = Speaker::come_back(&stage.server, ANN, &hello.token, 7).await;
    is_told_of_the_gap(&mut ann).await;
    settle().await;
    assert_eq!(lost(&recorder), ["frames_lost lobby ann 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_behind_a_frame_that_no_transport_is_long_enough_for_is_lost_with_it() {
    let (mut stage, recorder) = stage(|builder| builder.duplicates(DuplicatePolicy::Resume));
    let (mut ann, connection) = stage.join_narrow("ann", 64).await;
    connection.send(numbered(1)).unwrap();
    connection.send(Frame::new("long").with_payload(format!("\"{}\"", "x".repeat(1000)))).unwrap();
    connection.send(numbered(3)).unwrap();
    connection.send(numbered(4)).unwrap();
    for loss in 1..=5 {
        // Each takes the first frame whole, as it is never acknowledged, and the next one in part.
        assert_eq!(ann.frame().await.unwrap().event(), "n");
        settle().await;
        if loss < 5 {
            drop(ann);
            stage.dropped().await;
            let narrow = TestClient::connect_with_capacity(&stage.server, ANN, 64).await;
            ann = narrow.expect("admitted");
            stage.restored().await;
        }
    }
    // Another transport is on its way as the last one breaks.
    let accepted = stage.server.handshake(request_parts(ANN)).unwrap().connect().await.unwrap();
    settle().await;
    drop(ann);
    settle().await;
    assert_eq!(connection.state(), ConnectionState::Closed);
    let (server_side, client_side) = tokio::io::duplex(4096);
    accepted.attach(server_side, &[]);
    let mut ann = TestClient::new(client_side);
    loop {
        match timeout(TICK * 100, ann.receive()).await.unwrap().unwrap() {
            // What came before the hole may come again.
            Received::Message(_, payload) => assert!(payload.ends_with(b"\"payload\":1}")),
            Received::Close(frame) => {
                assert_eq!(frame.unwrap().reason(), "frames lost");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lost(&recorder), ["frames_lost lobby ann 3"]);
}

#[tokio::test(start_paused = true)]
async fn an_end_of_the_applications_own_is_no_gap_and_nor_is_an_eviction_without_a_promise() {
    let (mut stage, recorder) = stage(|builder| builder);
    let connection = suspended(&mut stage).await;
    connection.send(numbered(1)).unwrap();
    connection.close();
    settle().await;
    assert_eq!(lost(&recorder), [""; 0]);

    let (mut stage, recorder) =
        self::stage(|builder| builder.delivery(Delivery::AtMostOnce).send_buffer_size(1));
    let connection = suspended(&mut stage).await;
    for n in 1..=5 {
        connection.room().broadcast(numbered(n)).unwrap();
    }
    settle().await;
    assert_eq!(lost(&recorder), [""; 0]);
}
