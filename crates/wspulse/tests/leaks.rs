//! After a shutdown no task is left, whatever its connections were at.

mod support_counts;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support_counts::{builder, idle, join, join_narrow, numbered};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use wspulse::testing::request_parts;
use wspulse::{Admission, Frame, Server, ServerBuilder};

const SECOND: Duration = Duration::from_secs(1);

fn resumable() -> ServerBuilder {
    builder().resume_window(Duration::from_mins(1))
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
    let server = builder().build().unwrap();
    assert_eq!(close(&server).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connected_client_that_never_answers_is_given_up_at_the_drain_timeout() {
    let server = builder().drain_timeout(3 * SECOND).build().unwrap();
    let _ann = join(&server, "ann").await;
    idle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_connection_ends_at_once() {
    let server = resumable().build().unwrap();
    drop(join(&server, "ann").await);
    idle().await;
    assert_eq!(close(&server).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_never_comes_about_is_given_up_at_the_drain_timeout() {
    let server = resumable().drain_timeout(3 * SECOND).build().unwrap();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let _accepted = handshake.admit(Admission::room("lobby").id("ann")).unwrap();
    idle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_resumption_that_never_comes_about_is_given_up_at_the_drain_timeout() {
    let server = resumable().drain_timeout(3 * SECOND).build().unwrap();
    drop(join(&server, "ann").await);
    idle().await;
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let _accepted = handshake.admit(Admission::room("lobby").id("ann")).unwrap();
    idle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_stopped_is_given_up_at_the_drain_timeout() {
    let server = builder().drain_timeout(3 * SECOND).build().unwrap();
    let _ann = join_narrow(&server, "ann").await;
    idle().await;
    for number in 0..10 {
        server.send("ann", numbered(number)).unwrap();
    }
    idle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_never_returns_is_given_up_at_the_drain_timeout() {
    let server =
        builder().drain_timeout(3 * SECOND).on_message(|_, _| pending::<()>()).build().unwrap();
    let mut ann = join(&server, "ann").await;
    ann.send(&numbered(1)).await.unwrap();
    idle().await;
    drop(ann);
    idle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_that_is_not_answered_is_given_up_at_its_own_deadline() {
    let server = builder().write_wait(2 * SECOND).build().unwrap();
    let _ann = join(&server, "ann").await;
    idle().await;
    server.kick("ann").unwrap();
    idle().await;
    assert_eq!(close(&server).await, Duration::from_millis(1_999));
}

#[tokio::test(start_paused = true)]
async fn a_farewell_that_began_before_the_shutdown_is_given_up_at_the_drain_timeout() {
    let server = builder().drain_timeout(3 * SECOND).build().unwrap();
    let _ann = join(&server, "ann").await;
    idle().await;
    server.kick("ann").unwrap();
    idle().await;
    assert_eq!(close(&server).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_began_before_the_shutdown_is_given_up_at_the_drain_timeout() {
    for begins_long_before in [true, false] {
        let server = builder().drain_timeout(3 * SECOND).build().unwrap();
        let _ann = join_narrow(&server, "ann").await;
        idle().await;
        server.send("ann", Frame::new("more than the stream holds")).unwrap();
        server.kick("ann").unwrap();
        if begins_long_before {
            idle().await;
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
        kept.push(join(&server, &id("connected")).await);
        drop(join(&server, &id("suspended")).await);
        let mut busy = join(&server, &id("busy")).await;
        busy.send(&Frame::new("work")).await.unwrap();
        kept.push(busy);
        let stopped = join_narrow(&server, &id("stopped")).await;
        idle().await;
        server.send(&id("stopped"), Frame::new("more than the stream holds")).unwrap();
        server.kick(&id("stopped")).unwrap();
        kept.push(stopped);
        kept.push(join(&server, &id("kicked")).await);
        idle().await;
        server.kick(&id("kicked")).unwrap();
        kept.push(join(&server, &id("replaced")).await);
        kept.push(join(&server, &id("replaced")).await);
    }
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let accepted = handshake.admit(Admission::room("lobby").id("upgrading")).unwrap();
    idle().await;
    // Messages' callbacks are given up after 10 s, on_disconnect then takes its second.
    assert_eq!(close(&server).await, 11 * SECOND);
    drop((kept, accepted));
}

#[tokio::test(start_paused = true)]
async fn two_shutdowns_at_once_both_wait_for_the_same_end() {
    let server = builder().drain_timeout(3 * SECOND).build().unwrap();
    let _ann = join(&server, "ann").await;
    idle().await;
    let (first, second) = tokio::join!(close(&server), close(&server));
    assert_eq!((first, second), (3 * SECOND, 3 * SECOND));
    assert_eq!(close(&server).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn messages_behind_a_callback_that_is_given_up_are_given_up_with_it() {
    let server = builder()
        .drain_timeout(3 * SECOND)
        .on_message(|_, _| pending::<()>())
        .on_disconnect(|_, _| sleep(SECOND))
        .build()
        .unwrap();
    let mut ann = join(&server, "ann").await;
    for number in 0..5 {
        ann.send(&numbered(number)).await.unwrap();
    }
    drop(ann);
    idle().await;
    assert_eq!(close(&server).await, 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_last_callback_that_becomes_due_after_the_drain_timeout_has_its_time_all_the_same() {
    let called = Arc::new(AtomicUsize::new(0));
    let calls = Arc::clone(&called);
    let server = builder()
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
    let mut old = join(&server, "ann").await;
    old.send(&numbered(1)).await.unwrap();
    idle().await;
    // Its callbacks begin when those of the one that it replaces are over.
    let new = join(&server, "ann").await;
    drop((old, new));
    idle().await;
    assert_eq!(close(&server).await, 5 * SECOND);
    assert_eq!(called.load(Ordering::Relaxed), 2);
}
