//! A runtime that ends under its connections: whoever waits for them is told, on the runtimes that
//! are left.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;
use wspulse::{Connection, ConnectionState, Disconnect, Frame, Server};

use crate::support::clients::{Client, dial};
use crate::support::clock::settle;
use crate::support::house::open_house;

fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

async fn within_a_minute<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_mins(1), future).await.expect("it is told")
}

/// Connects a client whose handler hangs, on this runtime.
fn dial_and_hang(runtime: &Runtime, server: &Server, id: &str) -> Client {
    runtime.block_on(async {
        let mut client = dial(server, id).await;
        client.send(&Frame::new("hang")).await.unwrap();
        settle().await;
        client
    })
}

#[test]
fn done_returns_for_a_connection_whose_runtime_ends() {
    let (lasting, ending) = (paused_runtime(), paused_runtime());
    let server = open_house().build().unwrap();
    let _client = ending.block_on(dial(&server, "ann"));
    let connection = server.connection("ann").unwrap();
    lasting.block_on(async {
        let waiting = tokio::spawn({
            let connection = connection.clone();
            async move { connection.done().await }
        });
        settle().await;
        ending.shutdown_background();
        assert_eq!(connection.state(), ConnectionState::Closed);
        within_a_minute(waiting).await.unwrap();
        server.close().await;
    });
}

#[test]
fn a_successor_begins_when_its_predecessors_runtime_ends() {
    let (lasting, ending) = (paused_runtime(), paused_runtime());
    let (tell, mut told) = mpsc::unbounded_channel();
    let ended = tell.clone();
    let server = open_house()
        .on_connect(move |_| tell.send("connect").unwrap())
        .on_message(|_, _| std::future::pending::<()>())
        .on_disconnect(move |_, _| ended.send("disconnect").unwrap())
        .build()
        .unwrap();
    let _old = dial_and_hang(&ending, &server, "ann");
    lasting.block_on(async {
        let _new = dial(&server, "ann").await;
        settle().await;
        ending.shutdown_background();
        settle().await;
        let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(told, ["connect", "disconnect", "connect"]);
        server.close().await;
    });
}

#[test]
fn a_successor_begins_even_if_no_runtime_could_call_its_predecessors_on_disconnect() {
    let (lasting, ending) = (paused_runtime(), paused_runtime());
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .on_message(|_, _| std::future::pending::<()>())
        .on_disconnect(move |_, _| tell.send(()).unwrap())
        .build()
        .unwrap();
    let _old = dial_and_hang(&ending, &server, "ann");
    let connection = server.connection("ann").unwrap();
    drop(ending);
    assert!(told.try_recv().is_err(), "no runtime has ever served another connection");
    assert_eq!(connection.state(), ConnectionState::Closed);
    lasting.block_on(async {
        connection.done().await;
        let _new = dial(&server, "ann").await;
        server.kick("ann").unwrap();
        within_a_minute(told.recv()).await.unwrap();
        server.close().await;
    });
}

#[test]
fn on_disconnect_is_called_on_a_runtime_that_is_left() {
    let (lasting, ending) = (paused_runtime(), paused_runtime());
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .on_disconnect(move |connection: Connection, end| {
            let tell = tell.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                tell.send((connection.id().to_owned(), end)).unwrap();
            }
        })
        .build()
        .unwrap();
    let _ben = lasting.block_on(dial(&server, "ben"));
    let _ann = ending.block_on(dial(&server, "ann"));
    drop(ending);
    lasting.block_on(async {
        let (id, end) = within_a_minute(told.recv()).await.unwrap();
        assert_eq!(id, "ann");
        assert!(matches!(end, Disconnect::ServerClosed), "{end:?}");
        server.close().await;
    });
}

#[test]
fn a_closing_server_waits_for_the_last_callback_of_a_runtime_that_has_ended() {
    let (lasting, ending) = (paused_runtime(), paused_runtime());
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = open_house()
        .on_disconnect(move |connection: Connection, _| {
            let tell = tell.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                tell.send(connection.id().to_owned()).unwrap();
            }
        })
        .build()
        .unwrap();
    let ben = lasting.block_on(dial(&server, "ben"));
    let _ann = ending.block_on(dial(&server, "ann"));
    drop((ending, ben));
    lasting.block_on(async {
        server.close().await;
        let mut told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        told.sort();
        assert_eq!(told, ["ann", "ben"]);
    });
}
