//! A callback that holds its thread is told of, by its name and its event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use axum::Router;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::time::sleep;
use wspulse::metrics::CallbackBlocked;
use wspulse::testing::{TestClient, masked, request_head};
use wspulse::{Admission, Frame, MetricsCollector, Rejection, Server, ServerBuilder};

use crate::support::clock::settle;
use crate::support::listener::serve_in_memory;

/// More than the 100 ms that a callback may take. It sleeps where it must not: that is what is told.
const TOO_LONG: Duration = Duration::from_millis(130);

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl MetricsCollector for Told {
    fn callback_blocked(&self, blocked: &CallbackBlocked<'_>) {
        let &CallbackBlocked { room, id, callback, event, held, calls, .. } = blocked;
        assert!(held >= TOO_LONG, "{held:?}");
        self.0.lock().push(format!("{room} {id} {callback} {event:?} {calls}"));
    }
}

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

fn builder(told: &Told) -> ServerBuilder {
    Server::builder_sync(|_| Ok(Admission::room("lobby").id("ann"))).metrics(told.clone())
}

fn block_if_slow(frame: &Frame) {
    if frame.event().starts_with("slow") {
        thread::sleep(TOO_LONG);
    }
}

async fn send_at_once(client: &mut TestClient<DuplexStream>, events: &[&str]) {
    let mut bytes = Vec::new();
    for event in events {
        let message = format!(r#"{{"event":"{event}"}}"#);
        bytes.extend(masked(0x81, message.as_bytes()));
    }
    client.write_raw(&bytes).await.unwrap();
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_plain_callback_that_holds_its_thread_is_told_with_its_event() {
    let told = Told::default();
    let server = builder(&told).on_message(|_, frame| block_if_slow(&frame)).build().unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    send_at_once(&mut ann, &["slow"]).await;
    assert_eq!(told.take(), ["lobby ann on_message \"slow\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn an_async_callback_that_holds_its_thread_is_told_at_whichever_poll() {
    let told = Told::default();
    let server = builder(&told)
        .on_message(|_, frame| async move {
            tokio::task::yield_now().await;
            block_if_slow(&frame);
            tokio::task::yield_now().await;
        })
        .build()
        .unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    send_at_once(&mut ann, &["slow/async"]).await;
    assert_eq!(told.take(), ["lobby ann on_message \"slow/async\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_awaits_is_not_told_however_long_it_takes() {
    let told = Told::default();
    let server = builder(&told)
        .on_message(|conn, frame| async move {
            sleep(Duration::from_mins(1)).await;
            conn.send(frame).unwrap();
        })
        .build()
        .unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    ann.send(&Frame::new("patient")).await.unwrap();
    assert_eq!(ann.frame().await.unwrap().event(), "patient");
    assert!(told.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn callbacks_without_a_frame_are_told_without_an_event() {
    let told = Told::default();
    let server = builder(&told)
        .on_connect(|_| thread::sleep(TOO_LONG))
        .on_disconnect(|_, _| async { thread::sleep(TOO_LONG) })
        .build()
        .unwrap();
    let _ann = TestClient::connect(&server, "/ws").await.unwrap();
    settle().await;
    server.kick("ann").unwrap();
    settle().await;
    assert_eq!(told.take(), ["lobby ann on_connect \"\" 1", "lobby ann on_disconnect \"\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_message_among_quick_ones_is_told_and_by_its_name_when_it_comes_again() {
    let told = Told::default();
    let server = builder(&told).on_message(|_, frame| block_if_slow(&frame)).build().unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    send_at_once(&mut ann, &["a", "b", "slow", "c"]).await;
    assert_eq!(told.take(), ["lobby ann on_message \"\" 3"]);
    send_at_once(&mut ann, &["a", "b", "slow", "c"]).await;
    assert_eq!(told.take(), ["lobby ann on_message \"slow\" 1"]);
}

/// What a panic takes, which is long where symbols are read for its stack, is no callback's own.
fn panic_slowly() {
    thread::sleep(TOO_LONG);
    panic!("boom");
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_is_not_told_whether_measured_by_itself_or_with_others() {
    let told = Told::default();
    let on_message = |_, frame: Frame| {
        if frame.event() == "panic" {
            panic_slowly();
        }
    };
    let server = builder(&told).on_message(on_message).build().unwrap();
    for events in [&["panic"][..], &["a", "b", "panic"]] {
        let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
        send_at_once(&mut ann, events).await;
        assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1011);
        assert_eq!(told.take(), [""; 0], "{events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_async_callback_and_a_connect_function_that_panic_are_not_told() {
    let told = Told::default();
    let connect = |request: wspulse::ConnectRequest| async move {
        if request.query("id").is_some() {
            panic_slowly();
        }
        Ok::<_, Rejection>(Admission::room("lobby").id("ann"))
    };
    let on_message = |_, _| async {
        tokio::task::yield_now().await;
        panic_slowly();
    };
    let server = Server::builder(connect).metrics(told.clone()).on_message(on_message);
    let server = server.build().unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    send_at_once(&mut ann, &["panic"]).await;
    assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1011);
    assert!(TestClient::connect(&server, "/ws?id=bad").await.is_err());
    assert_eq!(told.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_long_event_name_is_told_by_its_beginning() {
    let told = Told::default();
    let server = builder(&told).on_message(|_, frame| block_if_slow(&frame)).build().unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    send_at_once(&mut ann, &[&format!("slow{}", "é".repeat(100))]).await;
    assert_eq!(told.take(), [format!("lobby ann on_message \"slow{}\" 1", "é".repeat(29))]);
}

#[tokio::test(start_paused = true)]
async fn the_second_of_two_messages_is_named_when_it_comes_again() {
    let told = Told::default();
    let server = builder(&told).on_message(|_, frame| block_if_slow(&frame)).build().unwrap();
    let mut ann = TestClient::connect(&server, "/ws").await.unwrap();
    send_at_once(&mut ann, &["a", "slow"]).await;
    assert_eq!(told.take(), ["lobby ann on_message \"\" 1"]);
    send_at_once(&mut ann, &["a", "slow"]).await;
    assert_eq!(told.take(), ["lobby ann on_message \"slow\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_plain_connect_function_that_holds_its_thread_is_told() {
    let told = Told::default();
    let server = Server::builder_sync(|_| {
        thread::sleep(TOO_LONG);
        Ok(Admission::room("lobby").id("ann"))
    });
    let server = server.metrics(told.clone()).build().unwrap();
    let _ann = TestClient::connect(&server, "/ws").await.unwrap();
    assert_eq!(told.take(), ["  connect \"\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_function_that_holds_its_thread_before_its_future_is_told() {
    let told = Told::default();
    let server = Server::builder(|_| {
        thread::sleep(TOO_LONG);
        async { Ok(Admission::room("lobby").id("ann")) }
    });
    let server = server.metrics(told.clone()).build().unwrap();
    let _ann = TestClient::connect(&server, "/ws").await.unwrap();
    assert_eq!(told.take(), ["  connect \"\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn an_async_connect_function_that_holds_its_thread_is_told_at_whichever_poll() {
    let told = Told::default();
    let server = Server::builder(|_| async {
        tokio::task::yield_now().await;
        thread::sleep(TOO_LONG);
        tokio::task::yield_now().await;
        Ok(Admission::room("lobby").id("ann"))
    });
    let server = server.metrics(told.clone()).build().unwrap();
    let _ann = TestClient::connect(&server, "/ws").await.unwrap();
    assert_eq!(told.take(), ["  connect \"\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_function_that_awaits_is_not_told_however_long_it_takes() {
    let told = Told::default();
    let server = Server::builder(|_| async {
        sleep(Duration::from_secs(5)).await;
        Ok(Admission::room("lobby").id("ann"))
    });
    let server = server.metrics(told.clone()).build().unwrap();
    let _ann = TestClient::connect(&server, "/ws").await.unwrap();
    assert!(told.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connect_function_behind_axum_that_holds_its_thread_is_told() {
    let told = Told::default();
    let server = Server::builder_sync(|_| {
        thread::sleep(TOO_LONG);
        Err(Rejection::unauthorized())
    });
    let server = server.metrics(told.clone()).build().unwrap();
    let app = Router::new().route_service("/ws", server);
    let (dialler, _serving) = serve_in_memory(app, |serve| serve);
    let mut client = TestClient::new(dialler.dial());
    client.write_raw(request_head("/ws").as_bytes()).await.unwrap();
    assert!(client.read_response_head().await.unwrap().starts_with("HTTP/1.1 401"));
    assert_eq!(told.take(), ["  connect \"\" 1"]);
}

/// Holds its thread when it is dropped.
struct SlowToDrop;

impl Drop for SlowToDrop {
    fn drop(&mut self) {
        thread::sleep(TOO_LONG);
    }
}

/// Returns at its second poll, and still has what it holds.
struct Holding {
    _held: SlowToDrop,
    polled: bool,
}

impl Future for Holding {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_whose_future_holds_its_thread_in_drop_is_told() {
    let told = Told::default();
    let server = builder(&told)
        .on_connect(|_| Holding { _held: SlowToDrop, polled: false })
        .build()
        .unwrap();
    let _ann = TestClient::connect(&server, "/ws").await.unwrap();
    settle().await;
    assert_eq!(told.take(), ["lobby ann on_connect \"\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_is_given_up_and_holds_its_thread_in_drop_is_told() {
    let told = Told::default();
    let server = builder(&told)
        .on_connect(|_| async {
            let _slow = SlowToDrop;
            std::future::pending::<()>().await;
        })
        .drain_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let _ann = TestClient::connect(&server, "/ws").await.unwrap();
    settle().await;
    server.close().await;
    assert_eq!(told.take(), ["lobby ann on_connect \"\" 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_function_that_is_given_up_and_holds_its_thread_in_drop_is_told() {
    let told = Told::default();
    let server = Server::builder(|_| async {
        let _slow = SlowToDrop;
        std::future::pending().await
    });
    let server = server.metrics(told.clone()).build().unwrap();
    let refused = TestClient::connect(&server, "/ws").await.unwrap_err();
    assert_eq!(refused.status().as_u16(), 503);
    assert_eq!(told.take(), ["  connect \"\" 1"]);
}
