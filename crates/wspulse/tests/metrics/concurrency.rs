//! The order of hooks when many threads connect, leave and close at once.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wspulse::metrics::{ConnectionClosed, ConnectionOpened};
use wspulse::testing::{Recorder, Refused, TestClient};
use wspulse::{MetricsCollector, Server};
use wspulse_core::OVERTAKEN;

use crate::support::clients::dial_room;
use crate::support::house::open_house;

const TASKS: usize = 8;
const VISITS: usize = 150;
const ROOMS: usize = 3;
/// Fewer than tasks, so that duplicates happen.
const IDS: usize = 5;

/// Comes again as long as too many connections of this id are ending.
async fn join_patiently(server: &Server, room: &str, id: &str) -> TestClient<DuplexStream> {
    let target = format!("/ws?room={room}&id={id}");
    loop {
        match TestClient::connect(server, &target).await {
            Ok(client) => return client,
            Err(Refused(response)) => assert!(response.headers().contains_key("retry-after")),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_hooks_of_each_room_are_in_order_whatever_thread_they_come_from() {
    let recorder = Recorder::default();
    let server = open_house().metrics(recorder.clone()).build().unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let server = server.clone();
        let mut streams = Vec::new();
        tasks.spawn(async move {
            for visit in 0..VISITS {
                let id = ((task + visit) % IDS).to_string();
                let room = ((task * 7 + visit) % ROOMS).to_string();
                let mut stream = join_patiently(&server, &room, &id).await.into_stream();
                match visit % 3 {
                    0 => drop(server.kick(&id)),
                    1 => stream.shutdown().await.unwrap(),
                    _ => {
                        if let Some(connection) = server.connection(&id) {
                            connection.close();
                        }
                    }
                }
                streams.push(stream);
            }
            streams
        });
    }
    let streams = tasks.join_all().await.into_iter().flatten();
    let late = dial_room(&server, "0", "late").await;
    drop(late);
    let clients = streams.map(|stream| async { TestClient::new(stream).closed().await });
    let (closes, ()) = tokio::join!(join_all(clients), server.close());
    let closes = closes.into_iter().filter_map(Result::ok).flatten();
    let overtaken = closes.filter(|close| *close == OVERTAKEN).count();

    let lines = recorder.lives();
    let mut rooms: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in &lines {
        let room = line.split(' ').nth(1).unwrap();
        rooms.entry(room).or_default().push(line);
    }
    let opened = lines.iter().filter(|line| line.starts_with("connection_opened")).count();
    assert_eq!(opened + overtaken, TASKS * VISITS + 1, "each opens, or a newer one has come");
    for (room, lines) in rooms {
        assert_lived(room, &lines);
    }
}

/// Created and destroyed alternate, members come and go in between, and each goes once.
fn assert_lived(room: &str, lines: &[&str]) {
    let mut exists = false;
    let mut members = HashSet::new();
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<_> = line.split(' ').collect();
        let is_right = match words[0] {
            "room_created" => !std::mem::replace(&mut exists, true),
            "connection_opened" => exists && members.insert(words[2]),
            "connection_closed" => exists && members.remove(words[2]),
            "room_destroyed" => members.is_empty() && std::mem::replace(&mut exists, false),
            _ => false,
        };
        assert!(is_right, "room {room}: {:#?}", &lines[at.saturating_sub(10)..=at]);
    }
    assert!(!exists, "room {room} was not destroyed");
}

/// Holds the thread that opens a connection until it is released.
struct Gate {
    recorder: Recorder,
    reached: Sender<()>,
    released: Mutex<Receiver<()>>,
}

impl MetricsCollector for Gate {
    fn connection_opened(&self, event: &ConnectionOpened<'_>) {
        self.reached.send(()).unwrap();
        self.released.lock().unwrap().recv().unwrap();
        self.recorder.connection_opened(event);
    }

    fn connection_closed(&self, event: &ConnectionClosed<'_>) {
        self.recorder.connection_closed(event);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_a_connection_that_is_just_being_registered() {
    let (reached, at_gate) = channel();
    let (release, released) = channel();
    let recorder = Recorder::default();
    let gate = Gate { recorder: recorder.clone(), reached, released: Mutex::new(released) };
    let server = open_house().metrics(gate).build().unwrap();
    let connecting = tokio::spawn({
        let server = server.clone();
        async move { dial_room(&server, "lobby", "ann").await.closed().await }
    });
    tokio::task::block_in_place(|| at_gate.recv().unwrap());

    let mut closing = Box::pin(server.close());
    let early = timeout(Duration::from_millis(50), &mut closing).await;
    assert!(early.is_err(), "closed before the connection was told");
    release.send(()).unwrap();
    closing.await;
    assert_eq!(recorder.lives().len(), 2, "all hooks were called by then");
    let close = connecting.await.unwrap().unwrap().unwrap();
    assert_eq!(close.code().as_u16(), 1001);
}
