//! An answer to an older question is none to the one that is out.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use wspulse::testing::Received;
use wspulse::{ConnectionState, Delivery};

use crate::support::clients::numbered;
use crate::support::clock::WINDOW;
use crate::support::stage::Stage;

#[tokio::test(start_paused = true)]
async fn who_repeats_an_old_answer_loses_its_transport() {
    let mut stage =
        Stage::new(|builder| builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce));
    let (mut ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    let answer = loop {
        if let Received::Ping(payload) = ann.receive().await.unwrap() {
            break payload;
        }
    };
    ann.pong(&answer).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(connection.outbound_stats().unacknowledged, 0);
    connection.send(numbered(2)).unwrap();
    for _ in 0..60 {
        sleep(Duration::from_secs(5)).await;
        if ann.pong(&answer).await.is_err() {
            break;
        }
    }
    let waited = timeout(Duration::from_secs(1), connection.acknowledged()).await;
    assert_ne!(connection.state(), ConnectionState::Connected, "after 300 s: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_the_future_answers_nothing_while_nothing_is_on_its_way() {
    let mut stage =
        Stage::new(|builder| builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce));
    let (mut ann, connection) = stage.join("ann").await;
    let Received::Ping(payload) = ann.receive().await.unwrap() else { panic!("no Ping") };
    let mut future = payload.to_vec();
    *future.last_mut().unwrap() = 99;
    ann.pong(&future).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    connection.send(numbered(1)).unwrap();
    for _ in 0..12 {
        sleep(Duration::from_secs(5)).await;
        if ann.ping(b"alive").await.is_err() {
            break;
        }
    }
    assert_eq!(connection.state(), ConnectionState::Connected, "it has never answered");
}
