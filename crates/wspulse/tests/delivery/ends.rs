//! At least once: an end waits for nobody.

use wspulse::{Delivery, Disconnect, NotAcknowledged};

use crate::support::clients::{number, numbered};
use crate::support::clock::{WINDOW, settle};
use crate::support::stage::Stage;

fn stage() -> Stage {
    Stage::new(|builder| builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce))
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_for_no_acknowledgement() {
    let mut stage = stage();
    let (mut ann, connection) = stage.join("ann").await;
    for n in 1..=200 {
        connection.send(numbered(n)).unwrap();
    }
    connection.close();
    for n in 1..=200 {
        assert_eq!(number(&ann.frame().await.unwrap()), n);
    }
    assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1000);
    settle().await;
    let stats = connection.outbound_stats();
    assert_eq!((stats.sent, stats.dropped, stats.unacknowledged), (200, 0, 0));
}

/// One frame may be on its way, and nobody says that it has arrived.
#[tokio::test(start_paused = true)]
async fn an_end_has_that_written_too_which_waits_for_an_acknowledgement() {
    let mut stage = Stage::new(|builder| {
        let builder = builder.resume_window(WINDOW).delivery(Delivery::AtLeastOnce);
        builder.delivery_window(1, 1 << 20)
    });
    let (mut ann, connection) = stage.join("ann").await;
    for n in 1..=3 {
        connection.send(numbered(n)).unwrap();
    }
    settle().await;
    connection.close();
    for n in 1..=3 {
        assert_eq!(number(&ann.frame().await.unwrap()), n);
    }
    assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1000);
    settle().await;
    let stats = connection.outbound_stats();
    assert_eq!((stats.sent, stats.dropped), (3, 0));
}

/// Its thread would never have come back.
#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_on_a_session_that_ends_is_let_go() {
    let mut stage = stage();
    let (ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    settle().await;
    connection.close();
    drop(ann);
    assert!(matches!(stage.disconnected().await, Disconnect::Closed));
    stage.server.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_with_the_end_is_not_told_to_have_arrived() {
    let mut stage = stage();
    let (ann, connection) = stage.join("ann").await;
    connection.send(numbered(1)).unwrap();
    settle().await;
    drop(ann);
    stage.dropped().await;
    connection.close();
    settle().await;
    assert_eq!(connection.acknowledged().await, Err(NotAcknowledged::Closed));
}
