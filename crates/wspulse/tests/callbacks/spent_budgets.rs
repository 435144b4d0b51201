//! tokio lets a task do so much in one poll: once that budget is spent, its timers and sockets say
//! "not yet" without having looked. A callback can spend it all, in one poll or in every poll, and
//! what waits beside it is heard all the same.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{consume_budget, yield_now};
use tokio::time::{Instant, advance, sleep};
use wspulse::serve::Listener;
use wspulse::testing::{Received, TestClient, memory_listener, request_parts};
use wspulse::{Connection, ConnectionState, Frame, Server, ServerBuilder};

use crate::support::clients::{Client, dial, number, numbered};
use crate::support::clock::{WINDOW, assert_passed};
use crate::support::house::open_house;
use crate::support::http::{read_response, read_to_end};
use crate::support::listener::serve_in_memory;
use crate::support::stage::Stage;

const SECOND: Duration = Duration::from_secs(1);
const PONG: Duration = Duration::from_secs(30);

/// More than a task may take from a channel in one poll.
const ITEMS: usize = 500;

/// Spends the whole budget of every poll, and never ends.
async fn spend() {
    loop {
        consume_budget().await;
    }
}

/// What comes of something within some turns of every task. A busy task lets no virtual time pass
/// by itself.
async fn soon<T>(awaited: impl Future<Output = T>) -> T {
    let mut awaited = pin!(awaited);
    for _ in 0..1_000 {
        select! {
            biased;
            outcome = &mut awaited => return outcome,
            () = yield_now() => {}
        }
    }
    panic!("it did not come in time");
}

/// A server whose message callback spends every budget, with a client whose callback runs.
async fn busy(
    options: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Server, Client, Connection) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let builder = open_house().on_message(move |connection, _| {
        let tell = tell.clone();
        async move {
            tell.send(connection).unwrap();
            spend().await;
        }
    });
    let server = options(builder).build().unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(0)).await.unwrap();
    let connection = soon(told.recv()).await.unwrap();
    (server, ann, connection)
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_lost_although_on_connect_spent_the_budget_before_the_timer_began() {
    let (give, items) = mpsc::unbounded_channel();
    (0..ITEMS).for_each(|item| give.send(item).unwrap());
    let items = std::sync::Mutex::new(Some(items));
    let (tell, ended) = oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let server = open_house()
        .on_connect(move |_| {
            let mut items = items.lock().unwrap().take().unwrap();
            async move {
                for _ in 0..ITEMS {
                    items.recv().await.unwrap();
                }
            }
        })
        .on_disconnect(move |_, _| tell.lock().unwrap().take().unwrap().send(()).unwrap())
        .build()
        .unwrap();
    let joined_at = Instant::now();
    let _ann = dial(&server, "ann").await;
    tokio::time::timeout(20 * PONG, ended).await.expect("the timer is heard").unwrap();
    assert_passed(joined_at, PONG);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_lost_while_a_callback_spends_every_budget() {
    let (_server, _ann, connection) = busy(|builder| builder).await;
    for _ in 0..=PONG.as_secs() {
        advance(SECOND).await;
        for _ in 0..10 {
            yield_now().await;
        }
    }
    assert_eq!(connection.state(), ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_read_and_answered_while_a_callback_spends_every_budget() {
    let (_server, mut ann, _connection) = busy(|builder| builder).await;
    ann.ping(b"there?").await.unwrap();
    let answer = soon(ann.receive()).await.unwrap();
    assert_eq!(answer, Received::Pong(bytes::Bytes::from_static(b"there?")));
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_written_while_a_callback_spends_every_budget() {
    let (_server, mut ann, connection) = busy(|builder| builder).await;
    connection.send(numbered(7)).unwrap();
    assert_eq!(number(&soon(ann.frame()).await.unwrap()), 7);
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_while_a_callback_spends_every_budget() {
    let (server, ann, connection) = busy(|builder| builder.resume_window(WINDOW)).await;
    drop(ann);
    soon(async {
        while connection.state() != ConnectionState::Suspended {
            yield_now().await;
        }
    })
    .await;
    let mut ann = soon(TestClient::connect(&server, "/ws?id=ann")).await.unwrap();
    connection.send(numbered(7)).unwrap();
    assert_eq!(number(&soon(ann.frame()).await.unwrap()), 7);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_given_up_although_its_handler_spends_every_budget() {
    let app = Router::new().route("/busy", get(|| async { spend().await }));
    let (dialler, _serving) = serve_in_memory(app, |serve| serve);
    let mut client = dialler.dial();
    client.write_all(b"GET /busy HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    for _ in 0..10 {
        yield_now().await;
    }
    // In one step it would be a stop of the server.
    for _ in 0..60 {
        advance(SECOND).await;
        yield_now().await;
    }
    assert_eq!(soon(read_to_end(&mut client)).await, "");
}

#[tokio::test(start_paused = true)]
async fn clients_are_accepted_although_the_shutdown_signal_spends_every_budget() {
    let app = Router::new().route("/", get(|| async { "hello" }));
    let (dialler, _serving) = serve_in_memory(app, |serve| serve.with_graceful_shutdown(spend()));
    let mut client = dialler.dial();
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(soon(read_response(&mut client)).await.1, "hello");
}

/// Spends every budget, and accepts nobody.
struct Busy;

impl Listener for Busy {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Option<SocketAddr>)> {
        spend().await;
        Err(io::ErrorKind::Other.into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_signal_is_heard_although_the_listener_spends_every_budget() {
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = wspulse::serve(Busy, Router::new());
    let serving =
        tokio::spawn(
            async move { serve.with_graceful_shutdown(async { drop(stopped.await) }).await },
        );
    yield_now().await;
    stop.send(()).unwrap();
    soon(serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_signal_is_heard_while_clients_always_wait_to_be_accepted() {
    let (dialler, listener) = memory_listener();
    let serve = wspulse::serve(listener, Router::new());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving =
        tokio::spawn(
            async move { serve.with_graceful_shutdown(async { drop(stopped.await) }).await },
        );
    let _clients: Vec<_> = (0..ITEMS).map(|_| dialler.dial()).collect();
    stop.send(()).unwrap();
    soon(serving).await.unwrap().unwrap();
}

/// Says Pongs for ever, and counts in its drop.
struct Endless(Arc<AtomicUsize>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.put_slice(&[0x8a, 0x80, 0, 0, 0, 0]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// 1 is connected, and 4 are ending.
#[tokio::test(start_paused = true)]
async fn who_replaces_himself_is_cut_off_although_what_he_still_sends_spends_every_budget() {
    let dropped = Arc::<AtomicUsize>::default();
    let server = open_house().build().unwrap();
    for _ in 0..10 {
        let handshake = server.handshake(request_parts("/ws?id=ann")).unwrap();
        let accepted = soon(handshake.connect()).await.unwrap();
        accepted.attach(Endless(Arc::clone(&dropped)), &[]);
        for _ in 0..10 {
            yield_now().await;
        }
    }
    soon(async {
        while dropped.load(SeqCst) < 5 {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_has_come_is_the_answer_also_to_who_has_no_budget_when_the_time_runs_out() {
    const TIME: Duration = Duration::from_secs(2);
    let mut stage = Stage::plain();
    let (mut ann, connection) = stage.join("ann").await;
    let mut asking = pin!(connection.request(Frame::new("who")).within(TIME));
    let is_waiting = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_pending()));
    assert!(is_waiting.await);
    let question = ann.frame().await.unwrap();
    ann.send(&Frame::new("reply").with_id(question.id())).await.unwrap();
    sleep(TIME).await;
    let answer = poll_fn(|cx| {
        while pin!(consume_budget()).poll(cx).is_ready() {}
        Poll::Ready(asking.as_mut().poll(cx))
    });
    let Poll::Ready(answer) = answer.await else { panic!("the time is over") };
    assert_eq!(answer.unwrap().event(), "reply");
}
