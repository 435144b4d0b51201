//! Closing the server: who is refused, told and waited for, and for how long.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::io::duplex;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;
use wspulse::testing::{Recorder, TestClient, request_parts};
use wspulse::{
    Admission, BroadcastError, Connection, ConnectionState, Disconnect, DropReason, Frame,
    KickError, Rejection, SendError, Server,
};

use crate::support::clients::{Client, close, close_frame, dial, numbered};
use crate::support::clock::{assert_passed, settle};
use crate::support::house::{echo, open_house};
use crate::support::http::{Answer, serve_at_ws};

/// The default of `drain_timeout`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

const SHUTTING_DOWN: &str = "server shutting down";

/// Whether the future is ready without waiting for anything.
async fn is_ready<F: Future>(future: F) -> bool {
    tokio::time::timeout(Duration::ZERO, future).await.is_ok()
}

/// Answers the server's close as soon as it comes.
fn closing(mut client: Client) -> tokio::task::JoinHandle<Option<wspulse::CloseFrame>> {
    tokio::spawn(async move { client.closed().await.unwrap() })
}

#[tokio::test(start_paused = true)]
async fn a_closed_server_takes_no_more_clients() {
    let server = open_house().build().unwrap();
    server.close().await;
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.summary(), (503, "server closed\n"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_still_being_asked_for_is_refused() {
    let (asked, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (signal, gate_of_connect) = (Arc::clone(&asked), Arc::clone(&gate));
    let server = Server::builder(move |_| {
        let (signal, gate) = (Arc::clone(&signal), Arc::clone(&gate_of_connect));
        async move {
            signal.notify_one();
            gate.notified().await;
            Ok::<_, Rejection>(Admission::room("lobby"))
        }
    });
    let server = server.build().unwrap();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let connecting = tokio::spawn(handshake.connect());
    asked.notified().await;
    server.close().await;
    gate.notify_one();
    let answer = Answer::of(connecting.await.unwrap().unwrap_err()).await;
    assert_eq!(answer.summary(), (503, "server closed\n"));
}

#[tokio::test(start_paused = true)]
async fn every_connection_ends_suspended_ones_included() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .resume_window(Duration::from_mins(1))
        .on_disconnect(move |connection: Connection, end| {
            tell.send((connection.id().to_owned(), end)).unwrap();
        })
        .build()
        .unwrap();
    let connected = closing(dial(&server, "connected").await);
    drop(dial(&server, "suspended").await);
    settle().await;
    let connection = server.connection("suspended").unwrap();
    assert_eq!(connection.state(), ConnectionState::Suspended);

    server.close().await;
    assert_eq!(connected.await.unwrap(), Some(close(1001, SHUTTING_DOWN)));
    let mut ended = Vec::new();
    while let Ok((id, end)) = told.try_recv() {
        assert!(matches!(end, Disconnect::ServerClosed), "{end:?}");
        ended.push(id);
    }
    ended.sort();
    assert_eq!(ended, ["connected", "suspended"]);
    assert_eq!(connection.state(), ConnectionState::Closed);
    assert_eq!((server.connection_count(), server.room_count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn all_callbacks_have_returned_when_close_returns() {
    let finished = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&finished);
    let server = open_house()
        .on_disconnect(move |_, _| {
            let counter = Arc::clone(&counter);
            async move {
                tokio::time::sleep(DRAIN_TIMEOUT / 2).await;
                counter.fetch_add(1, Ordering::SeqCst);
            }
        })
        .build()
        .unwrap();
    for id in ["ann", "ben"] {
        closing(dial(&server, id).await);
    }
    server.close().await;
    assert_eq!(finished.load(Ordering::SeqCst), 2);
}

/// A server whose `on_disconnect` waits for a permit.
fn gated() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let gate_of_callback = Arc::clone(&gate);
    let server = open_house().on_disconnect(move |_, _| {
        let gate = Arc::clone(&gate_of_callback);
        async move { gate.acquire().await.unwrap().forget() }
    });
    (server.build().unwrap(), gate)
}

#[tokio::test(start_paused = true)]
async fn every_caller_waits_for_the_same_end() {
    let (server, gate) = gated();
    closing(dial(&server, "ann").await);
    settle().await;
    let (mut first, mut second) = (pin!(server.close()), pin!(server.close()));
    assert!(!is_ready(&mut first).await);
    assert!(!is_ready(&mut second).await);
    let mut late = pin!(server.close());
    settle().await;
    assert!(!is_ready(&mut late).await);
    gate.add_permits(1);
    tokio::join!(first, second, late);
    assert!(is_ready(server.close()).await, "and once more, at once");
}

#[tokio::test(start_paused = true)]
async fn closing_goes_on_without_its_future() {
    let (server, gate) = gated();
    let ann = closing(dial(&server, "ann").await);
    settle().await;
    assert!(!is_ready(server.close()).await);
    assert_eq!(ann.await.unwrap(), Some(close(1001, SHUTTING_DOWN)));
    gate.add_permits(1);
    server.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_callback_may_close_the_server() {
    let close_server = |connection: Connection| async move { connection.server().close().await };
    let in_callback = [
        open_house().on_connect(close_server),
        open_house().on_message(move |connection, _| close_server(connection)),
        open_house()
            .on_message(|connection, _| connection.close())
            .on_disconnect(move |connection, _| close_server(connection)),
    ];
    for builder in in_callback {
        let server = builder.build().unwrap();
        let mut ann = dial(&server, "ann").await;
        let ben = dial(&server, "ben").await;
        // Too late for the first server, which is closed already.
        let _ = ann.send(&Frame::new("close it")).await;
        let (ann, ben) = (closing(ann), closing(ben));
        let asked_at = Instant::now();
        settle().await;
        server.close().await;
        assert_passed(asked_at, Duration::ZERO);
        assert_eq!(ben.await.unwrap(), Some(close(1001, SHUTTING_DOWN)));
        assert!(ann.await.unwrap().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_callback_is_cancelled_after_the_drain_timeout_and_on_disconnect_still_called() {
    struct Cancelled(Arc<AtomicUsize>);

    impl Drop for Cancelled {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let (tell, mut told) = mpsc::unbounded_channel();
    let cancelled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&cancelled);
    let drain_timeout = Duration::from_secs(3);
    let server = open_house()
        .drain_timeout(drain_timeout)
        .on_message(move |_, _| {
            let guard = Cancelled(Arc::clone(&counter));
            async move {
                std::future::pending::<()>().await;
                drop(guard);
            }
        })
        .on_disconnect(move |_, end| {
            let tell = tell.clone();
            async move {
                tokio::task::yield_now().await;
                tell.send(end).unwrap();
            }
        })
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    ann.send(&Frame::new("hang")).await.unwrap();
    settle().await;
    closing(ann);
    let closed_at = Instant::now();
    server.close().await;
    assert_passed(closed_at, drain_timeout);
    assert_eq!(cancelled.load(Ordering::SeqCst), 1);
    assert!(matches!(told.try_recv().unwrap(), Disconnect::ServerClosed));
}

#[tokio::test(start_paused = true)]
async fn a_hung_on_disconnect_is_given_up_as_well() {
    let server = open_house().on_disconnect(|_, _| std::future::pending::<()>()).build().unwrap();
    let ann = dial(&server, "ann").await;
    // This one hangs before the server closes.
    server.kick("ann").unwrap();
    closing(ann);
    closing(dial(&server, "ben").await);
    settle().await;
    let closed_at = Instant::now();
    server.close().await;
    assert_passed(closed_at, DRAIN_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_still_being_upgraded_is_told() {
    let server = open_house().build().unwrap();
    let handshake = server.handshake(request_parts("/ws")).unwrap();
    let accepted = handshake.connect().await.unwrap();
    let mut closing = pin!(server.close());
    assert!(!is_ready(&mut closing).await);
    let (ours, theirs) = duplex(1024);
    accepted.attach(theirs, &[]);
    let mut client = TestClient::new(ours);
    let (frame, ()) = tokio::join!(client.closed(), closing);
    assert_eq!(frame.unwrap(), Some(close(1001, SHUTTING_DOWN)));
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_never_comes_about_holds_up_a_shutdown_no_longer_than_the_rest() {
    let server = open_house().write_wait(Duration::from_secs(30)).build().unwrap();
    let _accepted = server.handshake(request_parts("/ws")).unwrap().connect().await.unwrap();
    let closed_at = Instant::now();
    server.close().await;
    assert_passed(closed_at, DRAIN_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_holds_up_a_shutdown_until_the_drain_timeout() {
    let server = open_house().build().unwrap();
    let mut ann = dial(&server, "ann").await;
    let closed_at = Instant::now();
    server.close().await;
    assert_passed(closed_at, DRAIN_TIMEOUT);
    assert_eq!(close_frame(&mut ann).await, Some(close(1001, SHUTTING_DOWN)));
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_before_a_shutdown_arrives() {
    let server = echo().build().unwrap();
    let mut ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 16).await.unwrap();
    for number in 0..20 {
        server.broadcast("lobby", numbered(number)).unwrap();
    }
    let reading = async {
        for number in 0..20 {
            assert_eq!(ann.frame().await.unwrap(), numbered(number));
        }
        ann.closed().await.unwrap()
    };
    let ((), frame) = tokio::join!(server.close(), reading);
    assert_eq!(frame, Some(close(1001, SHUTTING_DOWN)));
}

#[tokio::test(start_paused = true)]
async fn what_a_reader_does_not_take_before_the_drain_timeout_is_dropped_and_counted() {
    let recorder = Recorder::default();
    let server = echo().metrics(recorder.clone()).build().unwrap();
    let _ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 16).await.unwrap();
    let connection = server.connection("ann").unwrap();
    for number in 0..20 {
        connection.send(numbered(number)).unwrap();
    }
    server.close().await;
    let stats = connection.outbound_stats();
    assert_eq!((stats.sent, stats.dropped, stats.pending), (0, 20, 0));
    assert_eq!(recorder.dropped(DropReason::Ended), 20);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_before_is_waited_for_until_it_has_flushed() {
    let server = echo().build().unwrap();
    let mut ann = TestClient::connect_with_capacity(&server, "/ws?id=ann", 16).await.unwrap();
    server.send("ann", numbered(1)).unwrap();
    server.kick("ann").unwrap();
    let mut closing = pin!(server.close());
    assert!(!is_ready(&mut closing).await);
    let reading = async {
        assert_eq!(ann.frame().await.unwrap(), numbered(1));
        ann.closed().await.unwrap()
    };
    let ((), frame) = tokio::join!(closing, reading);
    assert_eq!(frame, Some(close(1000, "kicked")), "its own reason, not the server's");
}

#[tokio::test(start_paused = true)]
async fn every_operation_says_that_the_server_is_closed() {
    let server = echo().build().unwrap();
    let ann = closing(dial(&server, "ann").await);
    let connection = server.connection("ann").unwrap();
    server.close().await;
    ann.await.unwrap();
    assert_eq!(server.kick("ann"), Err(KickError::ServerClosed));
    assert!(matches!(
        server.broadcast("lobby", numbered(1)),
        Err(BroadcastError::ServerClosed { .. })
    ));
    assert!(matches!(server.send("ann", numbered(1)), Err(SendError::NotFound { .. })));
    assert!(matches!(connection.send(numbered(1)), Err(SendError::Closed { .. })));
    assert!(server.connections("lobby").is_empty());
}

#[tokio::test]
async fn a_client_that_is_registered_while_the_server_closes_is_waited_for() {
    /// Holds up whoever registers, until it is let go.
    struct Brake {
        reached: std::sync::mpsc::SyncSender<()>,
        go: Mutex<std::sync::mpsc::Receiver<()>>,
    }

    impl wspulse::MetricsCollector for Brake {
        fn connection_opened(&self, _: &wspulse::metrics::ConnectionOpened<'_>) {
            self.reached.send(()).unwrap();
            self.go.lock().recv().unwrap();
        }
    }

    let (reached, is_reached) = std::sync::mpsc::sync_channel(1);
    let (let_go, go) = std::sync::mpsc::sync_channel(1);
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .metrics(Brake { reached, go: Mutex::new(go) })
        .on_disconnect(move |_, end| drop(tell.send(end)))
        .build()
        .unwrap();
    let registering = {
        let handshake = server.handshake(request_parts("/ws")).unwrap();
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let _runtime = runtime.enter();
            let admitted = handshake.admit(Admission::room("lobby")).now_or_never();
            drop(admitted.expect("alone, it waits for nobody").unwrap());
        })
    };
    is_reached.recv().unwrap();
    let mut closing = pin!(server.close());
    assert!(!is_ready(&mut closing).await);
    let_go.send(()).unwrap();
    closing.await;
    registering.join().unwrap();
    assert!(matches!(told.try_recv().unwrap(), Disconnect::ServerClosed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sockets_every_client_is_told() {
    let server = echo().build().unwrap();
    let address = serve_at_ws(&server).await;
    let mut clients = Vec::new();
    for number in 0..50 {
        let mut client = TestClient::connect_tcp(address, "/ws").await.unwrap();
        // Some are talking, some have just read their 101.
        if number % 2 == 0 {
            client.send(&numbered(number)).await.unwrap();
        }
        clients.push(tokio::spawn(async move { client.closed().await.unwrap() }));
    }
    server.close().await;
    for client in clients {
        assert_eq!(client.await.unwrap(), Some(close(1001, SHUTTING_DOWN)));
    }
}
