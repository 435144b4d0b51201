//! After a shutdown no task is left, whatever its connections were at.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use wspulse::testing::request_parts;
use wspulse::{Admission, Frame, Server, ServerBuilder};

use crate::support::clients::{dial, dial_narrow, named};
use crate::support::clock::settle;
use crate::support::house::open_house;

const SECOND: Duration = Duration::from_secs(1);

fn resumable() -> ServerBuilder {
    open_house().resume_window(Duration::from_mins(1))
}

/// The test itself runs outside of any task.
fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Closes the server and checks that nothing is left of it; tells how long it took.
async fn close(server: &Server) -> Duration {
    let started = Instant::now();
    server.close().await;
    let took = started.elapsed();
    assert_eq!(alive(), 0, "tasks are left");
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
    took
}

#[tokio::test(start_paused = true)]
async fn a_server_without_connections_closes_at_once() {
    let server = open_house().build().unwrap();
    assert_eq!(close(&server).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connected_client_that_never_answers_is_given_up_at_the_drain_timeout() {
    let server = open_house().drain_timeout(3 * SECOND).build().unwrap();
    let _ann = dial(&server, "ann").await;
    settle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_connection_ends_at_once() {
    let server = resumable().build().unwrap();
    drop(dial(&server, "ann").await);
    settle().await;
    assert_eq!(close(&server).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_never_comes_about_is_given_up_at_the_drain_timeout() {
    let server = resumable().drain_timeout(3 * SECOND).build().unwrap();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let _accepted = handshake.admit(Admission::room("lobby").id("ann")).await.unwrap();
    settle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_resumption_that_never_comes_about_is_given_up_at_the_drain_timeout() {
    let server = resumable().drain_timeout(3 * SECOND).build().unwrap();
    drop(dial(&server, "ann").await);
    settle().await;
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let _accepted = handshake.admit(Admission::room("lobby").id("ann")).await.unwrap();
    settle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_stopped_is_given_up_at_the_drain_timeout() {
    let server = open_house().drain_timeout(3 * SECOND).build().unwrap();
    let _ann = dial_narrow(&server, "ann").await;
    settle().await;
    for number in 0..10 {
        server.send("ann", named(number)).unwrap();
    }
    settle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_never_returns_is_given_up_at_the_drain_timeout() {
    let server =
        open_house().drain_timeout(3 * SECOND).on_message(|_, _| pending::<()>()).build().unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&named(1)).await.unwrap();
    settle().await;
    drop(ann);
    settle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_that_is_not_answered_is_given_up_at_its_own_deadline() {
    let server = open_house().write_wait(2 * SECOND).build().unwrap();
    let _ann = dial(&server, "ann").await;
    settle().await;
    server.kick("ann").unwrap();
    settle().await;
    assert_eq!(close(&server).await, Duration::from_millis(1_999));
}

#[tokio::test(start_paused = true)]
async fn a_farewell_that_began_before_the_shutdown_is_given_up_at_the_drain_timeout() {
    let server = open_house().drain_timeout(3 * SECOND).build().unwrap();
    let _ann = dial(&server, "ann").await;
    settle().await;
    server.kick("ann").unwrap();
    settle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_began_before_the_shutdown_is_given_up_at_the_drain_timeout() {
    for begins_long_before in [true, false] {
        let server = open_house().drain_timeout(3 * SECOND).build().unwrap();
        let _ann = dial_narrow(&server, "ann").await;
        settle().await;
        server.send("ann", Frame::new("more than the stream holds")).unwrap();
        server.kick("ann").unwrap();
        if begins_long_before {
            settle().await;
        }
        assert_eq!(close(&server).await, 3 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_amid_everything_leaves_no_task() {
    let server = resumable()
        .on_message(|_, _| sleep(3600 * SECOND))
        .on_disconnect(|_, _| sleep(SECOND))
        .build()
        .unwrap();
    let mut kept = Vec::new();
    for number in 0..10 {
        let id = |state: &str| format!("{state}{number}");
        kept.push(dial(&server, &id("connected")).await);
        drop(dial(&server, &id("suspended")).await);
        let mut busy = dial(&server, &id("busy")).await;
        busy.send(&Frame::new("work")).await.unwrap();
        kept.push(busy);
        let stopped = dial_narrow(&server, &id("stopped")).await;
        settle().await;
        server.send(&id("stopped"), Frame::new("more than the stream holds")).unwrap();
        server.kick(&id("stopped")).unwrap();
        kept.push(stopped);
        kept.push(dial(&server, &id("kicked")).await);
        settle().await;
        server.kick(&id("kicked")).unwrap();
        kept.push(dial(&server, &id("replaced")).await);
        kept.push(dial(&server, &id("replaced")).await);
    }
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let accepted = handshake.admit(Admission::room("lobby").id("upgrading")).await.unwrap();
    settle().await;
    // Messages' callbacks are given up after 10 s, on_disconnect then takes its second.
    assert_eq!(close(&server).await, 11 * SECOND);
    drop((kept, accepted));
}

#[tokio::test(start_paused = true)]
async fn two_shutdowns_at_once_both_wait_for_the_same_end() {
    let server = open_house().drain_timeout(3 * SECOND).build().unwrap();
    let _ann = dial(&server, "ann").await;
    settle().await;
    let (first, second) = tokio::join!(close(&server), close(&server));
    assert_eq!((first, second), (3 * SECOND, 3 * SECOND));
    assert_eq!(close(&server).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn messages_behind_a_callback_that_is_given_up_are_given_up_with_it() {
    let server = open_house()
        .drain_timeout(3 * SECOND)
        .on_message(|_, _| pending::<()>())
        .on_disconnect(|_, _| sleep(SECOND))
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    for number in 0..5 {
        ann.send(&named(number)).await.unwrap();
    }
    drop(ann);
    settle().await;
    assert_eq!(close(&server).await, 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_last_callback_that_becomes_due_after_the_drain_timeout_has_its_time_all_the_same() {
    let called = Arc::new(AtomicUsize::new(0));
    let calls = Arc::clone(&called);
    let server = open_house()
        .drain_timeout(3 * SECOND)
        .on_message(|_, _| pending::<()>())
        .on_disconnect(move |_, _| {
            let calls = Arc::clone(&calls);
            async move {
                sleep(SECOND).await;
                calls.fetch_add(1, Ordering::Relaxed);
            }
        })
        .build()
        .unwrap();
    let mut old = dial(&server, "ann").await;
    old.send(&named(1)).await.unwrap();
    settle().await;
    // Its callbacks begin when those of the one that it replaces are over.
    let new = dial(&server, "ann").await;
    drop((old, new));
    settle().await;
    assert_eq!(close(&server).await, 5 * SECOND);
    assert_eq!(called.load(Ordering::Relaxed), 2);
}
