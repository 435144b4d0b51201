//! At least once, where a question is not answered on a transport that has answered none before: what
//! is on its way is taken for arrived only if the client is seen to live.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use wspulse::testing::Received;
use wspulse::{Connection, ConnectionState, Delivery, Frame};

use crate::support::clients::{Client, number, numbered};
use crate::support::clock::WINDOW;
use crate::support::stage::Stage;

const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(30);

fn stage() -> Stage {
    Stage::new(|builder| {
        builder.resume_window(WINDOW).heartbeat(PING, PONG).delivery(Delivery::AtLeastOnce)
    })
}

async fn speak(client: &mut Client) {
    client.send(&Frame::new("alive")).await.unwrap();
}

async fn acknowledged(connection: &Connection) -> (u64, u64) {
    sleep(Duration::from_millis(1)).await;
    let stats = connection.outbound_stats();
    (stats.sent, stats.unacknowledged)
}

/// Its last message comes behind the question, so that the question's time is over before that of
/// the silence, and what was on its way was lost without a word.
#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_right_after_it_was_asked_loses_no_frame() {
    let mut stage = stage();
    let (mut silent, connection) = stage.join("ann").await;
    for n in 1..=3 {
        connection.send(numbered(n)).unwrap();
    }
    sleep(Duration::from_millis(1_200)).await;
    speak(&mut silent).await;
    assert_eq!(stage.next().await.name(), "message");
    stage.dropped().await;
    let (mut ann, _) = stage.rejoin("ann").await;
    for n in 1..=3 {
        let frame = timeout(Duration::from_secs(1), ann.frame()).await;
        assert_eq!(number(&frame.expect("it was not acknowledged").unwrap()), n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_speaks_seldom_and_never_answers_is_kept_all_the_same() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    sleep(Duration::from_secs(14)).await;
    speak(&mut ann).await;
    // The question's time is over.
    sleep(Duration::from_secs(26)).await;
    assert_eq!(acknowledged(&connection).await, (1, 1), "it may be gone as well");
    speak(&mut ann).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(acknowledged(&connection).await, (1, 0), "nobody will ever know");
    assert_eq!(connection.state(), ConnectionState::Connected);
}

/// It is asked as much is on its way, and nothing else is written but a Pong.
#[tokio::test(start_paused = true)]
async fn a_question_that_is_written_beside_no_frame_names_those_before() {
    let mut stage = Stage::new(|builder| {
        let builder = builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce);
        builder.delivery_window(2, 1 << 20)
    });
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    ann.frame().await.unwrap();
    ann.ping(b"alive").await.unwrap();
    assert!(matches!(ann.receive().await.unwrap(), Received::Pong(_)));
    let Received::Ping(question) = ann.receive().await.unwrap() else { panic!("no question") };
    ann.pong(&question).await.unwrap();
    assert_eq!(acknowledged(&connection).await, (1, 0));
}
