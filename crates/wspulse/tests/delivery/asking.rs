//! When a client is asked how far it has got.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wspulse::testing::Received;
use wspulse::{Connection, Delivery};

use crate::support::clients::{Client, numbered};
use crate::support::clock::WINDOW;
use crate::support::stage::Stage;

/// Its heartbeat is later than any question.
fn stage() -> Stage {
    Stage::new(|builder| {
        builder
            .resume_window(WINDOW)
            .heartbeat(Duration::from_mins(1), Duration::from_mins(3))
            .delivery(Delivery::AtLeastOnce)
    })
}

/// Sends a frame every 200 ms.
fn keep_sending(connection: &Connection) -> JoinHandle<()> {
    let connection = connection.clone();
    tokio::spawn(async move {
        for n in 1.. {
            connection.send(numbered(n)).unwrap();
            sleep(Duration::from_millis(200)).await;
        }
    })
}

/// How long it takes from now on until the next Ping.
async fn time_to_ping(client: &mut Client) -> Duration {
    let begun_at = Instant::now();
    while !matches!(client.receive().await.unwrap(), Received::Ping(_)) {}
    begun_at.elapsed()
}

#[tokio::test(start_paused = true)]
async fn while_frames_are_written_all_the_time_the_client_is_asked_after_sixteen_seconds() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    let sending = keep_sending(&connection);
    let passed = time_to_ping(&mut ann).await;
    assert!(passed.abs_diff(Duration::from_secs(16)) < Duration::from_millis(10), "{passed:?}");
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_is_asked_soon_after_the_last_of_some_frames() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    let sending = keep_sending(&connection);
    // The last is written at 0.8 s.
    sleep(Duration::from_millis(900)).await;
    sending.abort();
    // At 1 s more have been written than the first.
    let passed = time_to_ping(&mut ann).await;
    assert!(passed.abs_diff(Duration::from_millis(3100)) < Duration::from_millis(10), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn while_an_application_waits_for_an_acknowledgement_the_client_is_asked_each_second() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    let sending = keep_sending(&connection);
    sleep(Duration::from_millis(2500)).await;
    let receipt = tokio::spawn(async move { connection.acknowledged().await });
    let passed = time_to_ping(&mut ann).await;
    assert!(passed < Duration::from_millis(10), "{passed:?}");
    assert!(!receipt.is_finished());
    sending.abort();
}
