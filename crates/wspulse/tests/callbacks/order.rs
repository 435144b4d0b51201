//! A connection's callbacks never overlap and come in one fixed order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use wspulse::testing::{TestClient, masked, request_parts};
use wspulse::{Connection, Disconnect, Frame, Server, TransportLost};

use crate::support::clients::{dial, number, numbered};
use crate::support::clock::{WINDOW, settle};
use crate::support::house::open_house;
use crate::support::stage::{Stage, Told};

/// A server whose message callback tells when it begins, then waits for a permit to end.
fn gated() -> (Server, Arc<Semaphore>, mpsc::UnboundedReceiver<String>) {
    let gate = Arc::new(Semaphore::new(0));
    let (tell, told) = mpsc::unbounded_channel();
    let [connect, lose, restore, disconnect] = [(); 4].map(|()| tell.clone());
    let server = open_house()
        .resume_window(WINDOW)
        .on_connect(move |_| connect.send("connect".to_owned()).unwrap())
        .on_message({
            let gate = Arc::clone(&gate);
            move |_, frame| {
                let (gate, tell) = (Arc::clone(&gate), tell.clone());
                async move {
                    tell.send(format!("message {} begins", number(&frame))).unwrap();
                    gate.acquire().await.unwrap().forget();
                    tell.send(format!("message {} ends", number(&frame))).unwrap();
                }
            }
        })
        .on_transport_drop(move |_, _| lose.send("drop".to_owned()).unwrap())
        .on_transport_restore(move |_, _| restore.send("restore".to_owned()).unwrap())
        .on_disconnect(move |_, _| disconnect.send("disconnect".to_owned()).unwrap())
        .build()
        .unwrap();
    (server, gate, told)
}

/// Everything that was told until every task is idle.
async fn so_far(told: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    settle().await;
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn connect_is_complete_before_the_first_message() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let connect = tell.clone();
    let server = open_house()
        .on_connect(move |_| {
            let tell = connect.clone();
            async move {
                sleep(Duration::from_secs(3)).await;
                tell.send("connect").unwrap();
            }
        })
        .on_message(move |_, _| tell.send("message").unwrap())
        .build()
        .unwrap();
    // The message lies behind the request: it is there before the connection is.
    let handshake = server.handshake(request_parts("/ws?id=ann")).unwrap();
    let (_ours, theirs) = tokio::io::duplex(1024);
    handshake.connect().await.unwrap().attach(theirs, &masked(0x81, b"{}"));
    assert_eq!(told.recv().await.unwrap(), "connect");
    assert_eq!(told.recv().await.unwrap(), "message");
}

#[tokio::test(start_paused = true)]
async fn messages_come_in_the_order_of_arrival() {
    let mut stage = Stage::plain();
    let (mut ann, _) = stage.join("ann").await;
    for number in 0..500 {
        ann.send(&numbered(number)).await.unwrap();
    }
    for expected in 0..500 {
        assert_eq!(number(&stage.message().await), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn async_messages_never_overlap() {
    let (server, gate, mut told) = gated();
    let mut ann = dial(&server, "ann").await;
    for number in 0..3 {
        ann.send(&numbered(number)).await.unwrap();
    }
    assert_eq!(so_far(&mut told).await, ["connect", "message 0 begins"]);
    gate.add_permits(1);
    assert_eq!(so_far(&mut told).await, ["message 0 ends", "message 1 begins"]);
    gate.add_permits(2);
    let rest = ["message 1 ends", "message 2 begins", "message 2 ends"];
    assert_eq!(so_far(&mut told).await, rest);
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_loss_is_handled_before_the_drop() {
    let (server, gate, mut told) = gated();
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(0)).await.unwrap();
    ann.send(&numbered(1)).await.unwrap();
    drop(ann);
    assert_eq!(so_far(&mut told).await, ["connect", "message 0 begins"]);
    gate.add_permits(2);
    let rest = ["message 0 ends", "message 1 begins", "message 1 ends", "drop"];
    assert_eq!(so_far(&mut told).await, rest);
}

#[tokio::test(start_paused = true)]
async fn restore_comes_between_the_messages_of_two_transports() {
    let (server, gate, mut told) = gated();
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(0)).await.unwrap();
    drop(ann);
    settle().await;
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(1)).await.unwrap();
    gate.add_permits(2);
    let all = [
        "connect",
        "message 0 begins",
        "message 0 ends",
        "drop",
        "restore",
        "message 1 begins",
        "message 1 ends",
    ];
    assert_eq!(so_far(&mut told).await, all);
}

#[tokio::test(start_paused = true)]
async fn restore_is_complete_before_the_first_message_of_its_transport() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let restore = tell.clone();
    let server = open_house()
        .resume_window(WINDOW)
        .on_message(move |_, _| tell.send("message").unwrap())
        .on_transport_restore(move |_, _| {
            let tell = restore.clone();
            async move {
                sleep(Duration::from_secs(3)).await;
                tell.send("restore").unwrap();
            }
        })
        .build()
        .unwrap();
    drop(dial(&server, "ann").await);
    settle().await;
    let mut ann = dial(&server, "ann").await;
    ann.send(&Frame::default()).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "restore");
    assert_eq!(told.recv().await.unwrap(), "message");
}

#[tokio::test(start_paused = true)]
async fn disconnect_waits_for_the_message_that_runs_and_is_the_last() {
    let (server, gate, mut told) = gated();
    let mut ann = dial(&server, "ann").await;
    for number in 0..3 {
        ann.send(&numbered(number)).await.unwrap();
    }
    assert_eq!(so_far(&mut told).await, ["connect", "message 0 begins"]);
    server.kick("ann").unwrap();
    assert_eq!(so_far(&mut told).await, [""; 0]);
    gate.add_permits(10);
    assert_eq!(so_far(&mut told).await, ["message 0 ends", "disconnect"]);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_waits_for_the_messages_before_it() {
    let (server, gate, mut told) = gated();
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(0)).await.unwrap();
    ann.send(&numbered(1)).await.unwrap();
    drop(ann);
    sleep(WINDOW * 2).await;
    assert!(server.connection("ann").is_none());
    assert_eq!(so_far(&mut told).await, ["connect", "message 0 begins"]);
    gate.add_permits(2);
    let rest = ["message 0 ends", "message 1 begins", "message 1 ends", "drop", "disconnect"];
    assert_eq!(so_far(&mut told).await, rest);
}

#[tokio::test(start_paused = true)]
async fn flaps_during_a_slow_callback_are_told_as_one() {
    let (server, gate, mut told) = gated();
    let mut ann = dial(&server, "ann").await;
    ann.send(&numbered(0)).await.unwrap();
    settle().await;
    for _ in 0..5 {
        drop(ann);
        settle().await;
        ann = dial(&server, "ann").await;
        settle().await;
    }
    gate.add_permits(1);
    let all = ["connect", "message 0 begins", "message 0 ends", "drop", "restore"];
    assert_eq!(so_far(&mut told).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_drop_is_told_before_the_end_of_a_suspended_connection() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    connection.close();
    assert!(matches!(stage.disconnected().await, Disconnect::Closed));
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_races_a_loss_is_told_once() {
    let mut stage = Stage::resuming();
    for _ in 0..2 {
        let (ann, connection) = stage.join("ann").await;
        drop(ann);
        connection.close();
        assert!(matches!(stage.disconnected().await, Disconnect::Closed));
        stage.is_silent().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_races_a_resume_is_told_once_and_restores_nothing() {
    let mut stage = Stage::resuming();
    let (ann, connection) = stage.join("ann").await;
    drop(ann);
    stage.dropped().await;
    let mut ann = dial(&stage.server, "ann").await;
    connection.close();
    assert!(matches!(stage.disconnected().await, Disconnect::Closed));
    assert_eq!(ann.closed().await.unwrap().unwrap().code().as_u16(), 1000);
    stage.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_window_there_is_neither_drop_nor_restore() {
    let mut stage = Stage::plain();
    for _ in 0..3 {
        let (ann, _) = stage.join("ann").await;
        drop(ann);
        stage.disconnected().await;
    }
    assert_eq!(stage.names_so_far(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_any_other_callback_changes_nothing() {
    fn scream(_: Connection) {
        panic!("on purpose");
    }
    let (tell, mut told) = mpsc::unbounded_channel();
    let disconnect = tell.clone();
    let server = open_house()
        .resume_window(WINDOW)
        .on_connect(scream)
        .on_message(move |connection, frame| {
            tell.send(Told::Message(connection, frame)).unwrap();
        })
        .on_transport_drop(|connection, _: TransportLost| async move { scream(connection) })
        .on_transport_restore(|connection, _| scream(connection))
        .on_disconnect(move |connection, end| {
            disconnect.send(Told::Disconnect(connection.clone(), end)).unwrap();
            scream(connection);
        })
        .build()
        .unwrap();
    let mut ann = dial(&server, "ann").await;
    for _ in 0..2 {
        ann.send(&numbered(1)).await.unwrap();
        assert_eq!(told.recv().await.unwrap().name(), "message");
        drop(ann);
        settle().await;
        ann = TestClient::connect(&server, "/ws?id=ann").await.unwrap();
    }
    server.kick("ann").unwrap();
    assert_eq!(told.recv().await.unwrap().name(), "disconnect");
    assert_eq!(ann.closed().await.unwrap().unwrap().reason(), "kicked");
}
