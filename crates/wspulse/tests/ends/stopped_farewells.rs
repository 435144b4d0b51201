//! A server that stood still while it took its leave of a client, or while it closed, goes on with
//! that: what was accepted is written, close frame included, and no time counts in which the server
//! did not run. A clock that is moved in one step is such a stop.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};
use wspulse::testing::Received;
use wspulse::{CloseCode, CloseFrame, ConnectionState, Server};

use crate::support::clients::{Client, dial, numbered, numbers};
use crate::support::clock::{TICK, WINDOW, settle};
use crate::support::house::open_house;
use crate::support::stage::Stage;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than the write wait.
const STOP: Duration = Duration::from_secs(35);
const DRAIN: Duration = Duration::from_mins(1);
/// How often the time is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// More than a stream of 16 bytes takes at once.
const LONG: &str = "a reason that is longer than what the socket takes at once";

const FRAMES: usize = 20;

/// A server that has this time to close, with a client whose stream takes 16 bytes at once and
/// whose connection has frames to write.
async fn busy(drain: Duration) -> (Server, Client) {
    let mut stage = Stage::new(|builder| builder.drain_timeout(drain));
    let (ann, connection) = stage.join_narrow("ann", 16).await;
    (0..FRAMES).for_each(|number| connection.send(numbered(number)).unwrap());
    settle().await;
    (stage.server, ann)
}

/// Starts to close; what can be done at once is done when it returns.
async fn close(server: &Server) -> JoinHandle<()> {
    let server = server.clone();
    let closing = tokio::spawn(async move { server.close().await });
    settle().await;
    closing
}

async fn assert_all_arrives(ann: &mut Client) {
    assert_eq!(numbers(ann, FRAMES).await, (0..FRAMES).collect::<Vec<_>>());
    let close = CloseFrame::new(CloseCode::GOING_AWAY, "server shutting down");
    assert_eq!(ann.receive().await.unwrap(), Received::Close(Some(close)));
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_that_is_half_written_is_finished() {
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join_narrow("ann", 16).await;
    let code = CloseCode::new(4001).unwrap();
    connection.close_with(code, LONG);
    settle().await;
    assert_eq!(connection.state(), ConnectionState::Closed);
    advance(STOP).await;
    settle().await;
    let close = ann.receive().await.unwrap();
    assert_eq!(close, Received::Close(Some(CloseFrame::new(code, LONG))));
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_farewell_does_not_count() {
    let mut stage = Stage::new(|builder| builder.write_wait(3 * 10 * SECOND));
    let (mut ann, connection) = stage.join_narrow("ann", 16).await;
    let code = CloseCode::new(4001).unwrap();
    connection.close_with(code, LONG);
    sleep(6 * SECOND).await;
    advance(20 * SECOND).await;
    sleep(15 * SECOND).await;
    let close = ann.receive().await.unwrap();
    assert_eq!(close, Received::Close(Some(CloseFrame::new(code, LONG))));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_waited_for_a_few_seconds_only() {
    let mut stage = Stage::plain();
    let (ann, connection) = stage.join_narrow("ann", 16).await;
    connection.close_with(CloseCode::new(4001).unwrap(), LONG);
    sleep(9 * SECOND).await;
    advance(STOP).await;
    sleep(LOOK + SECOND).await;
    let mut stream = ann.into_stream();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await.unwrap();
    assert!(rest.len() <= 16, "{}", rest.len());
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_before_a_close_arrives_although_the_server_stood_still() {
    let (server, mut ann) = busy(DRAIN).await;
    let closing = close(&server).await;
    advance(DRAIN + STOP).await;
    settle().await;
    assert_all_arrives(&mut ann).await;
    drop(ann);
    closing.await.unwrap();
}

/// Its farewell begins long after the deadline that was set at the close.
#[tokio::test(start_paused = true)]
async fn a_farewell_that_begins_after_the_stop_has_what_is_left_to_all() {
    let (server, mut ann) = busy(DRAIN).await;
    let closing = close(&server).await;
    sleep(6 * SECOND).await;
    advance(DRAIN + STOP).await;
    sleep(DRAIN / 3).await;
    // The session writes all but the last frames; their rest and the close frame are its farewell.
    assert_eq!(numbers(&mut ann, FRAMES - 1).await, (0..FRAMES - 1).collect::<Vec<_>>());
    sleep(DRAIN / 3).await;
    assert_eq!(numbers(&mut ann, 1).await, [FRAMES - 1]);
    assert!(matches!(ann.receive().await.unwrap(), Received::Close(Some(_))));
    drop(ann);
    closing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_a_stop_in_the_middle_of_a_close_a_few_seconds_count_at_the_most() {
    let (server, _ann) = busy(DRAIN).await;
    let begun_at = Instant::now();
    let closing = close(&server).await;
    sleep(DRAIN / 2).await;
    advance(STOP).await;
    closing.await.unwrap();
    let passed = begun_at.elapsed();
    assert!(passed <= DRAIN + STOP + 10 * TICK, "{passed:?}");
    assert!(passed + LOOK >= DRAIN + STOP, "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn many_stops_count_no_more_than_one_does() {
    let (server, mut ann) = busy(DRAIN).await;
    let closing = close(&server).await;
    for _ in 0..3 {
        advance(STOP).await;
        sleep(5 * SECOND).await;
    }
    assert_all_arrives(&mut ann).await;
    drop(ann);
    closing.await.unwrap();
}

/// It had its own deadline from its end, which a close makes earlier and a stop does not.
#[tokio::test(start_paused = true)]
async fn a_client_that_was_ended_before_the_close_gets_its_farewell_too() {
    let mut stage = Stage::new(|builder| builder.write_wait(3 * 10 * SECOND));
    let (mut ann, connection) = stage.join_narrow("ann", 16).await;
    let code = CloseCode::new(4001).unwrap();
    connection.close_with(code, LONG);
    settle().await;
    let closing = close(&stage.server).await;
    advance(STOP).await;
    settle().await;
    let close = ann.receive().await.unwrap();
    assert_eq!(close, Received::Close(Some(CloseFrame::new(code, LONG))));
    drop(ann);
    closing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_would_have_returned_in_time_is_not_cancelled() {
    let (go_on, returned) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, tell) = (Arc::clone(&go_on), Arc::clone(&returned));
    let server = open_house()
        .on_message(move |_, _| {
            let (wait, tell) = (Arc::clone(&wait), Arc::clone(&tell));
            async move {
                wait.notified().await;
                sleep(SECOND).await;
                tell.notify_one();
            }
        })
        .resume_window(WINDOW)
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(0)).await.unwrap();
    settle().await;
    let closing = close(&server).await;
    advance(STOP).await;
    settle().await;
    go_on.notify_one();
    tokio::time::timeout(2 * SECOND, returned.notified()).await.expect("it was not cancelled");
    drop(ann);
    closing.await.unwrap();
}

/// Its own blocks are no stops of the server, or closing would never end.
#[tokio::test(start_paused = true)]
async fn a_callback_that_holds_its_thread_again_and_again_is_cancelled() {
    let go_on = Arc::new(Notify::new());
    let wait = Arc::clone(&go_on);
    let server = open_house()
        .on_message(move |_, _| {
            let wait = Arc::clone(&wait);
            async move {
                wait.notified().await;
                poll_fn::<(), _>(|cx| {
                    // Its first poll moves the clock.
                    let _ = pin!(advance(10 * SECOND)).poll(cx);
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
            }
        })
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(0)).await.unwrap();
    settle().await;
    let begun_at = Instant::now();
    let closing = close(&server).await;
    go_on.notify_one();
    closing.await.unwrap();
    assert!(begun_at.elapsed() <= 2 * DRAIN, "{:?}", begun_at.elapsed());
}
